/**
 * The record of one session: who, what, where, by which policy, and how it ended.
 * PURE.
 */
import type { DebugFacts } from '../api/debug-facts.ts'
import type { Operation } from '../api/operation.ts'
import { GatewayError } from '../errors/gateway-error.ts'

export const SESSION_SCHEMA_VERSION = 1

export interface SessionUser {
  username: string
  groups: string[]
  uid?: string
  issuer: string
}

export interface SessionTarget {
  cluster: string
  namespace: string
  pod: string
  podUID: string
  /** Empty where the operation is about no container: port-forward, proxies, tokens. */
  container: string
  image: string
  node?: string
  /** For Proxy of a service, and TokenRequest; `pod` and `podUID` are empty then. */
  service?: string
  serviceAccount?: string
  /** For Proxy; a port-forward names its ports with each connection. */
  port?: number
}

export interface SessionPolicy {
  kind: string
  namespace?: string
  name: string
  uid: string
  digest: string
}

export interface SessionApproval {
  name: string
  namespace: string
  uid: string
  digest: string
  approvers: { username: string; reason: string; time: string }[]
  /** What was approved may go on until then. */
  until?: Date
}

export interface SessionStart {
  id: string
  user: SessionUser
  operation: Operation
  target: SessionTarget
  command: string[]
  tty: boolean
  stdin: boolean
  policies: SessionPolicy[]
  approval?: SessionApproval
  /** What was decided on, for Debug. */
  debug?: DebugFacts
  /** `Digest`: what was shown is not kept, only how much it was and its SHA-256. */
  content: 'Full' | 'Digest'
  /** The session by whose decision this one was opened: attaching to a debug container. */
  parent?: string
  client: { address: string; userAgent: string }
  /** Wire and version towards the client, e.g. `websocket v5.channel.k8s.io`. */
  protocol: { client?: string }
  startedAt: Date
}

/** What a session of Debug has made; attaching to it belongs to the same decision. */
export interface CreatedTarget {
  pod: string
  podUID: string
  /** Empty where the whole pod was made. */
  container: string
}

export type SessionOutcome =
  | 'Completed'
  | 'Refused'
  | 'Failed'
  | 'ClientLost'
  | 'UpstreamLost'
  | 'Expired'
  | 'Revoked'
  | 'StoreLost'

export interface SessionEnd {
  outcome: SessionOutcome
  exitCode?: number
  message?: string
  bytes: { stdin: number; stdout: number; stderr: number }
  /** Values masked, by detector or pattern name. */
  masked: Record<string, number>
  /** TCP connections of a port-forward, files of a copy. */
  connections?: number
  files?: number
  created?: CreatedTarget
  endedAt: Date
}

/** The one end of a session, as stored: by its writer, or `Unclean` by whoever found it abandoned. */
export interface TerminalRecord {
  outcome: SessionOutcome | 'Unclean'
  exitCode?: number
  message?: string
  /** Unknown (null) where the writer did not live to tell. */
  bytes: { stdin: number; stdout: number; stderr: number } | null
  /** Pairs, not an object: pattern names may hold dots, which field names should not. */
  masked: { name: string; count: number }[]
  connections?: number
  files?: number
  created?: CreatedTarget
  endedAt: Date
  /** Frames of data before this record. */
  frames: number
  /** Who wrote this record: the recording itself, or the sealer of another process. */
  sealedBy: string
}

export interface SessionDocument extends Omit<SessionStart, 'id'> {
  _id: string
  schemaVersion: number
  writer: string
  /** A sign of life: changes with each heartbeat; null once the session has ended. */
  leaseUntil: Date | null
  /** Copy of the terminal record among the frames, which is the original. */
  end: TerminalRecord | null
}

/** Frame ids are `session/seq`, so a session's own id holds no slash. */
const SESSION_ID = /^[a-z0-9][a-z0-9-]{0,62}$/

export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text)
}

export function sessionDocument(
  start: SessionStart,
  writer: string,
  leaseUntil: Date,
): SessionDocument {
  const { id, ...rest } = start
  if (!isSessionId(id)) {
    throw new GatewayError('InternalError', `${JSON.stringify(id)} cannot be a session's id`)
  }
  return {
    _id: id,
    schemaVersion: SESSION_SCHEMA_VERSION,
    ...rest,
    writer,
    leaseUntil,
    end: null,
  }
}

/** The terminal record by the session's own writer. */
export function terminalRecord(end: SessionEnd, sealedBy: string): Omit<TerminalRecord, 'frames'> {
  const { masked, ...rest } = end
  return {
    ...rest,
    masked: Object.entries(masked).map(([name, count]) => ({ name, count })),
    sealedBy,
  }
}
