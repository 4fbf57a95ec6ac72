/**
 * One container's log as one session, whoever reads it:
 *
 *   (conduct-session.ts) -> GET as the person -> same pod? -> accept the client -> masked and
 *   recorded bytes -> seal
 *
 * Nothing of ours ever stands in a log: one that ends before its time breaks off, and the record
 * says why.
 */
import type { IncomingMessage } from 'node:http'

import { GatewayError } from '../errors/gateway-error.ts'
import type { Status } from '../errors/status.ts'
import { readPod } from '../kube/pod.ts'
import { createMasker, type CompiledMaskRules, type Masker } from '../masking/masker.ts'
import { eventEntry } from '../recording/event.ts'
import type { SessionEnd } from '../recording/session-document.ts'
import type { AllowingDecision } from './admit.ts'
import { conductSession, type OpenedSession, type SessionDeps } from './conduct-session.ts'
import type { Exchange } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import { dialExchange, refusalOf, type ByteSink } from './http-exchange.ts'
import { isSamePod, logAccess, logFacts } from './log-access.ts'
import { logQuery, type LogOptions } from './log-options.ts'
import { podChanged } from './messages.ts'
import { createOneWayPump, type OneWayEnd, type OneWayPump } from './one-way-pump.ts'
import { clientOf } from './serve-stream.ts'
import { gatewayEnding, limitSession, type Ending, type SessionLimit } from './session-limit.ts'

export interface LogDeps extends SessionDeps {
  maskRules(spec: AllowingDecision['obligations']['masking']): CompiledMaskRules
}

export interface LogTarget {
  namespace: string
  pod: string
}

/** Whoever asked, until the answer is there and after. */
export interface LogClient {
  readonly protocol: string
  /** Aborts when the client has left before `open`. */
  readonly gone: AbortSignal
  open(answer: IncomingMessage): ByteSink | Promise<ByteSink>
  refuse(status: Status): Promise<void> | void
}

export interface LogRequest {
  exchange: Omit<Exchange, 'response'>
  target: LogTarget
  options: LogOptions
  client: LogClient
}

const BROKEN = 'the connection to the pod broke before the log ended'
const LEFT = 'the client went away before the end'
const STOPPED = 'the client stopped following'

/** Who follows a log has no other way to end it. */
function clientEnding({ follow }: LogOptions): Ending {
  return follow
    ? { outcome: 'Completed', message: STOPPED }
    : { outcome: 'ClientLost', message: LEFT }
}

function sessionEnd(ending: Ending, stdout = 0, masker?: Masker): SessionEnd {
  return {
    ...ending,
    bytes: { stdin: 0, stdout, stderr: 0 },
    masked: Object.fromEntries(masker?.counts ?? []),
    endedAt: new Date(),
  }
}

/** Logs are addressed by the name of the pod only; reading it again shows a swap in between. */
async function assertSamePod(
  deps: LogDeps,
  { identity, admission: { facts } }: OpenedSession,
): Promise<void> {
  const pod = await readPod(deps.client, identity, facts.namespace, facts.pod)
  if (!isSamePod(facts, logFacts(pod, facts.container))) throw podChanged(facts.pod)
}

/** The answer whose body may be shown. @throws what to tell instead of it. */
async function dial(
  deps: LogDeps,
  { exchange, options }: LogRequest,
  session: OpenedSession,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { method, path } = exchange.info
  const answer = await dialExchange(deps.client, {
    method,
    path: `${path}?${logQuery(options, session.admission.facts.container)}`,
    // What is compressed cannot be masked.
    headers: {
      ...requestHeaders(exchange.request.headers),
      'accept-encoding': 'identity',
      ...session.marked,
    },
    signal,
  })
  try {
    if ((answer.statusCode ?? 0) >= 400) throw await refusalOf(answer)
    if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
      throw new GatewayError(
        'BadGateway',
        'the API server sent a compressed log, which nobody asked for and which cannot be masked',
        { id: 1507 },
      )
    }
    await assertSamePod(deps, session)
  } catch (error) {
    answer.destroy()
    throw error
  }
  return answer
}

