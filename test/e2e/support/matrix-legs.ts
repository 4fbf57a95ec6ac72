/** One command, run twice: straight to the API server, and through the gateway. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type KubectlVersion, kubectlVersion } from '../../../lib/cluster/kubectl-versions.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import { inTerminal, run, type RunOptions, type RunResult } from './kubectl.ts'
import { TokenAccess } from './matrix-access.ts'
import { boxName, MATRIX_NAMESPACE } from './matrix-pods.ts'
import { eventually, type Shop } from './shop.ts'

export type Wire = 'WebSocket' | 'SPDY'

export interface Version {
  version: string
  /** How its user agent begins; by it its sessions are told from others. */
  userAgent: string
  /** The wires it has for exec, attach, cp, debug and run. */
  commandWires: readonly Wire[]
  portForwardWires: readonly Wire[]
}

const BOTH: readonly Wire[] = ['WebSocket', 'SPDY']
const SPDY: readonly Wire[] = ['SPDY']

function kubectl(
  name: string,
  commandWires: readonly Wire[],
  portForwardWires: readonly Wire[],
  userAgent = `kubectl/v${name}.`,
): Version {
  return { version: name, userAgent, commandWires, portForwardWires }
}

export const VERSIONS: readonly Version[] = [
  kubectl('1.20', SPDY, SPDY),
  kubectl('1.27', SPDY, SPDY),
  kubectl('1.29', BOTH, SPDY),
  kubectl('1.31', BOTH, BOTH),
  // Built from modules, its client library knows no version of itself.
  kubectl('1.34', BOTH, BOTH, 'kubectl/v0.0.0'),
  kubectl('1.35', BOTH, BOTH),
]

/** What must be the same both ways. */
export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
  /** Anything else: digests of files, answers over a forwarded port. */
  more?: unknown
}

export interface Leg {
  version: string
  /** The pod of this version. */
  pod: string
  image: string
  /** An empty folder of this run. */
  folder: string
  /** A name for what this run makes in the cluster. */
  id: string
  kubectl(args: readonly string[], options?: RunOptions): Promise<RunResult>
  terminal(args: readonly string[], options: RunOptions): Promise<RunResult>
}

export interface Row {
  name: string
  run(leg: Leg): Promise<Outcome>
  /** What a direct run is known to give, so that two failures do not pass for a success. */
  direct: {
    code?: number | null
    stdout?: string | RegExp
    stderr?: string | RegExp
    /** Of the JSON of it. */
    more?: RegExp
  }
  /** False where the request ends before there is a session; 'varies' where that is up to kubectl. */
  hasSession?: boolean | 'varies'
  /** Only these versions; left out, all of them. */
  versions?: readonly string[]
  /** Only over this wire, where the others would only take time. */
  wire?: Wire
}

const LEG_TIMEOUT_MS = 20_000
/** The record is there before the first byte is. */
const SESSION_TIMEOUT_MS = 3000
/** A terminal of a size nobody has by chance. */
const IN_SIZE = ['sh', '-c', 'stty rows 31 cols 97; exec "$@"', 'sh']

async function programOf(name: string, shop: Shop): Promise<string> {
  if (name === '1.34') return shop.sandbox.json.kubectl
  return await kubectlVersion(name as KubectlVersion)
}

export interface Matrix {
  /** Runs the row both ways by each of these versions at the same time. */
  compare(row: Row, wire: Wire, versions: readonly Version[]): Promise<Comparison>
  /** Looks at its pod as ana, signed in by the credential plugin. */
  signIn(version: Version): Promise<Outcome>
  close(): Promise<void>
}

export interface Comparison {
  direct: Record<string, Outcome>
  gateway: Record<string, Outcome>
  /** Of each session, as its record says: `websocket v5.channel.k8s.io`. */
  wires: Record<string, string[]>
}

export async function openMatrix(shop: Shop): Promise<Matrix> {
  const folder = await mkdtemp(join(tmpdir(), 'podgate-matrix-'))
  const access = new TokenAccess(shop, folder)
  const programs = new Map<Version, string>()
  for (const each of VERSIONS) programs.set(each, await programOf(each.version, shop))
  const open = async (each: Version, wire: Wire, kubeconfig: string): Promise<Leg> =>
    newLeg({
      version: each.version,
      program: programs.get(each) ?? '',
      wire,
      kubeconfig,
      folder: await mkdtemp(join(folder, 'leg-')),
      image: shop.sandbox.cluster.demoImage,
    })
  return {
    async compare(row, wire, versions) {
      await access.refresh()
      const comparison: Comparison = { direct: {}, gateway: {}, wires: {} }
      await Promise.all(
        versions.map(async (each) => {
          const { kubeconfig } = shop.sandbox.json.admin
          comparison.direct[each.version] = await runRow(row, () => open(each, wire, kubeconfig))
          const since = new Date()
          comparison.gateway[each.version] = await runRow(row, () =>
            open(each, wire, access.kubeconfig),
          )
          const wires = await wiresOf(shop, each, since, row.hasSession ?? true).catch(
            (error: unknown) => {
              const { code, stdout, stderr } = comparison.gateway[each.version] ?? {}
              throw new Error(`kubectl says: ${JSON.stringify({ code, stdout, stderr })}`, {
                cause: error,
              })
            },
          )
          comparison.wires[each.version] = wires
        }),
      )
      return comparison
    },
    async signIn(each) {
      const leg = await open(each, 'SPDY', await access.withPlugin(each.version === '1.20'))
      const { code, stdout, stderr } = await leg.kubectl(['get', 'pod', leg.pod, '--output=name'])
      return { code, stdout, stderr }
    },
    async close() {
      await rm(folder, { recursive: true, force: true })
    },
  }
}

