/**
 * 1,000 execs, 10 at a time, against a real kubelet: each gives its output and its exit code, and
 * nothing is left behind. 100 are by kubectl; the others by a client that starts faster.
 */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from '@jest/globals'

import { createExecDialer, type ExecDialer, type Wire } from '../../lib/kube/dial-exec.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { parseErrorStream } from '../../lib/streams/exit-status.ts'
import { observe } from '../conformance/observe.ts'
import { run } from './support/kubectl.ts'
import {
  BULK_POLICY,
  COLD_START_MS,
  bulkPod,
  eventually,
  openShop,
  type Shop,
} from './support/shop.ts'
import { accessOf } from './support/token-of.ts'

const EXECS = 1000
const AT_ONCE = 10
/** Every tenth. */
const KUBECTL_EVERY = 10
const ALL_MS = 300_000
/** Pools of the gateway keep some connections to the API server and to the store. */
const KEPT_DESCRIPTORS = 60

let shop: Shop
let folder: string
let kubeconfig: string
const dialers: Partial<Record<Wire, ExecDialer>> = {}

beforeAll(async () => {
  shop = await openShop()
  folder = await mkdtemp(join(tmpdir(), 'podgate-endurance-'))
  kubeconfig = join(folder, 'kubeconfig')
  await shop.apply(BULK_POLICY)
  await shop.apply(bulkPod(shop.sandbox.cluster.demoImage))
  const args = ['wait', '-n', 'shop', '--for=condition=Ready', 'pod/bulk-0', '--timeout=60s']
  expect((await shop.admin(args)).code).toBe(0)
  const { gateway } = shop.sandbox.json
  const access = await accessOf(shop, 'ana')
  const { hostname: host, port } = new URL(gateway.url)
  await writeFile(kubeconfig, access.kubeconfigFor(`${host}:${port}`), { mode: 0o600 })
  const endpoint = {
    host,
    port: Number(port),
    basePath: '',
    tls: { ca: await readFile(gateway.caFile) },
    authorization: () => Promise.resolve(`Bearer ${access.token}`),
  }
  for (const first of ['WebSocket', 'SPDY'] as const) {
    dialers[first] = createExecDialer({ endpoint, first })
  }
}, COLD_START_MS)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await shop.close()
}, 60_000)

interface Ran {
  stdout: string
  code: number | null | undefined
}

/** Prints the number and exits with `code`. */
function commandOf(n: number, code: number): string[] {
  return ['sh', '-c', 'echo "run $0"; exit "$1"', String(n), String(code)]
}

async function byKubectl(command: string[]): Promise<Ran> {
  const { code, stdout } = await run(shop.sandbox.json.kubectl, [
    `--kubeconfig=${kubeconfig}`,
    `--cache-dir=${join(folder, 'cache')}`,
    ...['-n', 'shop', 'exec', 'bulk-0', '--'].concat(command),
  ])
  return { stdout, code }
}

async function byLeg(command: string[], wire: Wire): Promise<Ran> {
  const target = {
    namespace: 'shop',
    pod: 'bulk-0',
    subresource: 'exec',
    container: 'main',
    command,
    stdin: false,
    stdout: true,
    stderr: true,
    tty: false,
  } as const
  const leg = await dialers[wire]?.dial(target, {}, AbortSignal.timeout(60_000))
  if (leg === undefined) throw new Error(wire)
  const watched = observe(leg)
  await watched.until(() => watched.closes.length > 0)
  leg.abort('done')
  const exit = parseErrorStream(Buffer.from(watched.text('error')))
  const code = exit.kind === 'success' ? 0 : exit.kind === 'exit' ? exit.code : undefined
  return { stdout: watched.text('stdout'), code }
}

async function execute(n: number): Promise<string | undefined> {
  const code = n % 3
  const command = commandOf(n, code)
  const wire = n % 2 === 0 ? 'WebSocket' : 'SPDY'
  const ran = await (n % KUBECTL_EVERY === 0 ? byKubectl(command) : byLeg(command, wire)).catch(
    (error: unknown) => ({ stdout: String(error), code: undefined }),
  )
  if (ran.stdout === `run ${n}\n` && ran.code === code) return undefined
  return `${n}: ${JSON.stringify(ran)}`
}

async function descriptors(): Promise<number> {
  return (await readdir(`/proc/${shop.sandbox.gateway.pid}/fd`)).length
}

async function activeSessions(): Promise<number> {
  const text = await (await fetch(new URL('/metrics', shop.sandbox.json.metrics))).text()
  const values = [...text.matchAll(/^podgate_sessions_active\{.*\} (\d+)$/gm)]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

it(
  `${EXECS} execs, ${AT_ONCE} at a time, succeed and leave nothing`,
  async () => {
    const before = await descriptors()
    const beganAt = performance.now()
    const failures: string[] = []
    let next = 0
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < EXECS) {
          const failure = await execute(next++)
          if (failure !== undefined) failures.push(failure)
        }
      }),
    )
    const seconds = (performance.now() - beganAt) / 1000
    process.stderr.write(`${EXECS} execs in ${seconds.toFixed(1)} s\n`)
    expect(failures).toEqual([])

    const sessions = shop.mongo
      .db(shop.sandbox.json.mongodb.database)
      .collection<SessionDocument>('sessions')
    const records = await eventually('terminal records', async () => {
      const found = await sessions.find({ 'target.pod': 'bulk-0' }).toArray()
      return found.every(({ end }) => end !== null) && found
    })
    // One each: none was tried twice, none is missing.
    const outcomes = records.map(({ command, end }) => [command[3], end?.outcome, end?.exitCode])
    expect(outcomes.sort(([a], [b]) => Number(a) - Number(b))).toEqual(
      Array.from({ length: EXECS }, (_, n) => [String(n), 'Completed', n % 3]),
    )
    await eventually('no active session', async () => (await activeSessions()) === 0)
    await eventually('few descriptors', async () => {
      return (await descriptors()) <= before + KEPT_DESCRIPTORS
    })
  },
  ALL_MS,
)
