/**
 * Refusals, on a response and on the bare socket of a refused upgrade.
 *
 * Always a metav1.Status as application/json: kubectl prints nothing of a
 * plain-text refusal (I5).
 */
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { STATUS_CODES, type Status } from '../errors/status.ts'

const REASON_PHRASE: Record<number, string> = {
  101: 'Switching Protocols',
  422: 'Unprocessable Entity',
}

function bodyOf(status: Status): Buffer {
  return Buffer.from(`${JSON.stringify(status)}\n`)
}

function codeOf(status: Status): number {
  return status.code ?? STATUS_CODES.InternalError
}

export function sendStatus(response: ServerResponse, status: Status): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
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
  const timer = setTimeout(() => socket.destroy(), 2000)
  socket.once('close', () => clearTimeout(timer))
}
