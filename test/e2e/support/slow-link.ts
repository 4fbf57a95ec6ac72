/**
 * A network namespace behind a link of a few Mbit/s, for a client that is far away. The names say
 * which process made it, so that what a killed test has left is removed by the next one.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

import { identify, isAlive } from '../../../lib/cluster/process-identity.ts'
import { searchPath } from '../../../lib/cluster/processes.ts'
import { startDelayRelay, type DelayRelay } from './delay-relay.ts'

export interface SlowLink {
  /** The gateway as it is reached from behind the link, `host:port`. */
  readonly address: string
  readonly relay: DelayRelay
  /** Words to put before a command, so that it runs behind the link. */
  readonly within: readonly string[]
  close(): Promise<void>
}

export interface SlowLinkOptions {
  /** Below 64; two links of one process have different ones. */
  index: number
  gatewayPort: number
  mbitPerSecond: number
  /** Each way. */
  delayMs: number
}

/** Where `ip netns` keeps its names. */
const NAMES = '/run/netns'
const PREFIX = 'podgate-slow'
const NAME = /^podgate-slow-(\d+)-(\d+)-(\d+)$/
const MAX_LINKS = 64
const OCTET = 256

const open = new Set<string>()
process.once('exit', () => {
  for (const name of open) remove(name)
})

function run(program: string, line: string): string {
  const env = { PATH: searchPath() }
  return execFileSync(program, line.split(' '), { env, encoding: 'utf8', stdio: 'pipe' })
}

function attempt(program: string, line: string): void {
  try {
    run(program, line)
  } catch {
    // Not there any more: what is wanted.
  }
}

/** Ends whoever is still behind the link, then takes the link away; blocks, since a process may be about to exit. */
function remove(name: string): void {
  try {
    for (const pid of run('ip', `netns pids ${name}`).split('\n')) {
      if (pid !== '') process.kill(Number(pid), 'SIGKILL')
    }
  } catch {
    // The namespace is gone, or a process ended by itself meanwhile.
  }
  const [, pid = '', , index = ''] = NAME.exec(name) ?? []
  // The pair of interfaces goes at once, the namespace when nobody uses it.
  attempt('ip', `link delete ${interfaceOf(Number(pid), Number(index))}`)
  attempt('ip', `netns delete ${name}`)
}

/** At most 15 letters (IFNAMSIZ). */
function interfaceOf(pid: number, index: number): string {
  return `pgs${pid}-${index}`
}

function namesThere(): string[] {
  try {
    return readdirSync(NAMES).filter((name) => NAME.test(name))
  } catch {
    return []
  }
}

/** Links of processes that are no more; gives their names. */
export function removeAbandonedLinks(): string[] {
  return namesThere().filter((name) => {
    const [, pid = '', startTime = ''] = NAME.exec(name) ?? []
    if (isAlive({ pid: Number(pid), startTime })) return false
    remove(name)
    return true
  })
}

/** Namespaces and interfaces of this very process that are still there. */
export function linksLeft(): string[] {
  const own = interfaceOf(process.pid, 0).slice(0, -1)
  const mine = `${PREFIX}-${process.pid}-`
  return [
    ...namesThere().filter((name) => name.startsWith(mine)),
    ...readdirSync('/sys/class/net').filter((name) => name.startsWith(own)),
  ]
}

function shape(prefix: string, device: string, mbit: number): void {
  run('tc', `${prefix}qdisc add dev ${device} root tbf rate ${mbit}mbit burst 16kb latency 400ms`)
}

/** Needs root. Removed by `close`, when this process exits, and at the latest by the next test. */
export async function openSlowLink(options: SlowLinkOptions): Promise<SlowLink> {
  const { index, mbitPerSecond } = options
  if (index >= MAX_LINKS) throw new Error(`link ${index}: there are ${MAX_LINKS} at most`)
  const { pid, startTime } = identify(process.pid)
  const name = `${PREFIX}-${pid}-${startTime}-${index}`
  const device = interfaceOf(pid, index)
  // RFC 2544 appendix C sets 198.18.0.0/15 aside for tests of networks; four addresses a link.
  const first = (pid % 512) * MAX_LINKS * 4 + index * 4
  const place = `198.${18 + Math.floor(first / OCTET ** 2)}.${Math.floor(first / OCTET) % OCTET}`
  const [host, client] = [1, 2].map((n) => `${place}.${(first % OCTET) + n}`)
  open.add(name)
  const undo = (): void => {
    open.delete(name)
    remove(name)
  }
  try {
    run('ip', `netns add ${name}`)
    run('ip', `link add ${device} type veth peer name far netns ${name}`)
    run('ip', `addr add ${host}/30 dev ${device}`)
    run('ip', `link set ${device} up`)
    run('ip', `-n ${name} addr add ${client}/30 dev far`)
    run('ip', `-n ${name} link set far up`)
    shape('', device, mbitPerSecond)
    shape(`-n ${name} `, 'far', mbitPerSecond)
    const relay = await startDelayRelay({
      host: host ?? '',
      targetPort: options.gatewayPort,
      delayMs: options.delayMs,
    })
    return {
      address: `${host}:${relay.port}`,
      relay,
      within: ['ip', 'netns', 'exec', name],
      async close() {
        await relay.close()
        undo()
      },
    }
  } catch (error) {
    undo()
    throw error
  }
}
