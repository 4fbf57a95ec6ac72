/**
 * The proxy of pods, services and nodes: each request is one session.
 *
 *   (conduct-session.ts) -> request as the person, its body recorded on the way -> same pod? ->
 *   head by list -> recorded body -> seal
 *
 * Bytes pass as they are: nobody knows what a program behind a proxy speaks, so nothing is masked,
 * and no policy can ask for it.
 */
import type { IncomingMessage } from 'node:http'

import { GatewayError, asGatewayError } from '../errors/gateway-error.ts'
import { UpstreamStatusError } from '../kube/api-client.ts'
import { readPod } from '../kube/pod.ts'
import type { Masker } from '../masking/masker.ts'
import { eventEntry } from '../recording/event.ts'
import type { SessionEnd } from '../recording/session-document.ts'
import { conductSession, type OpenedSession, type SessionDeps } from './conduct-session.ts'
import type { Exchange } from './exchange.ts'
import { proxyRequestHeaders, proxyResponseHeaders } from './headers.ts'
import { dialExchange, openResponse, type ByteSink } from './http-exchange.ts'
import { identityOf } from './identity-of.ts'
import { podChanged } from './messages.ts'
import { createOneWayPump, type OneWayEnd, type OneWayPump } from './one-way-pump.ts'
import { framing, hasBody } from './passthrough.ts'
import { PROXY_METHODS, isProxyMethod, proxyAccess, type ProxyTarget } from './proxy-access.ts'
import { redirectWithin } from './proxy-path.ts'
import { drainRequest, sendStatus } from './respond.ts'
import { clientOf } from './serve-stream.ts'
import { gatewayEnding, limitSession, type Ending } from './session-limit.ts'
import { createUpload, type Upload } from './upload.ts'

export type { ProxyTarget } from './proxy-access.ts'

const AS_IT_IS: Masker = {
  push: (chunk) => [chunk],
  flush: () => [],
  end: () => [],
  heldBytes: 0,
  counts: new Map(),
}

const LEFT: Ending = { outcome: 'ClientLost', message: 'the client went away before the end' }
const BROKEN: Ending = {
  outcome: 'UpstreamLost',
  message: 'the answer broke off before it was complete',
}

function stuck(): GatewayError {
  return new GatewayError(
    'Timeout',
    'the program behind the proxy has stopped reading what it is sent; look at its logs',
    { id: 1504 },
  )
}

/** What one exchange has opened so far. */
interface Passage {
  exchange: Exchange
  session: OpenedSession
  upload: Upload | undefined
  /** Aborts with a GatewayError: the approved time, the store, the gateway's own end. */
  ends: AbortController
  pump?: OneWayPump
}

