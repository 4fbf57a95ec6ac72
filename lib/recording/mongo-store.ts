/**
 * The transcript store on MongoDB, or on any server of its wire protocol.
 *
 *   sessions   one document a session          _id: session
 *   frames     what was shown, append-only     _id: session/seq
 *
 * Every look-up of a frame is by `_id` alone, an index each server has; so no second index slows
 * the inserts down.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

import type { Collection, MongoClient } from 'mongodb'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  databaseName,
  openMongo,
  prepareIndexes,
  type MongoOptions,
} from '../mongo/mongo-client.ts'
import { isDuplicateKey, storeError } from '../mongo/mongo-error.ts'
import { frameId, type FrameDocument } from './frame.ts'
import type { SessionDocument, TerminalRecord } from './session-document.ts'
import type { DebugQuery, OpenSession, PutResult, SessionQuery, TranscriptStore } from './store.ts'

export type MongoStoreOptions = MongoOptions

/** More than the inserts that fit through one server at a time. A URI may say otherwise. */
const MAX_CONNECTIONS = 64

const SESSION_INDEXES = [
  { key: { startedAt: -1, _id: -1 }, name: 'newest' },
  { key: { 'user.username': 1, startedAt: -1, _id: -1 }, name: 'newest-of-user' },
  { key: { leaseUntil: 1 }, name: 'open' },
  { key: { 'end.created.podUID': 1, startedAt: -1 }, name: 'made' },
] as const

export function createMongoStore(options: MongoStoreOptions): TranscriptStore {
  return new MongoStore(options)
}

class MongoStore implements TranscriptStore {
  readonly replica = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  readonly #client: MongoClient
  readonly #sessions: Collection<SessionDocument>
  readonly #frames: Collection<FrameDocument>
  readonly #databaseName: string

  constructor(options: MongoStoreOptions) {
    this.#client = openMongo(options, MAX_CONNECTIONS)
    this.#databaseName = databaseName(options)
    const database = this.#client.db(this.#databaseName)
    this.#sessions = database.collection('sessions')
    this.#frames = database.collection('frames')
  }

  async prepare(): Promise<void> {
    await this.#run('preparing the transcript store', () =>
      prepareIndexes(this.#sessions, SESSION_INDEXES),
    )
  }

  putSession(session: SessionDocument): Promise<PutResult> {
    return this.#run('opening the transcript', async () => {
      try {
        await this.#sessions.insertOne(session)
        return 'stored'
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
        const found = await this.#sessions.findOne({ _id: session._id })
        return ownership(found?.writer, session.writer)
      }
    })
  }

  putFrame(frame: FrameDocument): Promise<PutResult> {
    return this.#run('writing the transcript', async () => {
      try {
        await this.#frames.insertOne(frame)
        return 'stored'
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
        const found = await this.#frames.findOne(
          { _id: frame._id },
          { projection: { writer: 1, kind: 1 } },
        )
        if (found !== null && found.kind !== frame.kind) return 'taken'
        return ownership(found?.writer, frame.writer)
      }
    })
  }

  getFrame(session: string, seq: number): Promise<FrameDocument | undefined> {
    return this.#run('reading the transcript', async () => {
      const found = await this.#frames.findOne({ _id: frameId(session, seq) })
      return found ?? undefined
    })
  }

  peekFrame(session: string, seq: number): Promise<FrameDocument['kind'] | undefined> {
    return this.#run('reading the transcript', async () => {
      const found = await this.#frames.findOne(
        { _id: frameId(session, seq) },
        { projection: { kind: 1 } },
      )
      return found?.kind
    })
  }

  async setEnd(session: string, end: TerminalRecord): Promise<void> {
    await this.#run('sealing the transcript', () =>
      this.#sessions.updateOne({ _id: session }, { $set: { end, leaseUntil: null } }),
    )
  }

  renewLeases(sessions: readonly string[], leaseUntil: Date): Promise<string[]> {
    return this.#run('renewing leases', async () => {
      const ids = [...sessions]
      const { matchedCount } = await this.#sessions.updateMany(
        { _id: { $in: ids }, end: null },
        { $set: { leaseUntil } },
      )
      if (matchedCount >= ids.length) return []
      const alive = await this.#sessions
        .find({ _id: { $in: ids }, end: null }, { projection: { _id: 1 } })
        .toArray()
      const living = new Set(alive.map(({ _id }) => _id))
      return ids.filter((id) => !living.has(id))
    })
  }

  openSessions(): Promise<OpenSession[]> {
    return this.#run('looking for abandoned sessions', async () => {
      const open = await this.#sessions
        .find({ leaseUntil: { $gt: new Date(0) } }, { projection: { leaseUntil: 1 } })
        .toArray()
      return open.flatMap(({ _id, leaseUntil }) =>
        leaseUntil === null ? [] : [{ id: _id, leaseUntil }],
      )
    })
  }

  getSession(session: string): Promise<SessionDocument | undefined> {
    return this.#run('reading a session', async () => {
      const found = await this.#sessions.findOne({ _id: session })
      return found ?? undefined
    })
  }

  listSessions(query: SessionQuery): Promise<SessionDocument[]> {
    return this.#run('listing sessions', () =>
      this.#sessions
        .find(listFilter(query))
        .sort({ startedAt: -1, _id: -1 })
        .limit(query.limit)
        .toArray(),
    )
  }

  findDebug({ podUID, container }: DebugQuery): Promise<SessionDocument | undefined> {
    return this.#run('looking for a debug session', async () => {
      const [found] = await this.#sessions
        .find({
          'end.created.podUID': { $eq: podUID },
          'end.created.container': { $eq: container },
        })
        .sort({ startedAt: -1, _id: -1 })
        .limit(1)
        .toArray()
      return found
    })
  }

  async ping(): Promise<void> {
    await this.#run('asking MongoDB for a sign of life', () =>
      this.#client.db(this.#databaseName).command({ ping: 1 }),
    )
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #run<Result>(doing: string, task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } catch (error) {
      throw storeError(error, doing)
    }
  }
}

/**
 * A duplicate key means that the place is taken, by our own earlier attempt or by another. Reads
 * are of majority data, so what is not to be seen yet is not acknowledged yet either.
 */
function ownership(found: string | undefined, own: string): PutResult {
  if (found === undefined) {
    throw new GatewayError('ServiceUnavailable', 'written, but not yet on a majority of MongoDB', {
      id: 1012,
    })
  }
  return found === own ? 'stored' : 'taken'
}

/** Only `$eq` around what people send: a value can never become an operator. */
function listFilter(query: SessionQuery): Record<string, unknown> {
  const filter: Record<string, unknown> = {}
  if (query.username !== undefined) filter['user.username'] = { $eq: query.username }
  if (query.issuer !== undefined) filter['user.issuer'] = { $eq: query.issuer }
  if (query.namespace !== undefined) filter['target.namespace'] = { $eq: query.namespace }
  if (query.pod !== undefined) filter['target.pod'] = { $eq: query.pod }
  if (query.after !== undefined) {
    const { startedAt, id } = query.after
    filter['$or'] = [
      { startedAt: { $lt: startedAt } },
      { startedAt: { $eq: startedAt }, _id: { $lt: id } },
    ]
  }
  return filter
}
