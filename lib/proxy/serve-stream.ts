/**
 * One exec or attach, from the upgrade request to the sealed record.
 *
 *   negotiate -> admit -> approval -> open the record -> dial the pod -> join
 *
 * Nothing is dialled before consent, and nothing runs that cannot be recorded.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type { ApprovalDesk } from '../approval/desk.ts'
import { GatewayError, asGatewayError, errorText } from '../errors/gateway-error.ts'
import type { Status } from '../errors/status.ts'
import type { User } from '../identity/user.ts'
import { UpstreamStatusError, type ApiClient, type HeaderMap } from '../kube/api-client.ts'
import type { ExecDialer } from '../kube/dial-exec.ts'
import { SESSION_EXTRA, impersonationHeaders } from '../kube/impersonate.ts'
import { containerFacts, isSameContainer, readPod } from '../kube/pod.ts'
import { createMasker, type CompiledMaskRules } from '../masking/masker.ts'
import { openRecording, type Recording, type RecordingHooks } from '../recording/recorder.ts'
import type { SessionEnd, SessionStart } from '../recording/session-document.ts'
import type { TranscriptStore } from '../recording/store.ts'
import { encodeStatus } from '../streams/exit-status.ts'
import type { StreamSession } from '../streams/session.ts'
import { negotiate } from '../streams/subprotocol.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { acceptClient, type AcceptedNegotiation } from './accept-client.ts'
import { admit, type Admission, type StreamTarget } from './admit.ts'
import { podChanged } from './messages.ts'
import { assertStillBound, seekConsent, type Consent, type ConsentRequest } from './consent.ts'
import { spendApproval } from './obtain-approval.ts'
import type { PolicySource } from './policy-source.ts'
import { refuseUpgrade } from './respond.ts'
import { createRunningSession, type RunningSession } from './run-session.ts'
import { newSessionId } from './session-id.ts'
import type { StoreGate } from './store-gate.ts'
import { parseStreamOptions, type StreamOptions } from './stream-options.ts'
import { openWaitingRoom, type WaitingRoom } from './waiting-room.ts'

export interface StreamDeps {
  client: ApiClient
  clusterUID: string
  policies: PolicySource
  desk: ApprovalDesk
  dialer: ExecDialer
  store: TranscriptStore
  storeGate: StoreGate
  maskRules(spec: Admission['decision']['obligations']['masking']): CompiledMaskRules
  metrics: Metrics
  log: Logger
  /** Aborts with a GatewayError when the gateway shuts down. */
  stop: AbortSignal
}

export interface StreamRequest {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
  user: User
  target: StreamTarget
  query: string
}

/** What one attempt has opened so far, so that its end can close it. */
interface Attempt {
  id: string
  startedAt: Date
  beganAt: number
  options: StreamOptions
  negotiation: AcceptedNegotiation
  identity: HeaderMap
  client?: StreamSession
  room?: WaitingRoom
  recording?: Recording
  upstream?: StreamSession
  waitedMs: number
}

function statusOf(error: unknown): Status {
  if (UpstreamStatusError.is(error))
    return { ...error.status, code: error.status.code ?? error.httpCode }
  return asGatewayError(error, 'opening the session').toStatus()
}

async function accept(stream: StreamRequest, attempt: Attempt): Promise<StreamSession> {
  const { request, socket, head } = stream
  const client = await acceptClient(request, socket, head, attempt.negotiation, attempt.options)
  attempt.client = client
  return client
}

async function openRoom(stream: StreamRequest, attempt: Attempt): Promise<WaitingRoom> {
  attempt.room = openWaitingRoom(await accept(stream, attempt))
  return attempt.room
}

function consentRequest(deps: StreamDeps, stream: StreamRequest, attempt: Attempt): ConsentRequest {
  const { desk, metrics, clusterUID } = deps
  const { user, target } = stream
  return {
    desk,
    metrics,
    clusterUID,
    user,
    target,
    options: attempt.options,
    openRoom: async () => await openRoom(stream, attempt),
    stop: deps.stop,
  }
}

