/**
 * The TLS listener of the gateway: HTTP/1.1 only.
 *
 * Upgrades do not exist in HTTP/2 as kubectl uses them, and kubectl needs no
 * HTTP/2 (docs/decisions/0002). Every socket has an `error` listener from its
 * first tick: a client that resets during an upgrade must not end the process.
 */
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import { refuseUpgrade } from './respond.ts'

export interface ListenerOptions {
  cert: string | Buffer
  key: string | Buffer
  onRequest(request: IncomingMessage, response: ServerResponse): void
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** kubectl puts the command into the URL; upstream's own test sends 20,000 characters. */
const MAX_HEADER_BYTES = 64 * 1024
const HEADERS_TIMEOUT_MS = 10_000
/** Above Go's 90 s idle time, so that clients never write into a closing connection. */
const KEEP_ALIVE_MS = 95_000
const MAX_HEADERS = 200

function onClientError(error: Error & { code?: string }, socket: Duplex): void {
  if (socket.destroyed || !socket.writable) return
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const refusal = tooLarge
    ? new GatewayError('RequestEntityTooLarge', 'the request line and headers are over 64 KiB', {
        id: 1018,
      })
    : new GatewayError('BadRequest', 'this is not a well-formed HTTP/1.1 request', { id: 1010 })
  refuseUpgrade(socket, refusal.toStatus())
}

export function createListener(options: ListenerOptions): Server {
  const server = createServer({
    cert: options.cert,
    key: options.key,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // Uploads and held streams may take any time; heads may not.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    insecureHTTPParser: false,
  })
  server.maxHeadersCount = MAX_HEADERS
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy())
    socket.setKeepAlive(true, 15_000)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.on('clientError', onClientError)
  server.on('request', options.onRequest)
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    options.onUpgrade(request, socket, head)
  })
  return server
}

/** Starts to listen; resolves with the port, rejects with a readable reason. */
export async function listen(server: NetServer, host: string, port: number): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new GatewayError('InternalError', `listen: cannot listen on ${host}:${port}`, {
          cause: error,
        }),
      ),
    )
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
