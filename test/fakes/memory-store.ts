/**
 * A transcript store in memory, which can also go away, fall silent or answer out of order.
 * It passes the same suite as the one on MongoDB (test/conformance/store-suite.ts).
 */
import { GatewayError } from '../../lib/errors/gateway-error.ts'
import { frameId, type FrameDocument } from '../../lib/recording/frame.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import type { PutResult, SessionQuery, TranscriptStore } from '../../lib/recording/store.ts'

/**
 * `down`: every call fails at once. `silent`: no call is answered until the mode changes.
 * `refusing`: the server answers with an error that does not go away.
 * `forgetful`: writes are done, but their answer is lost.
 */
export type StoreMode = 'up' | 'down' | 'silent' | 'refusing' | 'forgetful'

export interface MemoryStore extends TranscriptStore {
  mode: StoreMode
  /** While true, putFrame waits for `answer`. */
  holding: boolean
  /** Sequence numbers of the frames that wait for their answer. */
  readonly held: number[]
  answer(seq: number): void
  readonly frames: Map<string, FrameDocument>
  readonly sessions: Map<string, SessionDocument>
  /** Calls of putFrame so far. */
  readonly puts: number
}

function away(): GatewayError {
  return new GatewayError('ServiceUnavailable', 'the store is away', { id: 1012 })
}

let stores = 0

export function createMemoryStore(): MemoryStore {
  const frames = new Map<string, FrameDocument>()
  const sessions = new Map<string, SessionDocument>()
  const waiting = new Map<number, () => void>()
  let wake: (() => void)[] = []
  const now: { mode: StoreMode } = { mode: 'up' }
  let puts = 0

  async function enter(): Promise<void> {
    await Promise.resolve()
    while (now.mode === 'silent') {
      await new Promise<void>((resolve) => {
        wake.push(resolve)
      })
    }
    if (now.mode === 'down') throw away()
    if (now.mode === 'refusing') throw new GatewayError('InternalError', 'disk full', { id: 1012 })
  }

  function put<Document extends { _id: string; writer: string; kind?: string }>(
    map: Map<string, Document>,
    document: Document,
  ): PutResult {
    const found = map.get(document._id)
    if (found === undefined) map.set(document._id, structuredClone(document))
    if (now.mode === 'forgetful') throw away()
    if (found === undefined) return 'stored'
    return found.writer === document.writer && found.kind === document.kind ? 'stored' : 'taken'
  }

  return {
    replica: `memory-${++stores}`,
    holding: false,
    frames,
    sessions,
    get mode() {
      return now.mode
    },
    set mode(next) {
      now.mode = next
      const sleepers = wake
      wake = []
      for (const sleeper of sleepers) sleeper()
    },
    get held() {
      return [...waiting.keys()]
    },
    answer(seq) {
      waiting.get(seq)?.()
      waiting.delete(seq)
    },
    get puts() {
      return puts
    },
    prepare: enter,
    async putSession(session) {
      await enter()
      return put<SessionDocument & { kind?: string }>(sessions, session)
    },
    async putFrame(frame) {
      puts++
      await enter()
      if (this.holding) {
        await new Promise<void>((resolve) => {
          waiting.set(frame.seq, resolve)
        })
      }
      return put<FrameDocument>(frames, frame)
    },
    async getFrame(session, seq) {
      await enter()
      return structuredClone(frames.get(frameId(session, seq)))
    },
    async peekFrame(session, seq) {
      await enter()
      return frames.get(frameId(session, seq))?.kind
    },
    async setEnd(session, end) {
      await enter()
      const found = sessions.get(session)
      if (found !== undefined) sessions.set(session, { ...found, end, leaseUntil: null })
    },
    async renewLeases(ids, leaseUntil) {
      await enter()
      return ids.filter((id) => {
        const found = sessions.get(id)
        if (found === undefined || found.end !== null) return true
        sessions.set(id, { ...found, leaseUntil })
        return false
      })
    },
    async openSessions() {
      await enter()
      return [...sessions.values()].flatMap(({ _id, leaseUntil }) =>
        leaseUntil === null ? [] : [{ id: _id, leaseUntil }],
      )
    },
    async getSession(session) {
      await enter()
      return structuredClone(sessions.get(session))
    },
    async listSessions(query) {
      await enter()
      return [...sessions.values()]
        .filter((session) => matches(session, query))
        .sort(newestFirst)
        .slice(0, query.limit)
        .map((session) => structuredClone(session))
    },
    async findDebug({ podUID, container }) {
      await enter()
      const [newest] = [...sessions.values()]
        .filter(({ end }) => end?.created?.podUID === podUID && end.created.container === container)
        .sort(newestFirst)
      return structuredClone(newest)
    },
    ping: enter,
    close: () => Promise.resolve(),
  }
}

function newestFirst(left: SessionDocument, right: SessionDocument): number {
  const byTime = right.startedAt.getTime() - left.startedAt.getTime()
  if (byTime !== 0) return byTime
  return right._id < left._id ? -1 : 1
}

function matches(session: SessionDocument, query: SessionQuery): boolean {
  const { username, issuer, namespace, pod, after } = query
  if (username !== undefined && session.user.username !== username) return false
  if (issuer !== undefined && session.user.issuer !== issuer) return false
  if (namespace !== undefined && session.target.namespace !== namespace) return false
  if (pod !== undefined && session.target.pod !== pod) return false
  if (after === undefined) return true
  const byTime = after.startedAt.getTime() - session.startedAt.getTime()
  return byTime > 0 || (byTime === 0 && session._id < after.id)
}
