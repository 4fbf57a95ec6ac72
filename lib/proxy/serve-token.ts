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
import type { Access } from './access.ts'
import { conductSession, type OpenedSession, type SessionDeps } from './conduct-session.ts'
import { readWholeBody } from './debug/client-write.ts'
import type { Exchange } from './exchange.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import { dialExchange } from './http-exchange.ts'
import { sendStatus } from './respond.ts'
import { clientOf } from './serve-stream.ts'
import { limitSession } from './session-limit.ts'

export interface TokenTarget {
  namespace: string
  /** Of the service account. */
  name: string
}

/** A TokenRequest is some hundred bytes, its answer some thousand. */
const MAX_REQUEST_BYTES = 64 * 1024
const MAX_ANSWER_BYTES = 1024 * 1024

interface Wish {
  /** What is sent on. */
  body: Buffer
  /** For policies' authors, approvers and the record. */
  words: string[]
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** As kubectl create token writes it. */
function wishWords(spec: Record<string, unknown>): string[] {
  const { audiences, expirationSeconds, boundObjectRef: bound } = spec
  const words: string[] = []
  if (Array.isArray(audiences)) {
    words.push(...audiences.map((audience) => `--audience=${String(audience)}`))
  }
  if (typeof expirationSeconds === 'number') words.push(`--duration=${expirationSeconds}s`)
  if (isObject(bound)) {
    words.push(`--bound-object-kind=${String(bound['kind'])}`)
    words.push(`--bound-object-name=${String(bound['name'])}`)
  }
  return words
}

/**
 * What a token is asked for. JSON is sent on as it was understood here, since of two keys of one
 * name the API server might take the other.
 */
export function readWish(contentType: string | undefined, body: Buffer): Wish {
  const type = (contentType ?? 'application/json').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') return { body, words: ['--parameters=unknown'] }
  let asked: unknown
  try {
    asked = JSON.parse(body.toString('utf8'))
  } catch {
    asked = undefined
  }
  if (!isObject(asked)) {
    throw new GatewayError(
      'BadRequest',
      'the TokenRequest is not a JSON object; use kubectl create token',
      {
        id: 1047,
      },
    )
  }
  const spec = isObject(asked['spec']) ? asked['spec'] : {}
  return { body: Buffer.from(JSON.stringify(asked)), words: wishWords(spec) }
}

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
    readFacts: () =>
      Promise.resolve({
        namespace,
        pod: '',
        podUID: '',
        labels: {},
        node: undefined,
        container: '',
        image: '',
        containerID: undefined,
        restartCount: 0,
        serviceAccount: name,
      }),
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
  { body }: Wish,
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
  wish: Wish,
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
    session.running()
    const status = answer.statusCode ?? 502
    const { method, path } = info
    session.recording.append(
      eventEntry({ type: 'request', method, path, status }, session.elapsedMs()),
    )
    await stored.promise
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

/** The API server answers within seconds, or not at all. */
const TIMEOUT_MS = 30_000

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveToken(
  deps: SessionDeps,
  exchange: Exchange,
  target: TokenTarget,
): Promise<void> {
  const { user, request, response } = exchange
  const body = await readWholeBody(request, { maxBytes: MAX_REQUEST_BYTES })
  const wish = readWish(request.headers['content-type'], body)
  await conductSession(
    deps,
    { user, access: tokenAccess(target, wish.words), client: clientOf(request), protocol: 'http' },
    {
      run: (session) => run(deps, exchange, wish, session),
      refuse: (status) => sendStatus(response, status),
    },
  )
}
