/**
 * One session of any operation, from the question to the sealed record:
 *
 *   admit -> approval -> open the record -> the operation's own work -> seal
 *
 * Nothing is dialled before consent, and nothing runs that cannot be recorded.
 */
import type { ApprovalDesk } from '../approval/desk.ts'
import { GatewayError, errorText } from '../errors/gateway-error.ts'
import type { Status } from '../errors/status.ts'
import type { User } from '../identity/user.ts'
import { UpstreamStatusError, type HeaderMap } from '../kube/api-client.ts'
import { recordDigests } from '../recording/digest-recording.ts'
import { openRecording, type Recording, type RecordingHooks } from '../recording/recorder.ts'
import type { SessionEnd, SessionStart } from '../recording/session-document.ts'
import type { TranscriptStore } from '../recording/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Access } from './access.ts'
import { admit, type AdmitDeps, type Admission } from './admit.ts'
import {
  assertStillBound,
  isCovered,
  seekConsent,
  type Consent,
  type ConsentRequest,
  type Grant,
} from './consent.ts'
import { identityOf } from './identity-of.ts'
import { spendApproval } from './obtain-approval.ts'
import { newSessionId } from './session-id.ts'
import { statusOf } from './status-of.ts'
import type { StoreGate } from './store-gate.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface SessionDeps extends AdmitDeps {
  clusterUID: string
  desk: ApprovalDesk
  store: TranscriptStore
  storeGate: StoreGate
  log: Logger
  /** Aborts with a GatewayError: the person was revoked, or the gateway shuts down. */
  stop: AbortSignal
  /** The session that a request has become. */
  onSession?(id: string): void
}

export interface SessionAsk {
  user: User
  access: Access
  client: { address: string; userAgent: string }
  /** Wire and version towards the client, for the record. */
  protocol: string
  /** The session by whose decision this one is opened. */
  parent?: string
  /** The approval of that one, which is asked for only once. */
  granted?: Grant
  /** Where a person at a terminal waits; called once at most. */
  openRoom?(): Promise<WaitingRoom>
}

/** A session whose record is open: from here on its operation does its own work. */
export interface OpenedSession {
  readonly id: string
  readonly user: User
  readonly access: Access
  readonly admission: Admission
  readonly recording: Recording
  /** The person's impersonation. */
  readonly identity: HeaderMap
  /** The same with the mark of this session, which the admission guard asks for. */
  readonly marked: HeaderMap
  /** Access ends then, also in the middle; undefined without an approval. */
  readonly expiresInMs: number | undefined
  elapsedMs(): number
  /** From here on what the record has taken, and its failure, are told to `hooks`. Once. */
  bind(hooks: RecordingHooks): void
  /** For the figures: all is open, bytes may flow. `code`: of the answer; default 101. */
  running(code?: string): void
}

export interface SessionWork {
  /** Dials, joins and runs; what it throws is told by `refuse` and recorded. */
  run(session: OpenedSession): Promise<SessionEnd>
  /** Tells the client why there is no session; nothing else has been told yet. */
  refuse(status: Status): Promise<void> | void
}

/** What one attempt has opened so far, so that its end can close it. */
interface Attempt {
  id: string
  startedAt: Date
  beganAt: number
  identity: HeaderMap
  room?: WaitingRoom
  recording?: Recording
  waitedMs: number
}

interface Admitted {
  admission: Admission
  /** Undefined where none was needed, or where it is there already. */
  consent: Consent | undefined
  granted?: Grant
}

/** Admitted, and approved where a policy demands it; after a wait, admitted once more. */
async function admitWithConsent(
  deps: SessionDeps,
  ask: SessionAsk,
  attempt: Attempt,
): Promise<Admitted> {
  const { user, access } = ask
  const again = async (): Promise<Admission> => await admit(deps, user, attempt.identity, access)
  const admission = await again()
  if (admission.decision.kind === 'requireApproval' && ask.granted !== undefined) {
    const { granted } = ask
    if (isCovered(granted, admission.decision)) return { admission, consent: undefined, granted }
  }
  const openRoom = async (): Promise<WaitingRoom> => {
    if (ask.openRoom === undefined) throw new GatewayError('InternalError', 'no room to wait in')
    attempt.room = await ask.openRoom()
    return attempt.room
  }
  const request: ConsentRequest = {
    desk: deps.desk,
    metrics: deps.metrics,
    clusterUID: deps.clusterUID,
    user,
    access,
    openRoom: ask.openRoom === undefined ? undefined : openRoom,
    stop: deps.stop,
  }
  const beganWaiting = performance.now()
  const consent = await seekConsent(request, admission)
  if (consent === undefined || attempt.room === undefined) return { admission, consent }
  attempt.waitedMs = performance.now() - beganWaiting
  const now = await again()
  assertStillBound(request, now, consent)
  return { admission: now, consent }
}

function approvalRecord({ ticket, verdict }: Consent): NonNullable<SessionStart['approval']> {
  const { name, namespace, uid, digest } = ticket
  return { name, namespace, uid, digest, approvers: verdict.by, until: verdict.until }
}

