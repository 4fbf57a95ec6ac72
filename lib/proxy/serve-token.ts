/**
 * Tokens of service accounts (`kubectl create token`): who has one acts as the service account,
 * without the gateway, until it expires.
 *
 * The record says who asked for which and for how long. The token itself is in no record and in no
 * log.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import { statusFromBody } from '../kube/api-client.ts'
import { eventEntry } from '../recording/event.ts'
import type { SessionEnd } from '../recording/session-document.ts'
import { type Access, NO_POD } from './access.ts'
import { conductSession, type OpenedSession, type SessionDeps } from './conduct-session.ts'
import type { Exchange } from './exchange.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import { dialExchange } from './http-exchange.ts'
import { sendStatus } from './respond.ts'
import { clientOf } from './serve-stream.ts'
import { limitSession } from './session-limit.ts'
import { readTokenWish, type TokenWish } from './token-wish.ts'
import { readWholeBody } from './whole-body.ts'

export interface TokenTarget {
  namespace: string
  /** Of the service account. */
  name: string
}

/** A TokenRequest is some hundred bytes, its answer some thousand. */
const MAX_REQUEST_BYTES = 64 * 1024
const MAX_ANSWER_BYTES = 1024 * 1024
/** The API server answers within seconds, or not at all. */
const TIMEOUT_MS = 30_000

function tokenAccess({ namespace, name }: TokenTarget, words: string[]): Access {
  return {
    operation: 'TokenRequest',
    namespace,
    review: {
      verb: 'create',
      namespace,
      resource: 'serviceaccounts',
      name,
      subresource: 'token',
    },
    command: words,
    tty: false,
    stdin: false,
    readFacts: () => Promise.resolve({ ...NO_POD, namespace, serviceAccount: name }),
  }
}

async function readAnswer(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) {
      answer.destroy()
      throw new GatewayError('BadGateway', 'the API server sent a token of more than 1 MiB', {
        id: 1507,
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

async function fetchToken(
  deps: SessionDeps,
  { info, request }: Exchange,
  { body }: TokenWish,
  session: OpenedSession,
  signal: AbortSignal,
): Promise<{ answer: IncomingMessage; bytes: Buffer }> {
  const answer = await dialExchange(deps.client, {
    method: 'POST',
    path: info.path + (info.query === '' ? '' : `?${info.query}`),
    headers: {
      ...requestHeaders(request.headers),
      'content-length': String(body.length),
      ...session.marked,
    },
    body: Readable.from([body]),
    signal,
  })
  return { answer, bytes: await readAnswer(answer) }
}

/** The token is shown when the record says that it was. */
async function run(
  deps: SessionDeps,
  exchange: Exchange,
  wish: TokenWish,
  session: OpenedSession,
): Promise<SessionEnd> {
  const { info, response } = exchange
  const stored = Promise.withResolvers<void>()
  session.bind({ onRelease: () => stored.resolve(), onFailure: stored.reject })
  stored.promise.catch(() => undefined)
  const limit = limitSession({
    session: session.id,
    expiresInMs: session.expiresInMs,
    stop: deps.stop,
  })
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const signal = AbortSignal.any([limit.signal, timeout])
    const { answer, bytes } = await fetchToken(deps, exchange, wish, session, signal)
    const status = answer.statusCode ?? 502
    session.running(String(status))
    const { method, path } = info
    session.recording.append(
      eventEntry({ type: 'request', method, path, status }, session.elapsedMs()),
    )
    await stored.promise
    limit.signal.throwIfAborted()
    const { 'content-length': _length, ...headers } = responseHeaders(answer.headers)
    response.writeHead(status, { ...headers, 'content-length': bytes.length }).end(bytes)
    return {
      ...(status < 400
        ? { outcome: 'Completed' }
        : { outcome: 'Failed', message: statusFromBody(status, bytes).message ?? '' }),
      bytes: { stdin: wish.body.length, stdout: bytes.length, stderr: 0 },
      masked: {},
      endedAt: new Date(),
    }
  } finally {
    limit.lift()
  }
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveToken(
  deps: SessionDeps,
  exchange: Exchange,
  target: TokenTarget,
): Promise<void> {
  const { user, request, response } = exchange
  const body = await readWholeBody(request, { maxBytes: MAX_REQUEST_BYTES })
  const wish = readTokenWish(request.headers['content-type'], body)
  await conductSession(
    deps,
    { user, access: tokenAccess(target, wish.words), client: clientOf(request), protocol: 'http' },
    {
      run: (session) => run(deps, exchange, wish, session),
      refuse: (status) => sendStatus(response, status),
    },
  )
}