let nextId = 0

function newLeg(parts: {
  version: string
  program: string
  wire: Wire
  kubeconfig: string
  folder: string
  image: string
}): Leg {
  const { version: name, program, kubeconfig, folder, image } = parts
  const flag = String(parts.wire === 'WebSocket')
  const env = {
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS: flag,
    KUBECTL_PORT_FORWARD_WEBSOCKETS: flag,
  }
  const common = [
    `--kubeconfig=${kubeconfig}`,
    `--cache-dir=${join(folder, '..', 'cache')}`,
    `--namespace=${MATRIX_NAMESPACE}`,
  ]
  return {
    version: name,
    pod: boxName(name),
    image,
    folder,
    id: `made-${(nextId += 1)}`,
    async kubectl(args, options = {}) {
      return await run(program, [...common, ...args], {
        timeoutMs: LEG_TIMEOUT_MS,
        env,
        ...options,
      })
    },
    async terminal(args, options) {
      const line = [...IN_SIZE, program, ...common, ...args]
      return await inTerminal(line, { timeoutMs: LEG_TIMEOUT_MS, env, ...options })
    },
  }
}

/**
 * kubectl starts to read before it has made its streams, and then throws away what comes early, also
 * in a direct run, and says so: measured, once in 610 runs of a command that prints at once.
 */
const THROWN_AWAY = /^E\S* .*websocket\.go:\d+\] Unknown stream id \d+, discarding message\r?$/m
const MAX_RUNS = 4

/** A run in which kubectl has thrown away a part of what it was given says nothing of who gave it. */
async function runRow(row: Row, open: () => Promise<Leg>): Promise<Outcome> {
  for (let runs = 1; ; runs += 1) {
    const leg = await open()
    const outcome = await row.run(leg)
    // A terminal shows it among the output.
    const isWhole = !THROWN_AWAY.test(outcome.stderr) && !THROWN_AWAY.test(outcome.stdout)
    if (isWhole || runs === MAX_RUNS) return comparable(outcome, leg)
  }
}

/** Names of folders and of what was made, times and processes differ from run to run. */
function comparable(outcome: Outcome, leg: Leg): Outcome {
  const plain = (text: string): string =>
    text
      .replaceAll(leg.folder, 'FOLDER')
      .replaceAll(leg.id, 'MADE')
      // The runtime names each process it starts in a container.
      .replaceAll(/(start exec \\?")[0-9a-f]{64}/g, '$1PROCESS')
      // Over WebSocket the API server says this twice; the gateway asks it over SPDY.
      .replaceAll('error: Internal error occurred: Internal error', 'error: Internal error')
      // What the gateway looks up before the API server is asked, it refuses itself, in the same words.
      .replaceAll(' [PODGATE-1021]', '')
      .replaceAll(/\bdebugger-[a-z0-9]{5}\b/g, 'DEBUGGER')
      .replaceAll(/^([EIW])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /gm, '$1 ')
  return { ...outcome, stdout: plain(outcome.stdout), stderr: plain(outcome.stderr) }
}

async function wiresOf(
  shop: Shop,
  version: Version,
  since: Date,
  isExpected: boolean | 'varies',
): Promise<string[]> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  const find = async (): Promise<string[] | undefined> => {
    const found = await sessions
      .find({
        startedAt: { $gte: since },
        'target.namespace': MATRIX_NAMESPACE,
        'client.userAgent': { $regex: `^${version.userAgent.replaceAll('.', String.raw`\.`)}` },
      })
      .toArray()
    if (found.length === 0) return undefined
    return found.map(({ protocol }) => protocol.client ?? '')
  }
  if (isExpected !== true) return (await find()) ?? []
  return await eventually(`a session of kubectl ${version.version}`, find, SESSION_TIMEOUT_MS)
}

/** Types each answer once its cue has been printed, one after the other. */
export function answering(
  ...pairs: readonly (readonly [cue: string, answer: string])[]
): Pick<RunOptions, 'onOutput'> {
  let next = 0
  let from = 0
  return {
    onOutput(text, child) {
      for (let pair = pairs[next]; pair !== undefined; pair = pairs[next]) {
        const at = text.indexOf(pair[0], from)
        if (at < 0) return
        from = at + pair[0].length
        next += 1
        child.stdin.write(pair[1])
      }
    },
  }
}

/** Sends Ctrl-C once this has been printed. */
export function untilSeen(cue: string): Pick<RunOptions, 'onOutput'> {
  return {
    onOutput(text, child) {
      if (text.includes(cue)) child.kill('SIGINT')
    },
  }
}
