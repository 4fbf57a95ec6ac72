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
import { within } from '../identity/within.ts'
import { clientTrust, type ClientTrust } from './client-trust.ts'
import { refuseUpgrade, sendStatus } from './respond.ts'

export interface ListenerOptions extends ClientTrust {
  cert: string | Buffer
  key: string | Buffer
  onRequest(request: IncomingMessage, response: ServerResponse): void
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** For a TLS handshake, and again for a request's head; default 10 s. */
  patienceMs?: number
}

/** kubectl puts the command into the URL; upstream's own test sends 20,000 characters. */
const MAX_HEADER_BYTES = 64 * 1024
const PATIENCE_MS = 10_000
/** Of it, how often Node looks: its own 30 s would let a slow head live for 40 s. */
const CHECKS_PER_PATIENCE = 5
/** Above Go's 90 s idle time, so that clients never write into a closing connection. */
const KEEP_ALIVE_MS = 95_000
const MAX_HEADERS = 200

const TOO_LARGE = new Set(['HPE_HEADER_OVERFLOW', 'HPE_CHUNK_EXTENSIONS_OVERFLOW'])

function refusalOf(code: string | undefined): GatewayError {
  if (code !== undefined && TOO_LARGE.has(code)) {
    return new GatewayError(
      'RequestEntityTooLarge',
      'the request line and headers are over 64 KiB or over 200 lines',
      { id: 1018 },
    )
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new GatewayError('Timeout', 'the request did not come in time; try again', { id: 1010 })
  }
  return badRequest('this is not a well-formed HTTP/1.1 request')
}

function badRequest(message: string): GatewayError {
  return new GatewayError('BadRequest', message, { id: 1010 })
}

/** Why a request that Node has parsed is refused all the same. */
function faultOf(request: IncomingMessage): GatewayError | undefined {
  // Node takes any version and guesses what it means; bodies of 1.0 end in ways that hide a loss.
  if (request.httpVersion !== '1.1') return badRequest('this gateway speaks HTTP/1.1 only')
  if (request.headers.host === undefined) return badRequest('the Host header is missing')
  return undefined
}

/** Answers that a connection still owes; pipelined requests make several. */
type UnderWay = WeakMap<Duplex, Set<ServerResponse>>

function isFree(owed: Set<ServerResponse> | undefined): boolean {
  if (owed === undefined || owed.size === 0) return true
  const [only] = owed
  // Only the one request whose own body went wrong, and nothing said about it yet.
  return owed.size === 1 && only !== undefined && !only.headersSent && !only.req.complete
}

/**
 * Answers what Node could not parse. The words must not get into the middle of
 * an answer that is under way on the connection, nor before one.
 */
function answerError(underWay: UnderWay, error: Error & { code?: string }, socket: Duplex): void {
  if (socket.destroyed || !socket.writable) return
  if (isFree(underWay.get(socket))) refuseUpgrade(socket, refusalOf(error.code).toStatus())
  else socket.destroy()
}

function note(underWay: UnderWay, socket: Duplex, response: ServerResponse): void {
  const owed = underWay.get(socket) ?? new Set()
  owed.add(response)
  underWay.set(socket, owed)
  response.once('close', () => owed.delete(response))
}

/** Node forgets a connection once it is upgraded; it has to be closed all the same. */
const connections = new WeakMap<NetServer, Set<Duplex>>()

export function createListener(options: ListenerOptions): Server {
  const underWay: UnderWay = new WeakMap()
  const patienceMs = options.patienceMs ?? PATIENCE_MS
  const server = createServer({
    cert: options.cert,
    key: options.key,
    minVersion: 'TLSv1.2',
    ...clientTrust(options),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: patienceMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: patienceMs,
    connectionsCheckingInterval: patienceMs / CHECKS_PER_PATIENCE,
    // Uploads and held streams may take any time; heads may not.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    insecureHTTPParser: false,
    // Refused by ourselves, with a Status.
    requireHostHeader: false,
  })
  server.maxHeadersCount = MAX_HEADERS
  const open = new Set<Duplex>()
  connections.set(server, open)
  server.on('secureConnection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setKeepAlive(true, 15_000)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.on('clientError', (error, socket) => answerError(underWay, error, socket))

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    note(underWay, request.socket, response)
    const fault = faultOf(request)
    if (fault === undefined) {
      options.onRequest(request, response)
      return
    }
    response.setHeader('connection', 'close')
    sendStatus(response, fault.toStatus())
  }
  server.on('request', onRequest)
  server.on('checkContinue', (request, response) => {
    // While another answer is owed before this one, Node 24 keeps the 100 and writes it later between
    // the head and the body of this one. RFC 9110 section 10.1.1 lets clients do without.
    if (response.socket !== null) response.writeContinue()
    onRequest(request, response)
  })
  // RFC 9110 section 10.1.1 lets a server pass over an expectation that it does not know.
  server.on('checkExpectation', onRequest)
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    // Sent behind a request that has no answer yet: ours would be taken for the answer to that.
    if ((underWay.get(socket)?.size ?? 0) > 0) {
      socket.destroy()
      return
    }
    const fault = faultOf(request)
    if (fault === undefined) options.onUpgrade(request, socket, head)
    else refuseUpgrade(socket, fault.toStatus())
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

/** After its connections were cut a session only has to be sealed. */
const SEAL_MS = 5000

/**
 * Takes no new connections, gives those there are `patienceMs` to come to their
 * end, then cuts them: a client that has stopped reading must not keep the
 * gateway, and with it all other records, from being closed in time.
 */
export async function closeListener(
  server: Server,
  drained: () => Promise<void>,
  patienceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  await within(drained(), patienceMs)
  server.closeAllConnections()
  for (const socket of connections.get(server) ?? []) socket.destroy()
  await within(drained(), SEAL_MS)
  await closed
}