/** Where the answer sends the client, if that is within the proxy. */
function locationOf(
  { exchange: { info } }: Passage,
  answer: IncomingMessage,
  basePath: string,
): string | undefined {
  return redirectWithin(info, answer.headers.location, basePath)
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

async function dial(
  deps: SessionDeps,
  passage: Passage,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { exchange, session, upload } = passage
  const { info, request } = exchange
  const { basePath } = deps.client.endpoint
  const answer = await dialExchange(deps.client, {
    method: info.method,
    path: info.path + (info.query === '' ? '' : `?${info.query}`),
    headers: {
      ...proxyRequestHeaders(request.headers),
      ...framing(request),
      ...session.marked,
    },
    signal,
    ...(upload === undefined ? {} : { body: upload.body }),
    accepts: (head) =>
      // The gateway's own credentials were good a moment ago: this one is the program's.
      head.statusCode === 401 ||
      (REDIRECTS.has(head.statusCode ?? 0) && locationOf(passage, head, basePath) !== undefined),
  })
  try {
    await assertSamePod(deps, session)
  } catch (error) {
    answer.destroy()
    throw error
  }
  return answer
}

/** Pods are addressed by name only; reading them again shows a swap in between. */
async function assertSamePod(
  deps: SessionDeps,
  { identity, admission: { facts } }: OpenedSession,
): Promise<void> {
  if (facts.pod === '') return
  const { metadata } = await readPod(deps.client, identity, facts.namespace, facts.pod)
  if (metadata.uid !== facts.podUID) throw podChanged(facts.pod)
}

/** What was stored is shown, and what is shown as whole is stored. */
async function conclude(
  { exchange, session }: Passage,
  answer: IncomingMessage,
  sink: ByteSink,
  pump: OneWayPump,
  end: OneWayEnd,
): Promise<Ending> {
  if (end.by === 'client') return LEFT
  if (end.by === 'gateway') {
    sink.cut()
    return gatewayEnding(end.error)
  }
  const { method, path } = exchange.info
  const status = answer.statusCode ?? 0
  const event = eventEntry({ type: 'request', method, path, status }, session.elapsedMs())
  const failure = await Promise.race([pump.appendLast(event), pump.failed])
  if (failure !== undefined || !end.complete) {
    sink.cut()
    return failure === undefined ? BROKEN : gatewayEnding(failure)
  }
  const finished = await Promise.race([sink.finish(), pump.failed])
  if (finished === true) return { outcome: 'Completed' }
  if (finished === false) return LEFT
  sink.cut()
  return gatewayEnding(finished)
}

async function join(
  deps: SessionDeps,
  passage: Passage,
  answer: IncomingMessage,
): Promise<SessionEnd> {
  const { exchange, session, upload, ends } = passage
  const location = locationOf(passage, answer, deps.client.endpoint.basePath)
  const headers = proxyResponseHeaders(answer.headers, location)
  const sink = openResponse(exchange.response, answer, headers)
  const { recording } = session
  const elapsedMs = (): number => session.elapsedMs()
  const pump = createOneWayPump({ answer, sink, recording, masker: AS_IT_IS, elapsedMs })
  passage.pump = pump
  const onEnd = (): void => pump.fail(ends.signal.reason as GatewayError)
  ends.signal.addEventListener('abort', onEnd, { once: true })
  if (ends.signal.aborted) onEnd()
  session.running(String(answer.statusCode ?? 502))
  pump.start()
  const ending = await conclude(passage, answer, sink, pump, await pump.ended)
  deps.metrics.streamBytes.inc({ channel: 'stdin' }, upload?.bytes ?? 0)
  deps.metrics.streamBytes.inc({ channel: 'stdout' }, pump.bytes)
  return sessionEnd(passage, ending)
}

function sessionEnd({ upload, pump }: Passage, ending: Ending): SessionEnd {
  return {
    ...ending,
    bytes: { stdin: upload?.bytes ?? 0, stdout: pump?.bytes ?? 0, stderr: 0 },
    masked: {},
    endedAt: new Date(),
  }
}

async function run(
  deps: SessionDeps,
  exchange: Exchange,
  gone: AbortSignal,
  session: OpenedSession,
): Promise<SessionEnd> {
  const { request, response } = exchange
  const { id, recording, expiresInMs } = session
  const ends = new AbortController()
  const limit = limitSession({ session: id, expiresInMs, stop: deps.stop })
  const onLimit = (): void => ends.abort(limit.signal.reason)
  limit.signal.addEventListener('abort', onLimit, { once: true })
  if (limit.signal.aborted) onLimit()
  const elapsedMs = (): number => session.elapsedMs()
  const onStuck = (): void => ends.abort(stuck())
  const upload = hasBody(request)
    ? createUpload({ request, recording, elapsedMs, onStuck })
    : undefined
  const passage: Passage = { exchange, session, upload, ends }
  session.bind({
    onRelease(entries) {
      upload?.release(entries)
      passage.pump?.release(entries)
    },
    onFailure: (error) => ends.abort(error),
  })
  let answer: IncomingMessage | undefined
  try {
    upload?.start()
    answer = await dial(deps, passage, AbortSignal.any([ends.signal, gone]))
    return await join(deps, passage, answer)
  } catch (error) {
    if (gone.aborted) return sessionEnd(passage, LEFT)
    // The request may have left already, so this is no refusal any more.
    if (UpstreamStatusError.is(error)) {
      sendStatus(response, error.status)
      return sessionEnd(passage, { outcome: 'Failed', message: error.message })
    }
    const failure = asGatewayError(error, 'passing the request to the cluster')
    sendStatus(response, failure.toStatus())
    return sessionEnd(passage, gatewayEnding(failure))
  } finally {
    limit.lift()
    upload?.stop()
    answer?.destroy()
    drainRequest(response)
  }
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveProxy(
  deps: SessionDeps,
  exchange: Exchange,
  target: ProxyTarget,
): Promise<void> {
  const { info, user, request, response } = exchange
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  if (response.destroyed) gone.abort()
  if (!isProxyMethod(info.method)) {
    response.setHeader('allow', PROXY_METHODS)
    throw new GatewayError('MethodNotAllowed', `proxies take ${PROXY_METHODS} only`, { id: 1202 })
  }
  const access = await proxyAccess(deps.client, identityOf(user), info, target, hasBody(request))
  await conductSession(
    deps,
    { user, access, client: clientOf(request), protocol: 'http' },
    {
      run: (session) => run(deps, exchange, gone.signal, session),
      refuse: (status) => sendStatus(response, status),
    },
  )
}
