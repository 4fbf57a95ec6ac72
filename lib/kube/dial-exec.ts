/**
 * Opens exec and attach at the API server: WebSocket v5 first, SPDY when that is refused.
 *
 * The same fallback as kubectl's: any refused WebSocket handshake is tried again
 * as SPDY POST, because an older server knows no v5, a middlebox may not pass
 * WebSocket, and the caller may hold `create` but not `get`. Nothing has been
 * started by a refused handshake; after a 101 there is no second try, since the
 * command may run already.
 */
import { GatewayError, asGatewayError, errorCode } from '../errors/gateway-error.ts'
import type { StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import { dialWebSocket } from '../websocket/client-session.ts'
import { UpstreamStatusError } from './api-client.ts'
import type { ApiEndpoint } from './endpoint.ts'
import { dialSpdy } from './dial-spdy.ts'
import { dialHeaders, execPath, execStreams, type ExecTarget } from './exec-request.ts'
import { readRefusal, type Refusal } from './refusal.ts'

export type { ExecTarget } from './exec-request.ts'

export interface ExecDialerOptions {
  endpoint: ApiEndpoint
  /** Per wire; default 30 s. */
  handshakeTimeoutMs?: number
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
  handshakeTimeoutMs: number
  signal: AbortSignal
}

type Outcome = { kind: 'open'; session: StreamSession } | { kind: 'refused'; refusal: Refusal }

const HANDSHAKE_TIMEOUT_MS = 30_000
/** How long a server that has refused WebSocket and taken SPDY is asked by SPDY at once. */
const SPDY_ONLY_MS = 5 * 60_000

async function tryWebSocket(endpoint: ApiEndpoint, attempt: Attempt): Promise<Outcome> {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  const dialled = await dialWebSocket({
    url: `wss://${host}:${endpoint.port}${attempt.path}`,
    protocol: 'v5.channel.k8s.io',
    streams: attempt.streams,
    headers: attempt.headers,
    tls: endpoint.tls,
    handshakeTimeoutMs: attempt.handshakeTimeoutMs,
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

/** A Status before anything else; of two, the one kubectl would show: the second. */
function moreTelling(first: Refusal, second: Refusal): Refusal {
  return first.saidStatus && !second.saidStatus ? first : second
}

const TLS_ERROR = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/

/** Network trouble in words; a refused certificate is the operator's to mend, not a reason to retry. */
function unreachable(error: unknown): GatewayError {
  const code = errorCode(error)
  if (code !== undefined && TLS_ERROR.test(code)) {
    return new GatewayError(
      'BadGateway',
      `the gateway does not trust the API server's certificate (${code}); ask the gateway's operator`,
      { id: 1509, cause: error },
    )
  }
  return asGatewayError(error, 'opening the session')
}

export function createExecDialer(options: ExecDialerOptions): ExecDialer {
  const { endpoint } = options
  const now = options.now ?? Date.now
  let spdyOnlyUntil = Number.NEGATIVE_INFINITY

  async function dialBoth(attempt: Attempt): Promise<StreamSession> {
    if (now() < spdyOnlyUntil) {
      const only = await trySpdy(endpoint, attempt)
      if (only.kind === 'open') return only.session
      throw only.refusal.error
    }
    const first = await tryWebSocket(endpoint, attempt)
    if (first.kind === 'open') return first.session
    const second = await trySpdy(endpoint, attempt).catch((error: unknown): Outcome => {
      if (attempt.signal.aborted || !first.refusal.saidStatus) throw error
      return { kind: 'refused', refusal: first.refusal }
    })
    if (second.kind === 'refused') throw moreTelling(first.refusal, second.refusal).error
    spdyOnlyUntil = now() + SPDY_ONLY_MS
    return second.session
  }

  return {
    async dial(target, headers, signal) {
      const attempt: Attempt = {
        path: endpoint.basePath + execPath(target),
        headers: dialHeaders(headers, await endpoint.authorization()),
        streams: execStreams(target),
        handshakeTimeoutMs: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
        signal,
      }
      try {
        return await dialBoth(attempt)
      } catch (error) {
        throw known(error)
      }
    },
  }
}

/** The API server's own words pass as they are. */
function known(error: unknown): unknown {
  return UpstreamStatusError.is(error) || GatewayError.is(error) ? error : unreachable(error)
}