interface Running {
  answer: IncomingMessage
  sink: ByteSink
  pump: OneWayPump
  session: OpenedSession
}

/** What was stored is shown, and what is shown as whole is stored. */
async function conclude(
  { exchange, options }: LogRequest,
  { answer, sink, pump, session }: Running,
  end: OneWayEnd,
): Promise<Ending> {
  if (end.by === 'client') return clientEnding(options)
  if (end.by === 'gateway') {
    sink.cut()
    return gatewayEnding(end.error)
  }
  const { method, path } = exchange.info
  const status = answer.statusCode ?? 0
  const last = pump.appendLast(
    eventEntry({ type: 'request', method, path, status }, session.elapsedMs()),
  )
  const failure = await Promise.race([last, pump.failed])
  if (failure !== undefined || !end.complete) {
    sink.cut()
    return failure === undefined
      ? { outcome: 'UpstreamLost', message: BROKEN }
      : gatewayEnding(failure)
  }
  const finished = await Promise.race([sink.finish(), pump.failed])
  if (finished === true) return { outcome: 'Completed' }
  if (finished === false) return clientEnding(options)
  sink.cut()
  return gatewayEnding(finished)
}

async function join(
  deps: LogDeps,
  request: LogRequest,
  session: OpenedSession,
  limit: SessionLimit,
  answer: IncomingMessage,
): Promise<SessionEnd> {
  const sink = await request.client.open(answer)
  const rules = deps.maskRules(session.admission.decision.obligations.masking)
  const masker = createMasker(rules, { inPlace: true })
  const { recording } = session
  const elapsedMs = (): number => session.elapsedMs()
  const pump = createOneWayPump({ answer, sink, recording, masker, elapsedMs })
  const onLimit = (): void => pump.fail(limit.signal.reason as GatewayError)
  limit.signal.addEventListener('abort', onLimit, { once: true })
  if (limit.signal.aborted) onLimit()
  session.bind({
    onRelease: (entries) => pump.release(entries),
    onFailure: (error) => pump.fail(error),
  })
  session.running(request.client.protocol === 'http' ? '200' : '101')
  pump.start()
  const ending = await conclude(request, { answer, sink, pump, session }, await pump.ended)
  deps.metrics.streamBytes.inc({ channel: 'stdout' }, pump.bytes)
  for (const [detector, count] of masker.counts) deps.metrics.maskHits.inc({ detector }, count)
  return sessionEnd(ending, pump.bytes, masker)
}

async function run(
  deps: LogDeps,
  request: LogRequest,
  session: OpenedSession,
): Promise<SessionEnd> {
  const { gone } = request.client
  const { id, expiresInMs } = session
  const limit = limitSession({ session: id, expiresInMs, stop: deps.stop })
  let answer: IncomingMessage | undefined
  try {
    // The head of a silent pod's log comes with its first line: the person may leave before.
    answer = await dial(deps, request, session, AbortSignal.any([limit.signal, gone]))
    limit.signal.throwIfAborted()
    return await join(deps, request, session, limit, answer)
  } catch (error) {
    if (gone.aborted) return sessionEnd(clientEnding(request.options))
    throw error
  } finally {
    limit.lift()
    answer?.destroy()
  }
}

/** Never rejects: whatever happens is told to the client, logged and recorded. */
export async function conductLog(deps: LogDeps, request: LogRequest): Promise<void> {
  const { exchange, target, options, client } = request
  await conductSession(
    deps,
    {
      user: exchange.user,
      access: logAccess(target, options),
      client: clientOf(exchange.request),
      protocol: client.protocol,
    },
    {
      run: (session) => run(deps, request, session),
      refuse: (status) => client.refuse(status),
    },
  )
}
