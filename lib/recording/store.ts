/**
 * Recording: the transcript of a session, written before its bytes are released.
 *
 * `recorder.ts` numbers what a session shows, hands it to a TranscriptStore and
 * releases it once the store has it for good. This file is what a store must be
 * able to do: plain inserts, look-ups by id and updates, so that any server of
 * the MongoDB wire protocol can be one.
 *
 * May import: errors and other folders of a lower level; `mongodb` only in
 * mongo-store.ts.
 */
import type { FrameDocument } from './frame.ts'
import type { SessionDocument, TerminalRecord } from './session-document.ts'

/** `taken`: another writer has put something there; what we hold was not stored. */
export type PutResult = 'stored' | 'taken'

export interface SessionQuery {
  username?: string
  issuer?: string
  namespace?: string
  pod?: string
  /** Only sessions that come after this one in the list (newest first). */
  after?: { startedAt: Date; id: string }
  limit: number
}

/** Names what was made; see CreatedTarget. */
export interface DebugQuery {
  podUID: string
  /** Empty: the pod itself. */
  container: string
}

export interface OpenSession {
  id: string
  leaseUntil: Date
}

/**
 * Every method rejects with a GatewayError: reason ServiceUnavailable when the
 * store cannot be reached or has not acknowledged (the same call may be made
 * again), any other reason when it refused.
 */
export interface TranscriptStore {
  /** Names this process, anew at every start. */
  readonly replica: string
  /** Creates the indexes; to be called once before anything else. */
  prepare(): Promise<void>
  /** Making the same call again after an unclear failure is safe: our own document counts as stored. */
  putSession(session: SessionDocument): Promise<PutResult>
  /** Resolves once a majority has the frame in its journal. Safe to repeat, like putSession. */
  putFrame(frame: FrameDocument): Promise<PutResult>
  getFrame(session: string, seq: number): Promise<FrameDocument | undefined>
  /** What stands at this place, without its bytes. */
  peekFrame(session: string, seq: number): Promise<FrameDocument['kind'] | undefined>
  /** Copies the terminal record into the session's document, so that lists show it. */
  setEnd(session: string, end: TerminalRecord): Promise<void>
  /** Answers with those of `sessions` that have come to their end meanwhile. */
  renewLeases(sessions: readonly string[], leaseUntil: Date): Promise<string[]>
  openSessions(): Promise<OpenSession[]>
  getSession(session: string): Promise<SessionDocument | undefined>
  /** Newest first. */
  listSessions(query: SessionQuery): Promise<SessionDocument[]>
  /** The newest session that has made this debug container or pod. */
  findDebug(query: DebugQuery): Promise<SessionDocument | undefined>
  ping(): Promise<void>
  close(): Promise<void>
}