/** Admitted, and approved where a policy demands it; after a wait, admitted once more. */
async function admitWithConsent(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
): Promise<{ admission: Admission; consent: Consent | undefined }> {
  const again = async (): Promise<Admission> =>
    await admit(deps, stream.user, attempt.identity, stream.target, attempt.options)
  const admission = await again()
  const request = consentRequest(deps, stream, attempt)
  const beganWaiting = performance.now()
  const consent = await seekConsent(request, admission)
  if (consent === undefined || attempt.room === undefined) return { admission, consent }
  attempt.waitedMs = performance.now() - beganWaiting
  const now = await again()
  assertStillBound(request, now, consent)
  return { admission: now, consent }
}

function sessionStart(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
  { facts, decision }: Admission,
  consent: Consent | undefined,
): SessionStart {
  const { user, target, request } = stream
  const { username, groups, uid, issuer } = user
  const { namespace, pod, podUID, container, image, node } = facts
  const cluster = deps.clusterUID
  return {
    id: attempt.id,
    user: { username, groups, issuer, ...(uid === undefined ? {} : { uid }) },
    operation: target.operation,
    target: {
      cluster,
      namespace,
      pod,
      podUID,
      container,
      image,
      ...(node === undefined ? {} : { node }),
    },
    command: attempt.options.command,
    tty: attempt.options.tty,
    stdin: attempt.options.stdin,
    policies: decision.policies,
    ...(consent === undefined ? {} : { approval: approvalRecord(consent) }),
    content: 'Full',
    client: {
      address: request.socket.remoteAddress ?? '',
      userAgent: request.headers['user-agent'] ?? '',
    },
    protocol: { client: `${attempt.negotiation.kind} ${attempt.negotiation.protocol}` },
    startedAt: attempt.startedAt,
  }
}

function approvalRecord({ ticket, verdict }: Consent): NonNullable<SessionStart['approval']> {
  const { name, namespace, uid, digest } = ticket
  return { name, namespace, uid, digest, approvers: verdict.by }
}

async function dial(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
  admission: Admission,
): Promise<StreamSession> {
  const { target, user, socket } = stream
  const { facts } = admission
  const { command, stdin, stdout, stderr, tty } = attempt.options
  const gone = new AbortController()
  const onGone = (): void => gone.abort()
  socket.once('close', onGone)
  try {
    return await deps.dialer.dial(
      {
        namespace: facts.namespace,
        pod: facts.pod,
        subresource: target.operation === 'Exec' ? 'exec' : 'attach',
        container: facts.container,
        command,
        stdin,
        stdout,
        stderr,
        tty,
      },
      impersonationHeaders({ ...user, extra: { [SESSION_EXTRA]: [attempt.id] } }),
      AbortSignal.any([gone.signal, deps.stop]),
    )
  } finally {
    socket.off('close', onGone)
  }
}

/** Exec addresses a pod by name only; reading it again after the upgrade shows a swap in between. */
async function assertSamePod(
  deps: StreamDeps,
  attempt: Attempt,
  { facts }: Admission,
): Promise<void> {
  const pod = await readPod(deps.client, attempt.identity, facts.namespace, facts.pod)
  if (!isSameContainer(facts, containerFacts(pod, facts.container))) throw podChanged(facts.pod)
}

/** Both at once; neither is left running when the other fails. */
async function acceptAndCheck(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
  admission: Admission,
): Promise<StreamSession> {
  const [accepted, checked] = await Promise.allSettled([
    attempt.client ?? accept(stream, attempt),
    assertSamePod(deps, attempt, admission),
  ])
  if (checked.status === 'rejected') throw checked.reason
  if (accepted.status === 'rejected') throw accepted.reason
  return accepted.value
}

