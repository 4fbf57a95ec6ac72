/**
 * One SPDY/3.1 upgrade to the API server, checked strictly before a byte is sent.
 */
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'

import { GatewayError } from '../errors/gateway-error.ts'
import { PROTOCOL_HEADER } from '../streams/subprotocol.ts'
import type { ApiEndpoint } from './endpoint.ts'

const TCP_KEEP_ALIVE_MS = 30_000

export interface SpdyHandshakeOptions {
  endpoint: ApiEndpoint
  /** With the endpoint's `basePath`. */
  path: string
  headers: Readonly<Record<string, string | string[]>>
  /** The one that is offered and has to be chosen, such as `v4.channel.k8s.io`. */
  protocol: string
  handshakeTimeoutMs: number
  signal: AbortSignal
}

export type SpdyHandshake =
  | { kind: 'upgraded'; socket: Duplex; head: Buffer }
  | { kind: 'refused'; response: IncomingMessage }

function brokenUpgrade(detail: string): GatewayError {
  return new GatewayError(
    'BadGateway',
    `the API server answered the upgrade in a way that is no SPDY/3.1 (${detail}); try again`,
    { id: 1507 },
  )
}

/** Why a response is not the 101 we asked for, or undefined when it is. */
function faultOf(response: IncomingMessage, protocol: string): string | undefined {
  const { headers } = response
  if (response.statusCode !== 101) return `HTTP ${response.statusCode}`
  if (headers.upgrade?.toLowerCase() !== 'spdy/3.1') return 'wrong Upgrade header'
  if (headers.connection?.toLowerCase().includes('upgrade') !== true)
    return 'no Connection: Upgrade'
  if (headers[PROTOCOL_HEADER.toLowerCase()] !== protocol) return 'wrong stream protocol'
  return undefined
}

function openRequest(options: SpdyHandshakeOptions): ClientRequest {
  const { endpoint } = options
  const request: RequestOptions & ConnectionOptions = {
    ...endpoint.tls,
    host: endpoint.host,
    port: endpoint.port,
    path: options.path,
    method: 'POST',
    headers: {
      ...options.headers,
      Connection: 'Upgrade',
      Upgrade: 'SPDY/3.1',
      [PROTOCOL_HEADER]: options.protocol,
      'Content-Length': '0',
    },
    // No pool: this socket must never serve another request.
    agent: false,
    ALPNProtocols: ['http/1.1'],
  }
  return httpsRequest(request)
}

/**
 * @throws the socket's own error when the server cannot be reached, GatewayError
 *   when its 101 is not the one asked for, it does not answer in time, or
 *   `signal` aborts. No socket is left behind in any of these cases.
 */
export function shakeSpdy(options: SpdyHandshakeOptions): Promise<SpdyHandshake> {
  const { signal } = options
  return new Promise((resolve, reject) => {
    const request = openRequest(options)
    let settled = false
    const settle = (): void => {
      settled = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
    const fail = (error: unknown): void => {
      if (settled) return
      settle()
      reject(error)
      request.destroy()
    }
    const onAbort = (): void => fail(cancelled(signal))
    const timer = setTimeout(() => fail(handshakeTimeout()), options.handshakeTimeoutMs)
    signal.addEventListener('abort', onAbort, { once: true })
    request.on('error', fail)
    request.on('response', (response) => {
      // Node takes a 101 that names no protocol for an ordinary response.
      if (response.statusCode === 101) {
        fail(brokenUpgrade('it names no protocol'))
        return
      }
      response.on('error', () => undefined)
      settle()
      resolve({ kind: 'refused', response })
    })
    request.on('upgrade', (response, socket, head) => {
      socket.on('error', () => undefined)
      const fault = faultOf(response, options.protocol)
      if (fault !== undefined) {
        socket.destroy()
        fail(brokenUpgrade(fault))
        return
      }
      settle()
      resolve({ kind: 'upgraded', socket: tuned(socket), head })
    })
    if (signal.aborted) onAbort()
    else request.end()
  })
}

function tuned(socket: Socket): Socket {
  return socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_MS)
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

export function cancelled(signal: AbortSignal): GatewayError {
  return new GatewayError('ServiceUnavailable', 'the session was cancelled while it was opened', {
    id: 1508,
    cause: signal.reason,
  })
}
