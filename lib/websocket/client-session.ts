/**
 * The leg facing the API server: dials a WebSocket, gives a `StreamSession` or
 * the response of a server that said no.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'

import { WebSocket, type ClientOptions } from 'ws'

import { GatewayError, asGatewayError } from '../errors/gateway-error.ts'
import type { StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import type { WebSocketProtocol } from '../streams/subprotocol.ts'
import { DEFAULT_LEG_LIMITS } from './constants.ts'
import { systemClock, TOWARDS_API_SERVER, type Clock, type KeepAliveOptions } from './keep-alive.ts'
import { WebSocketLeg } from './leg.ts'

export interface WebSocketDialOptions {
  /** `wss://host:port/path?query`; nothing of it may come from a client unescaped. */
  url: string
  protocol: WebSocketProtocol
  /** The channels of the session; with v5 they exist as soon as the upgrade is made. */
  streams: readonly StreamName[]
  headers: Readonly<Record<string, string | string[]>>
  tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>
  handshakeTimeoutMs: number
  signal: AbortSignal
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

export type WebSocketDial =
  | { kind: 'open'; session: StreamSession }
  /** Not 101. The caller reads what it wants of `response` and destroys it; nothing is followed. */
  | { kind: 'refused'; response: IncomingMessage }

/**
 * The API server sends messages of 32 KiB. x/net/websocket would allow 32 MiB,
 * but a session holds at most 1 MiB (invariant I6).
 */
const MAX_MESSAGE_BYTES = 1024 * 1024
const MAX_FRAGMENTS = 1024
const MAX_BUFFERED_CHUNKS = 4096
const TCP_KEEP_ALIVE_MS = 30_000
const WS_CLOSE_TIMEOUT_MS = 5_000

/** Missing in the types of `ws`. */
type Options = ClientOptions & {
  closeTimeout: number
  ALPNProtocols: string[]
  servername?: string
}

function clientOptions(options: WebSocketDialOptions): Options {
  const { ca, cert, key, servername, rejectUnauthorized } = options.tls
  return {
    // Without ALPN a proxy in between might choose HTTP/2, which has no Upgrade.
    ALPNProtocols: ['http/1.1'],
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    perMessageDeflate: false,
    followRedirects: false,
    skipUTF8Validation: true,
    closeTimeout: WS_CLOSE_TIMEOUT_MS,
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_BUFFERED_CHUNKS,
    finishRequest(request) {
      try {
        // Arrays become one header line each, which Impersonate-Group needs.
        for (const [name, value] of Object.entries(options.headers)) request.setHeader(name, value)
        request.end()
      } catch (error) {
        request.destroy(asGatewayError(error, 'preparing the request to the API server'))
      }
    },
  }
}

/**
 * @throws the socket's own error when the server cannot be reached, GatewayError
 *   when it answers 101 in a way that is no WebSocket, does not answer in time,
 *   or `signal` aborts. No socket is left behind in any of these cases.
 */
export function dialWebSocket(options: WebSocketDialOptions): Promise<WebSocketDial> {
  const { signal } = options
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(cancelled(signal))
      return
    }
    const ws = new WebSocket(options.url, [options.protocol], clientOptions(options))
    let settled = false
    const settle = (): void => {
      settled = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
    const cancel = (error: unknown): void => {
      // Once open, the leg listens for itself.
      if (settled) return
      settle()
      reject(error)
      ws.terminate()
    }
    const onAbort = (): void => cancel(cancelled(signal))
    const timer = setTimeout(() => cancel(handshakeTimeout()), options.handshakeTimeoutMs)
    signal.addEventListener('abort', onAbort, { once: true })
    let socket: Socket | undefined
    ws.on('upgrade', (response) => {
      socket = response.socket
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
    })
    ws.on('error', (error) => cancel(socket === undefined ? error : brokenUpgrade(error.message)))
    ws.on('unexpected-response', (_request, response) => {
      // Node takes a 101 that names no protocol for an ordinary response.
      if (response.statusCode === 101) {
        cancel(brokenUpgrade('it names no protocol'))
        return
      }
      response.on('error', () => undefined)
      settle()
      resolve({ kind: 'refused', response })
    })
    ws.on('open', () => {
      if (socket === undefined) return
      settle()
      resolve({ kind: 'open', session: openLeg(ws, socket, options) })
    })
  })
}

function openLeg(ws: WebSocket, socket: Socket, options: WebSocketDialOptions): StreamSession {
  return new WebSocketLeg(ws, socket, {
    towards: 'apiServer',
    protocol: options.protocol,
    expected: options.streams,
    clock: options.clock ?? systemClock,
    keepAlive: { ...TOWARDS_API_SERVER, ...options.keepAlive },
    limits: DEFAULT_LEG_LIMITS,
  })
}

function brokenUpgrade(detail: string): GatewayError {
  return new GatewayError(
    'BadGateway',
    `the API server answered the upgrade in a way that is no WebSocket (${detail}); try again`,
    { id: 1507 },
  )
}

function handshakeTimeout(): GatewayError {
  return new GatewayError(
    'Timeout',
    'the API server did not answer the upgrade in time; try again',
    {
      id: 1504,
    },
  )
}

function cancelled(signal: AbortSignal): GatewayError {
  return new GatewayError('ServiceUnavailable', 'the session was cancelled while it was opened', {
    id: 1508,
    cause: signal.reason,
  })
}
