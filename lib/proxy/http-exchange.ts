/**
 * What the operations that are one HTTP exchange share: the request to the API server as the marked
 * person, what its refusals mean, and the body that goes back to the client.
 *
 * Nothing is buffered whole; nothing of ours ever stands within a body.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  UpstreamStatusError,
  statusFromBody,
  type ApiClient,
  type HeaderMap,
} from '../kube/api-client.ts'
import { closedWithoutAnswer, unreachable } from '../kube/unreachable.ts'
import { responseHeaders } from './headers.ts'
import { destroyInAMoment } from './respond.ts'

export interface UpstreamExchange {
  method: string
  /** With its query, both rebuilt; relative to the endpoint. */
  path: string
  /** Chosen by the caller; the gateway's own credentials are added. */
  headers: HeaderMap
  /** Streamed with back-pressure; the caller says in `headers` how it is framed. */
  body?: Readable
  /** Until the head of the answer has come. */
  signal: AbortSignal
  /** An answer of which this says true is passed on where it would otherwise be refused. */
  accepts?(answer: IncomingMessage): boolean
}

/** What the API server's answer means when it is not simply passed on. */
export function answerRefusal(answer: IncomingMessage): GatewayError | undefined {
  const code = answer.statusCode ?? 0
  if (code === 401) {
    return new GatewayError(
      'ServiceUnavailable',
      "the cluster does not accept the gateway's own credentials; ask the gateway's operator to renew them",
      { id: 1505 },
    )
  }
  // A redirect would carry the caller's identity to a place nobody decided on (CVE-2020-8559, CVE-2022-3172).
  if (code >= 300 && code < 400 && code !== 304) {
    return new GatewayError(
      'BadGateway',
      'the API server answered with a redirect, which the gateway does not follow',
      { id: 1506 },
    )
  }
  return undefined
}

/**
 * The head of the API server's answer, whatever its code; the body is the caller's to read or to
 * destroy, with no time limit: the log of a silent pod is silent.
 *
 * @throws GatewayError, or the reason of `signal`.
 */
export async function dialExchange(
  client: ApiClient,
  exchange: UpstreamExchange,
): Promise<IncomingMessage> {
  const { method, path, headers, body, signal, accepts } = exchange
  const { host, port, basePath } = client.endpoint
  const authorization = await client.endpoint.authorization()
  signal.throwIfAborted()
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const upstream = httpsRequest({
      host,
      port,
      method,
      path: basePath + path,
      headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
      agent: client.agent,
    })
    const onAbort = (): void => {
      reject(signal.reason as Error)
      upstream.destroy()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    upstream.on('error', (error) =>
      reject(unreachable(error, 'passing the request to the cluster')),
    )
    upstream.on('close', () => {
      signal.removeEventListener('abort', onAbort)
      reject(closedWithoutAnswer())
    })
    upstream.on('response', (answer) => {
      signal.removeEventListener('abort', onAbort)
      answer.on('error', () => undefined)
      const refusal = accepts?.(answer) === true ? undefined : answerRefusal(answer)
      if (refusal === undefined) resolve(answer)
      else {
        answer.destroy()
        reject(refusal)
      }
    })
    if (body === undefined) upstream.end()
    else body.pipe(upstream)
  })
}

/** A Status is shorter; what a node wrote instead of one is cut. */
const MAX_REFUSAL_BYTES = 64 * 1024

/** The API server's own words of an answer of 400 and above; whatever comes of its body. */
export async function refusalOf(answer: IncomingMessage): Promise<UpstreamStatusError> {
  const code = answer.statusCode ?? 0
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_REFUSAL_BYTES) break
    }
  } catch {
    // The code alone says enough.
  }
  answer.destroy()
  return new UpstreamStatusError(code, statusFromBody(code, Buffer.concat(chunks)))
}

export interface SinkHandlers {
  /** What was written has left. */
  onDrain(): void
  /** The client has left; once at most, and not after `finish` or `cut`. */
  onGone(): void
}

/** Where the bytes of an answer go: an HTTP response or a WebSocket. */
export interface ByteSink {
  /** Written and not yet taken by the client's socket. */
  readonly bufferedBytes: number
  listen(handlers: SinkHandlers): void
  write(data: Uint8Array): void
  /** That was all. Resolves when it has left; false when the client did not take it. */
  finish(): Promise<boolean>
  /** The answer ends here and must not look complete; what was written may still leave. */
  cut(): void
}

/** The head leaves at once, also when the body is silent. */
export function openResponse(
  response: ServerResponse,
  answer: IncomingMessage,
  chosen: HeaderMap = responseHeaders(answer.headers),
): ByteSink {
  const { 'content-length': _length, ...headers } = chosen
  response.writeHead(answer.statusCode ?? 502, headers)
  response.flushHeaders()
  let handlers: SinkHandlers | undefined
  let isOver = response.destroyed
  let isCut = false
  let unwritten = 0
  const onWritten = (): void => {
    unwritten -= 1
    if (isCut && unwritten === 0) response.destroy()
  }
  response.on('drain', () => handlers?.onDrain())
  response.once('close', () => {
    if (!isOver) handlers?.onGone()
    isOver = true
  })
  return {
    get bufferedBytes() {
      return response.writableLength
    },
    listen(to) {
      handlers = to
      if (isOver) to.onGone()
    },
    write(data) {
      if (isOver) return
      unwritten += 1
      response.write(data, onWritten)
    },
    async finish() {
      if (isOver) return false
      isOver = true
      return await new Promise<boolean>((resolve) => {
        response.once('close', () => resolve(response.writableFinished))
        response.end(() => resolve(true))
      })
    },
    cut() {
      isOver = true
      isCut = true
      if (unwritten === 0) response.destroy()
      else destroyInAMoment(response)
    },
  }
}
