/**
 * The login store on MongoDB, or on any server of its wire protocol.
 *
 *   logins        one document a sign-in                 _id: name of the sign-in
 *   tokens        one document an access token           _id: digest of the token
 *   pending       begun and not finished                 _id: digest of what has to be brought
 *   spent         used once                              _id: digest of what was used
 *   revocations   who was revoked; `head` counts them    _id: r-…, head
 */
import { createHash } from 'node:crypto'

import { Binary, type Collection, type MongoClient } from 'mongodb'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  databaseName,
  openMongo,
  prepareIndexes,
  type MongoOptions,
} from '../mongo/mongo-client.ts'
import { isDuplicateKey, storeError } from '../mongo/mongo-error.ts'
import type {
  CheckedLogin,
  LoginDocument,
  LoginSelector,
  LoginStore,
  PendingDocument,
  RevocationDocument,
  TokenDocument,
} from './login-store.ts'
import type { Person } from './user.ts'

/** Its own few connections: a revocation must not queue behind transcripts. */
const MAX_CONNECTIONS = 16
/** What has ended is kept so long, so that words can still be found for it. */
export const KEEP_ENDED_MS: number = 7 * 24 * 60 * 60 * 1000
const HEAD = 'head'

/** People as text: their extras are keyed by names with dots, which field names should not have. */
type Stored<T extends { person: Person }> = Omit<T, 'person'> & {
  person: string
  username: string
  issuer: string
}

interface SpentDocument {
  _id: string
  until: Date
}

interface HeadDocument {
  _id: string
  version: number
}

const LOGIN_INDEXES = [
  { key: { username: 1, createdAt: -1 }, name: 'of-user' },
  { key: { provider: 1, subject: 1 }, name: 'of-subject' },
  { key: { endsAt: 1 }, name: 'over' },
] as const
const TOKEN_INDEXES = [{ key: { expiresAt: 1 }, name: 'over' }] as const
const PENDING_INDEXES = [{ key: { expiresAt: 1 }, name: 'over' }] as const
const SPENT_INDEXES = [{ key: { until: 1 }, name: 'over' }] as const

export function createMongoLoginStore(options: MongoOptions): LoginStore {
  return new MongoLoginStore(options)
}

class MongoLoginStore implements LoginStore {
  readonly #client: MongoClient
  readonly #logins: Collection<Stored<LoginDocument>>
  readonly #tokens: Collection<Stored<TokenDocument>>
  readonly #pending: Collection<PendingDocument>
  readonly #spent: Collection<SpentDocument>
  readonly #revocations: Collection<RevocationDocument>
  readonly #heads: Collection<HeadDocument>

  constructor(options: MongoOptions) {
    this.#client = openMongo(options, MAX_CONNECTIONS)
    const database = this.#client.db(databaseName(options))
    this.#logins = database.collection('logins')
    this.#tokens = database.collection('tokens')
    this.#pending = database.collection('pending')
    this.#spent = database.collection('spent')
    this.#revocations = database.collection('revocations')
    this.#heads = database.collection('revocation_heads')
  }