function sessionStart(
  deps: SessionDeps,
  ask: SessionAsk,
  attempt: Attempt,
  { admission: { operation, facts, decision }, consent, granted }: Admitted,
): SessionStart {
  const { user, access, client, protocol, parent } = ask
  const { username, groups, uid, issuer } = user
  const { namespace, pod, podUID, container, image, node, service, serviceAccount } = facts
  const approval = consent === undefined ? granted?.approval : approvalRecord(consent)
  return {
    id: attempt.id,
    user: { username, groups, issuer, ...(uid === undefined ? {} : { uid }) },
    operation,
    target: {
      cluster: deps.clusterUID,
      namespace,
      pod,
      podUID,
      container,
      image,
      ...(node === undefined ? {} : { node }),
      ...(service === undefined ? {} : { service }),
      ...(serviceAccount === undefined ? {} : { serviceAccount }),
      ...(access.port === undefined ? {} : { port: access.port }),
    },
    command: access.command,
    tty: access.tty,
    stdin: access.stdin,
    content: decision.obligations.content,
    policies: decision.policies,
    ...(approval === undefined ? {} : { approval }),
    ...(access.debug === undefined ? {} : { debug: access.debug }),
    ...(parent === undefined ? {} : { parent }),
    client,
    protocol: { client: protocol },
    startedAt: attempt.startedAt,
  }
}

/** The recording lives from its first moment, those who listen to it come later. */
interface LateHooks extends RecordingHooks {
  bind(hooks: RecordingHooks): void
}

function lateHooks(): LateHooks {
  let bound: RecordingHooks | undefined
  let early: GatewayError | undefined
  return {
    onRelease: (entries) => bound?.onRelease(entries),
    onFailure: (error) => {
      if (bound === undefined) early = error
      else bound.onFailure(error)
    },
    bind(hooks) {
      bound = hooks
      if (early !== undefined) hooks.onFailure(early)
    },
  }
}

async function openRecord(
  deps: SessionDeps,
  start: SessionStart,
  hooks: RecordingHooks,
): Promise<Recording> {
  if (start.content === 'Full') {
    return await deps.storeGate.pass(() => openRecording(deps.store, start, hooks))
  }
  const digests = recordDigests(hooks)
  return digests.over(
    await deps.storeGate.pass(() => openRecording(deps.store, start, digests.hooks)),
  )
}

async function open(
  deps: SessionDeps,
  ask: SessionAsk,
  attempt: Attempt,
  work: SessionWork,
): Promise<SessionEnd> {
  const { operation } = ask.access
  const admitted = await admitWithConsent(deps, ask, attempt)
  const { admission, consent, granted } = admitted
  const hooks = lateHooks()
  const start = sessionStart(deps, ask, attempt, admitted)
  attempt.recording = await openRecord(deps, start, hooks)
  const spent =
    consent && (await spendApproval(deps.desk, consent.ticket, attempt.id, attempt.room))
  const until = spent?.until ?? granted?.until
  let isRunning = false
  const session: OpenedSession = {
    id: attempt.id,
    user: ask.user,
    access: ask.access,
    admission,
    recording: attempt.recording,
    identity: attempt.identity,
    marked: identityOf(ask.user, attempt.id),
    expiresInMs: until === undefined ? undefined : until.getTime() - Date.now(),
    elapsedMs: () => Math.round(performance.now() - attempt.beganAt),
    bind: (to) => hooks.bind(to),
    running(code = '101') {
      isRunning = true
      const openedMs = performance.now() - attempt.beganAt - attempt.waitedMs
      deps.metrics.openSeconds.observe(openedMs / 1000)
      deps.metrics.requests.inc({ code, kind: kindOf(operation) })
      deps.metrics.sessionsActive.inc({ operation })
    },
  }
  try {
    return await work.run(session)
  } finally {
    if (isRunning) deps.metrics.sessionsActive.dec({ operation })
  }
}

function kindOf(operation: string): string {
  return `${operation.charAt(0).toLowerCase()}${operation.slice(1)}`
}

/** The end of an attempt that never became a session. */
async function refuse(
  deps: SessionDeps,
  ask: SessionAsk,
  work: SessionWork,
  error: unknown,
): Promise<SessionEnd> {
  const status = statusOf(error, 'opening the session')
  const kind = kindOf(ask.access.operation)
  deps.metrics.requests.inc({ code: String(status.code ?? 500), kind })
  await work.refuse(status)
  return {
    outcome: UpstreamStatusError.is(error) ? 'Failed' : 'Refused',
    message: status.message ?? '',
    bytes: { stdin: 0, stdout: 0, stderr: 0 },
    masked: {},
    endedAt: new Date(),
  }
}

function logFields({ user, access }: SessionAsk): Record<string, string> {
  const { operation, namespace, review } = access
  return { user: user.username, operation, namespace, [review.resource]: review.name }
}

/** Never rejects: whatever happens is told to the client, logged and recorded. */
export async function conductSession(
  deps: SessionDeps,
  ask: SessionAsk,
  work: SessionWork,
): Promise<void> {
  const startedAt = new Date()
  const id = newSessionId(startedAt.getTime())
  deps.onSession?.(id)
  const log = deps.log.child({ session: id, ...logFields(ask) })
  try {
    const attempt: Attempt = {
      id,
      startedAt,
      beganAt: performance.now(),
      identity: {},
      waitedMs: 0,
    }
    let end: SessionEnd
    try {
      attempt.identity = identityOf(ask.user)
      end = await open(deps, ask, attempt, work)
    } catch (error) {
      const cause = GatewayError.is(error) ? error.cause : undefined
      log.info(
        { reason: errorText(error), cause: cause === undefined ? undefined : errorText(cause) },
        'session refused',
      )
      end = await refuse(deps, ask, work, error)
    }
    deps.metrics.sessionsEnded.inc({ outcome: end.outcome })
    await attempt.recording?.seal(end)
    log.info({ outcome: end.outcome, exitCode: end.exitCode, bytes: end.bytes }, 'session ended')
  } catch (error) {
    // The record could not be sealed; its lease runs out and it is sealed as unclean.
    log.error({ reason: errorText(error) }, 'session record was not sealed')
  }
}
