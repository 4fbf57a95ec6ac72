/**
 * Opens exec and attach at the API server: WebSocket v5 first, SPDY when that is refused.
 *
 * The same fallback as kubectl's: any refused WebSocket handshake is tried again
 * as SPDY POST, because an older server knows no v5, a middlebox may not pass
 * WebSocket, and the caller may hold `create` but not `get`. Nothing has been
 * started by a refused handshake; after a 101 there is no second try, since the
 * command may run already.
 */
import type { StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import {
  DEFAULT_STREAM_LIMITS,
  webSocketTimes,
  type StreamLimits,
} from '../streams/stream-limits.ts'
import { dialWebSocket } from '../websocket/client-session.ts'
import type { ApiEndpoint } from './endpoint.ts'
import { dialSpdy } from './dial-spdy.ts'
import { dialHeaders, execPath, execStreams, type ExecTarget } from './exec-request.ts'
import { knownDialError, readRefusal, type Refusal } from './refusal.ts'

export type { ExecTarget } from './exec-request.ts'

export type Wire = 'SPDY' | 'WebSocket'

export interface ExecDialerOptions {
  endpoint: ApiEndpoint
  /**
   * Which wire to try first; the other is taken when its handshake is refused.
   * Default: SPDY, which keeps the end of the output where a slow reader over
   * WebSocket loses it (docs/decisions/0009).
   */
  first?: Wire
  /** Each wire has its own `handshakeMs`. */
  limits?: StreamLimits
  now?: () => number
}

export interface ExecDialer {
  /**
   * @throws UpstreamStatusError with the API server's own Status when it refuses,
   *   GatewayError when it cannot be reached, answers nonsense or `signal` aborts.
   */
  dial(
    target: ExecTarget,
    headers: Readonly<Record<string, string | string[]>>,
    signal: AbortSignal,
  ): Promise<StreamSession>
}

interface Attempt {
  path: string
  headers: Record<string, string | string[]>
  streams: StreamName[]
  limits: StreamLimits
  handshakeTimeoutMs: number
  signal: AbortSignal
}

type Outcome = { kind: 'open'; session: StreamSession } | { kind: 'refused'; refusal: Refusal }

/** How long a server that has refused one wire and taken the other is asked by the other at once. */
const REMEMBER_MS = 5 * 60_000

async function tryWebSocket(endpoint: ApiEndpoint, attempt: Attempt): Promise<Outcome> {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  const dialled = await dialWebSocket({
    url: `wss://${host}:${endpoint.port}${attempt.path}`,
    protocol: 'v5.channel.k8s.io',
    streams: attempt.streams,
    headers: attempt.headers,
    tls: endpoint.tls,
    handshakeTimeoutMs: attempt.handshakeTimeoutMs,
    keepAlive: webSocketTimes(attempt.limits),
    signal: attempt.signal,
  })
  if (dialled.kind === 'open') return dialled
  return { kind: 'refused', refusal: await readRefusal(dialled.response) }
}

async function trySpdy(endpoint: ApiEndpoint, attempt: Attempt): Promise<Outcome> {
  const dialled = await dialSpdy({ endpoint, ...attempt })
  if (dialled.kind === 'open') return dialled
  return { kind: 'refused', refusal: await readRefusal(dialled.response) }
}

/** The SPDY leg's own words when it had any: it needs `create` alone, where WebSocket asks for `get` too. */
function moreTelling(first: Wire, one: Refusal, two: Refusal): Refusal {
  const [spdy, webSocket] = first === 'SPDY' ? [one, two] : [two, one]
  return webSocket.saidStatus && !spdy.saidStatus ? webSocket : spdy
}

export function createExecDialer(options: ExecDialerOptions): ExecDialer {
  const { endpoint, limits = DEFAULT_STREAM_LIMITS } = options
  const now = options.now ?? Date.now
  const first: Wire = options.first ?? 'SPDY'
  let refusedUntil = Number.NEGATIVE_INFINITY

  async function dialWire(wire: Wire, attempt: Attempt): Promise<Outcome> {
    return await (wire === 'SPDY' ? trySpdy(endpoint, attempt) : tryWebSocket(endpoint, attempt))
  }

  async function dialBoth(attempt: Attempt): Promise<StreamSession> {
    const other: Wire = first === 'SPDY' ? 'WebSocket' : 'SPDY'
    if (now() < refusedUntil) {
      const only = await dialWire(other, attempt)
      if (only.kind === 'open') return only.session
      throw only.refusal.error
    }
    const one = await dialWire(first, attempt)
    if (one.kind === 'open') return one.session
    const two = await dialWire(other, attempt).catch((error: unknown): Outcome => {
      if (attempt.signal.aborted || !one.refusal.saidStatus) throw error
      return { kind: 'refused', refusal: one.refusal }
    })
    if (two.kind === 'refused') throw moreTelling(first, one.refusal, two.refusal).error
    refusedUntil = now() + REMEMBER_MS
    return two.session
  }

  return {
    async dial(target, headers, signal) {
      const attempt: Attempt = {
        path: endpoint.basePath + execPath(target),
        headers: dialHeaders(headers, await endpoint.authorization()),
        streams: execStreams(target),
        limits,
        handshakeTimeoutMs: limits.handshakeMs,
        signal,
      }
      try {
        return await dialBoth(attempt)
      } catch (error) {
        throw knownDialError(error, 'opening the session')
      }
    },
  }
}