async function open(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
): Promise<SessionEnd> {
  const { admission, consent } = await admitWithConsent(deps, stream, attempt)
  const { decision } = admission

  let session: RunningSession | undefined
  let early: GatewayError | undefined
  const start = sessionStart(deps, stream, attempt, admission, consent)
  const hooks: RecordingHooks = {
    onRelease: (entries) => session?.pump.release(entries),
    onFailure: (error) => {
      early = error
      session?.pump.fail(error)
    },
  }
  attempt.recording = await deps.storeGate.pass(() => openRecording(deps.store, start, hooks))
  const spent =
    consent && (await spendApproval(deps.desk, consent.ticket, attempt.id, attempt.room))
  attempt.upstream = await dial(deps, stream, attempt, admission)
  const client = await acceptAndCheck(deps, stream, attempt, admission)

  const rules = deps.maskRules(decision.obligations.masking)
  session = createRunningSession({
    client,
    upstream: attempt.upstream,
    recording: attempt.recording,
    maskers: { stdout: createMasker(rules), stderr: createMasker(rules) },
    elapsedMs: () => Math.round(performance.now() - attempt.beganAt),
    expiresInMs: spent === undefined ? undefined : spent.until.getTime() - Date.now(),
    stop: deps.stop,
    metrics: deps.metrics,
  })
  deps.metrics.openSeconds.observe((performance.now() - attempt.beganAt - attempt.waitedMs) / 1000)
  if (attempt.room === undefined) client.start(session.pump.clientHandlers)
  else attempt.room.enter(session.pump.clientHandlers)
  if (early !== undefined) session.pump.fail(early)
  const { operation } = stream.target
  deps.metrics.requests.inc({ code: '101', kind: kindOf(operation) })
  deps.metrics.sessionsActive.inc({ operation })
  try {
    return await session.run()
  } finally {
    deps.metrics.sessionsActive.dec({ operation })
  }
}

function kindOf(operation: StreamTarget['operation']): 'exec' | 'attach' {
  return operation === 'Exec' ? 'exec' : 'attach'
}

/** The end of an attempt that never became a session. */
async function refuse(
  deps: StreamDeps,
  stream: StreamRequest,
  attempt: Attempt,
  error: unknown,
): Promise<SessionEnd> {
  const status = statusOf(error)
  deps.metrics.requests.inc({
    code: String(status.code ?? 500),
    kind: kindOf(stream.target.operation),
  })
  attempt.upstream?.abort('the session was not opened')
  if (attempt.client === undefined) refuseUpgrade(stream.socket, status)
  else {
    if (attempt.room === undefined) attempt.client.start(SILENT)
    await attempt.client.finish(encodeStatus(status))
  }
  return {
    outcome: UpstreamStatusError.is(error) ? 'Failed' : 'Refused',
    message: status.message ?? '',
    bytes: { stdin: 0, stdout: 0, stderr: 0 },
    masked: {},
    endedAt: new Date(),
  }
}

const SILENT = {
  onData: (): void => undefined,
  onEnd: (): void => undefined,
  onDrain: (): void => undefined,
  onClose: (): void => undefined,
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveStream(deps: StreamDeps, stream: StreamRequest): Promise<void> {
  const { user, target, socket, request } = stream
  const negotiation = negotiate(request)
  if (negotiation.kind === 'refused') {
    const lines = negotiation.headers.map(([name, value]) => `${name}: ${value}`)
    refuseUpgrade(socket, negotiation.error.toStatus(), lines)
    return
  }
  const startedAt = new Date()
  const attempt: Attempt = {
    id: newSessionId(startedAt.getTime()),
    startedAt,
    beganAt: performance.now(),
    options: parseStreamOptions(target.operation, stream.query),
    negotiation,
    identity: impersonationHeaders(user),
    waitedMs: 0,
  }
  const log = deps.log.child({ session: attempt.id, user: user.username, ...target })
  try {
    let end: SessionEnd
    try {
      end = await open(deps, stream, attempt)
    } catch (error) {
      const cause = GatewayError.is(error) ? error.cause : undefined
      log.info(
        { reason: errorText(error), cause: cause === undefined ? undefined : errorText(cause) },
        'session refused',
      )
      end = await refuse(deps, stream, attempt, error)
    }
    deps.metrics.sessionsEnded.inc({ outcome: end.outcome })
    await attempt.recording?.seal(end)
    log.info({ outcome: end.outcome, exitCode: end.exitCode, bytes: end.bytes }, 'session ended')
  } catch (error) {
    // The record could not be sealed; its lease runs out and it is sealed as unclean.
    log.error({ reason: errorText(error) }, 'session record was not sealed')
  }
}
