/**
 * The rest of the Kubernetes API: streamed both ways, byte for byte, as the
 * impersonated user. Nothing is buffered; a watch's first bytes leave at once.
 */
import { request as httpsRequest } from 'node:https'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'

import type { ApiClient } from '../kube/api-client.ts'
import { closedWithoutAnswer, unreachable } from '../kube/unreachable.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import { answerRefusal } from './http-exchange.ts'
import type { RequestInfo } from './request-info.ts'
import { noteWatch } from './watch-end.ts'

export function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined ||
    (request.headers['content-length'] ?? '0') !== '0'
  )
}

/** How the body of a request is framed, for the request that it goes on in. */
export function framing(request: IncomingMessage): Record<string, string> {
  const length = request.headers['content-length']
  if (request.headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' }
  return length === undefined ? {} : { 'content-length': length }
}

/**
 * Resolves when the exchange is over, rejects with what to answer when nothing
 * has been answered yet.
 *
 * @param body that of the request, where it has been read already
 */
export async function passThrough(
  client: ApiClient,
  info: RequestInfo,
  identityHeaders: Record<string, string | string[]>,
  request: IncomingMessage,
  response: ServerResponse,
  body?: Buffer,
): Promise<void> {
  const authorization = await client.endpoint.authorization()
  const { host, port, basePath } = client.endpoint
  // Whoever has gone meanwhile, or was revoked, asks for nothing any more.
  if (response.destroyed || response.writableEnded) return
  await new Promise<void>((resolve, reject) => {
    const upstream: ClientRequest = httpsRequest({
      host,
      port,
      method: info.method,
      path: basePath + info.path + (info.query === '' ? '' : `?${info.query}`),
      headers: {
        ...requestHeaders(request.headers),
        ...(body === undefined ? framing(request) : { 'content-length': String(body.length) }),
        ...(authorization === undefined ? {} : { authorization }),
        ...identityHeaders,
      },
      agent: client.agent,
    })
    response.once('close', () => {
      upstream.destroy()
      resolve()
    })
    let answered = false
    upstream.on('error', (error) => {
      if (response.headersSent) response.destroy()
      else reject(unreachable(error, 'passing the request to the cluster'))
    })
    upstream.on('close', () => {
      if (!answered) reject(closedWithoutAnswer())
    })
    upstream.on('response', (answer) => {
      answered = true
      answer.on('error', () => response.destroy())
      const refusal = answerRefusal(answer)
      if (refusal !== undefined) {
        answer.destroy()
        reject(refusal)
        return
      }
      response.writeHead(answer.statusCode ?? 502, responseHeaders(answer.headers))
      // Node keeps the head back until the first body byte; a quiet watch has none.
      response.flushHeaders()
      noteWatch(info.query, answer, response)
      answer.pipe(response)
      // A body that breaks off must not look complete, unless words have ended it (watch-end.ts).
      answer.once('close', () => {
        if (!answer.complete && !response.writableEnded) response.destroy()
      })
    })
    if (body !== undefined) upstream.end(body)
    else if (hasBody(request)) request.pipe(upstream)
    else upstream.end()
  })
}
