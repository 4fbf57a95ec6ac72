/**
 * A session as the API shows it: one flat document, without what is only the store's. PURE.
 */
import type {
  SessionDocument,
  SessionStart,
  TerminalRecord,
} from '../recording/session-document.ts'

type Started = Omit<SessionStart, 'startedAt'> & { startedAt: string }

export interface SessionView extends Started {
  kind: 'Session'
  apiVersion: 'podgate.dev/v1alpha1'
  /** The rest is there once the session has ended. */
  state: 'Running' | 'Ended'
  endedAt?: string
  outcome?: TerminalRecord['outcome']
  exitCode?: number
  message?: string
  /** Missing where the gateway did not live to count. */
  bytes?: { stdin: number; stdout: number; stderr: number }
  masked?: Record<string, number>
  connections?: number
  files?: number
  created?: TerminalRecord['created']
}

export function sessionView(session: SessionDocument): SessionView {
  const {
    _id,
    schemaVersion: _version,
    writer: _writer,
    leaseUntil: _lease,
    end,
    ...start
  } = session
  return {
    kind: 'Session',
    apiVersion: 'podgate.dev/v1alpha1',
    id: _id,
    ...start,
    startedAt: start.startedAt.toISOString(),
    ...(end === null ? { state: 'Running' } : { state: 'Ended', ...endView(end) }),
  }
}

function endView(end: TerminalRecord): Omit<Partial<SessionView>, 'state'> {
  const { connections, files, created } = end
  return {
    endedAt: end.endedAt.toISOString(),
    outcome: end.outcome,
    ...(end.exitCode === undefined ? {} : { exitCode: end.exitCode }),
    ...(end.message === undefined ? {} : { message: end.message }),
    ...(end.bytes === null ? {} : { bytes: end.bytes }),
    masked: Object.fromEntries(end.masked.map(({ name, count }) => [name, count])),
    ...(connections === undefined ? {} : { connections }),
    ...(files === undefined ? {} : { files }),
    ...(created === undefined ? {} : { created }),
  }
}