  prepare(): Promise<void> {
    return this.#run('preparing the store of sign-ins', async () => {
      await prepareIndexes(this.#logins, LOGIN_INDEXES)
      await prepareIndexes(this.#tokens, TOKEN_INDEXES)
      await prepareIndexes(this.#pending, PENDING_INDEXES)
      await prepareIndexes(this.#spent, SPENT_INDEXES)
    })
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  insertLogin(login: LoginDocument): Promise<void> {
    return this.#run('keeping a sign-in', async () => {
      await this.#logins.insertOne(stored(login))
    })
  }

  getLogin(id: string): Promise<LoginDocument | undefined> {
    return this.#run('looking for a sign-in', async () => {
      const found = await this.#logins.findOne({ _id: id })
      return found === null ? undefined : loginOf(found)
    })
  }

  rotateRefresh(id: string, from: string, next: LoginDocument['refresh']): Promise<boolean> {
    return this.#run('renewing a sign-in', async () => {
      const { matchedCount } = await this.#logins.updateOne(
        { _id: id, 'refresh.digest': from, endedAt: null },
        { $set: { refresh: next }, $push: { spent: from } },
      )
      return matchedCount === 1
    })
  }

  claimCheck(id: string, seen: Date, now: Date, until: Date): Promise<boolean> {
    return this.#run('checking a sign-in', async () => {
      const { matchedCount } = await this.#logins.updateOne(
        {
          _id: id,
          checkedAt: seen,
          endedAt: null,
          $or: [{ checkingUntil: null }, { checkingUntil: { $lt: now } }],
        },
        { $set: { checkingUntil: until } },
      )
      return matchedCount === 1
    })
  }

  finishCheck(
    id: string,
    claimed: Date,
    { checkedAt, person, upstream }: CheckedLogin,
  ): Promise<void> {
    return this.#run('checking a sign-in', async () => {
      await this.#logins.updateOne(
        { _id: id, checkingUntil: claimed, endedAt: null },
        {
          $set: {
            checkedAt,
            checkingUntil: null,
            ...(person === undefined ? {} : personFields(person)),
            ...(upstream === undefined ? {} : { upstream }),
          },
        },
      )
    })
  }

  findLogins(which: LoginSelector): Promise<string[]> {
    return this.#run('looking for sign-ins', async () => {
      const found = await this.#logins
        .find({ ...selector(which), endedAt: null }, { projection: { _id: 1 } })
        .toArray()
      return found.map(({ _id }) => _id)
    })
  }

  endLogins(which: LoginSelector, at: Date, reason: string): Promise<string[]> {
    return this.#run('ending sign-ins', async () => {
      const ids = await this.findLogins(which)
      if (ids.length > 0) {
        // What the provider gave is of no use any more, and is not kept.
        await this.#logins.updateMany(
          { _id: { $in: ids }, endedAt: null },
          { $set: { endedAt: at, endReason: reason, upstream: null } },
        )
      }
      return ids
    })
  }

  listLogins(username: string | undefined, limit: number): Promise<LoginDocument[]> {
    return this.#run('listing sign-ins', async () => {
      const found = await this.#logins
        .find({
          endedAt: null,
          endsAt: { $gt: new Date() },
          ...(username === undefined ? {} : { username: { $eq: username } }),
        })
        .sort({ createdAt: -1, _id: -1 })
        .limit(limit)
        .toArray()
      return found.map(loginOf)
    })
  }

  insertToken(token: TokenDocument): Promise<void> {
    return this.#run('keeping a token', async () => {
      await this.#tokens.insertOne(stored(token))
    })
  }

  getToken(digest: string): Promise<TokenDocument | undefined> {
    return this.#run('looking for a token', async () => {
      const found = await this.#tokens.findOne({ _id: digest })
      return found === null ? undefined : tokenOf(found)
    })
  }

  putPending(pending: PendingDocument): Promise<void> {
    return this.#run('beginning a sign-in', async () => {
      await this.#pending.insertOne(pending)
    })
  }

  getPending(id: string): Promise<PendingDocument | undefined> {
    return this.#run('going on with a sign-in', async () => {
      const found = await this.#pending.findOne({ _id: id })
      return found ?? undefined
    })
  }

  takePending(id: string): Promise<PendingDocument | undefined> {
    return this.#run('going on with a sign-in', async () => {
      const found = await this.#pending.findOne({ _id: id })
      if (found === null) return undefined
      // Of several that have found it, one deletes it.
      const { deletedCount } = await this.#pending.deleteOne({ _id: id })
      return deletedCount === 1 ? found : undefined
    })
  }

  settlePending(id: string, state: 'Done' | 'Refused', data: string): Promise<boolean> {
    return this.#run('going on with a sign-in', async () => {
      const { matchedCount } = await this.#pending.updateOne(
        { _id: id, state: 'Open' },
        { $set: { state, data } },
      )
      return matchedCount === 1
    })
  }

  spend(id: string, until: Date): Promise<boolean> {
    return this.#run('looking whether this was used before', async () => {
      try {
        await this.#spent.insertOne({ _id: spentId(id), until })
        return true
      } catch (error) {
        if (isDuplicateKey(error)) return false
        throw error
      }
    })
  }

  isSpent(id: string): Promise<boolean> {
    return this.#run('looking whether this was used before', async () => {
      return (await this.#spent.findOne({ _id: spentId(id) })) !== null
    })
  }

  putRevocation(revocation: RevocationDocument): Promise<void> {
    return this.#run('revoking', async () => {
      const { _id, ...rest } = revocation
      await this.#revocations.replaceOne({ _id }, rest, { upsert: true })
      await this.#count()
    })
  }

  liftRevocation(id: string): Promise<boolean> {
    return this.#run('lifting a revocation', async () => {
      const { deletedCount } = await this.#revocations.deleteOne({ _id: id })
      if (deletedCount === 1) await this.#count()
      return deletedCount === 1
    })
  }

  listRevocations(): Promise<RevocationDocument[]> {
    return this.#run('reading revocations', () =>
      this.#revocations.find({}).sort({ at: 1, _id: 1 }).toArray(),
    )
  }

  revocationVersion(): Promise<number> {
    return this.#run('reading revocations', async () => {
      const head = await this.#heads.findOne({ _id: HEAD })
      return head?.version ?? 0
    })
  }

  /** After the change itself: whoever sees the new count sees the change, too. */
  async #count(): Promise<void> {
    await this.#heads.updateOne({ _id: HEAD }, { $inc: { version: 1 } }, { upsert: true })
  }

  sweep(now: Date): Promise<void> {
    return this.#run('clearing out sign-ins', async () => {
      const over = { $lt: now }
      await this.#pending.deleteMany({ expiresAt: over })
      await this.#spent.deleteMany({ until: over })
      await this.#revocations.deleteMany({ until: over })
      const longOver = { $lt: new Date(now.getTime() - KEEP_ENDED_MS) }
      await this.#tokens.deleteMany({ expiresAt: longOver })
      await this.#logins.deleteMany({ endsAt: longOver })
    })
  }

  async #run<Result>(doing: string, task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } catch (error) {
      const failure = storeError(error, doing)
      throw new GatewayError(failure.reason, failure.message, { id: 1452, cause: failure.cause })
    }
  }
}

