/**
 * Refusals, on a response and on the bare socket of a refused upgrade.
 *
 * Always a metav1.Status as application/json: kubectl prints nothing of a
 * plain-text refusal (I5).
 */
import type { ServerResponse } from 'node:http'
import type { Duplex, Writable } from 'node:stream'

import { STATUS_CODES, type Status } from '../errors/status.ts'

const REASON_PHRASE: Record<number, string> = {
  101: 'Switching Protocols',
  422: 'Unprocessable Entity',
}

/** kubectl's WebSocket client reads only the first 1,024 bytes of a refused handshake. */
const MAX_BODY_BYTES = 999

function asBody(status: Status): Buffer {
  return Buffer.from(`${JSON.stringify(status)}\n`)
}

function bodyOf(status: Status): Buffer {
  const whole = asBody(status)
  if (whole.length <= MAX_BODY_BYTES) return whole
  const { details: _details, ...short } = status
  const letters = Array.from(status.message ?? '')
  let body = asBody(short)
  while (body.length > MAX_BODY_BYTES && letters.length > 0) {
    // No letter takes more than 12 bytes in JSON, so this never cuts too much at once.
    letters.length -= Math.min(letters.length, Math.ceil((body.length - MAX_BODY_BYTES) / 12))
    body = asBody({ ...short, message: `${letters.join('')}...` })
  }
  return body
}

function codeOf(status: Status): number {
  return status.code ?? STATUS_CODES.InternalError
}

/** How long a client that has to be cut off may take, or go on sending. */
const LINGER_MS = 2000

/** Cuts it unless it closes by itself: what was written for it may still leave. */
export function destroyInAMoment(connection: Writable): void {
  const timer = setTimeout(() => connection.destroy(), LINGER_MS)
  connection.once('close', () => clearTimeout(timer))
}

/** Reads the rest of an upload that nobody wants, so that its sender comes to read the answer. */
export function drainRequest({ req }: ServerResponse): void {
  if (req.complete) return
  const { socket } = req
  req.unpipe()
  req.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  req.once('close', () => clearTimeout(timer))
}

export function sendStatus(response: ServerResponse, status: Status): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  drainRequest(response)
  const body = bodyOf(status)
  response.writeHead(codeOf(status), {
    'content-type': 'application/json',
    'content-length': body.length,
    'cache-control': 'no-cache, private',
  })
  response.end(body)
}

/**
 * Answers an upgrade request that is refused. The connection ends with it: what
 * the client may have pipelined is never read (CVE-2018-1002105).
 */
export function refuseUpgrade(socket: Duplex, status: Status, extraHeaders: string[] = []): void {
  if (socket.destroyed) return
  const body = bodyOf(status)
  const code = codeOf(status)
  const lines = [
    `HTTP/1.1 ${code} ${REASON_PHRASE[code] ?? status.reason ?? 'Refused'}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-cache, private',
    'Connection: close',
    ...extraHeaders,
  ]
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]))
  socket.resume()
  destroyInAMoment(socket)
}