function personFields(person: Person): { person: string; username: string; issuer: string } {
  return {
    person: JSON.stringify(person),
    username: person.username,
    issuer: person.issuer,
  }
}

function stored<T extends { person: Person }>({ person, ...rest }: T): Stored<T> {
  return { ...rest, ...personFields(person) }
}

function loginOf({
  person,
  username: _u,
  issuer: _i,
  ...rest
}: Stored<LoginDocument>): LoginDocument {
  return {
    ...rest,
    person: JSON.parse(person) as Person,
    refresh: { ...rest.refresh, wrapped: bytesOf(rest.refresh.wrapped) },
    upstream: rest.upstream === null ? null : bytesOf(rest.upstream),
  }
}

function tokenOf({
  person,
  username: _u,
  issuer: _i,
  ...rest
}: Stored<TokenDocument>): TokenDocument {
  return { ...rest, person: JSON.parse(person) as Person, wrapped: bytesOf(rest.wrapped) }
}

/** The driver gives a Binary where `promoteBuffers` does not reach. */
function bytesOf(value: unknown): Buffer {
  return value instanceof Binary ? Buffer.from(value.buffer) : (value as Buffer)
}

/** `$eq` around what comes from outside: a value can never become an operator. */
function selector(which: LoginSelector): Record<string, unknown> {
  if ('id' in which) return { _id: { $eq: which.id } }
  if ('username' in which) {
    const { username, issuer } = which
    return {
      username: { $eq: username },
      ...(issuer === undefined ? {} : { issuer: { $eq: issuer } }),
    }
  }
  if ('issuer' in which) return { issuer: { $eq: which.issuer } }
  const provider = { $eq: which.provider }
  if ('providerSession' in which && which.subject !== undefined) {
    const subject = { $eq: which.subject }
    const providerSession = { $eq: which.providerSession }
    return { provider, $or: [{ providerSession }, { subject, providerSession: null }] }
  }
  return 'providerSession' in which
    ? { provider, providerSession: { $eq: which.providerSession } }
    : { provider, subject: { $eq: which.subject } }
}

/** Ids come from outside and may be long; an index key may not. */
function spentId(id: string): string {
  return createHash('sha256').update(id).digest('base64url')
}
