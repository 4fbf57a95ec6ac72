/**
 * A login store in memory, which can also go away. It passes the same suite as the one on MongoDB
 * (test/conformance/login-store-suite.ts). Several replicas share one by sharing the object.
 */
import { GatewayError } from '../../lib/errors/gateway-error.ts'
import type {
  LoginDocument,
  LoginSelector,
  LoginStore,
  PendingDocument,
  RevocationDocument,
  TokenDocument,
} from '../../lib/identity/login-store.ts'

export interface MemoryLoginStore extends LoginStore {
  mode: 'up' | 'down'
  /** Everything in it, as a thief would find it. */
  dump(): string
}

export function createMemoryLoginStore(): MemoryLoginStore {
  const logins = new Map<string, LoginDocument>()
  const tokens = new Map<string, TokenDocument>()
  const pending = new Map<string, PendingDocument>()
  const spent = new Map<string, Date>()
  const revocations = new Map<string, RevocationDocument>()
  let version = 0

  async function up<T>(work: () => T): Promise<T> {
    if (store.mode === 'down') {
      throw new GatewayError('ServiceUnavailable', 'the store is away', { id: 1452 })
    }
    return work()
  }

  function matches(login: LoginDocument, which: LoginSelector): boolean {
    if ('id' in which) return login._id === which.id
    if ('username' in which) {
      const { username, issuer } = login.person
      return username === which.username && (which.issuer === undefined || issuer === which.issuer)
    }
    if ('issuer' in which) return login.person.issuer === which.issuer
    if (login.provider !== which.provider) return false
    if (!('providerSession' in which)) return login.subject === which.subject
    const isSession = login.providerSession === which.providerSession
    return isSession || (login.providerSession === undefined && login.subject === which.subject)
  }

  function alive(id: string): LoginDocument | undefined {
    const login = logins.get(id)
    return login?.endedAt === null ? login : undefined
  }

  const store: MemoryLoginStore = {
    mode: 'up',
    dump: () =>
      JSON.stringify(
        [logins, tokens, pending, spent, revocations].map((map) => [...map]),
        (_key, value: unknown) =>
          value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
      ),
    prepare: () => up(() => undefined),
    close: async () => undefined,
    insertLogin: (login) => up(() => void logins.set(login._id, copyOf(login))),
    getLogin: (id) => up(() => copyOf(logins.get(id))),
    rotateRefresh: (id, from, next) =>
      up(() => {
        const login = alive(id)
        if (login === undefined || login.refresh.digest !== from) return false
        login.spent.push(from)
        login.refresh = next
        return true
      }),
    claimCheck: (id, seen, now, until) =>
      up(() => {
        const login = alive(id)
        if (login === undefined || login.checkedAt.getTime() !== seen.getTime()) return false
        if (login.checkingUntil !== null && login.checkingUntil >= now) return false
        login.checkingUntil = until
        return true
      }),
    finishCheck: (id, claimed, { checkedAt, person, upstream }) =>
      up(() => {
        const login = alive(id)
        if (login?.checkingUntil?.getTime() !== claimed.getTime()) return
        login.checkedAt = checkedAt
        login.checkingUntil = null
        if (person !== undefined) login.person = person
        if (upstream !== undefined) login.upstream = upstream
      }),
    findLogins: (which) =>
      up(() =>
        [...logins.values()]
          .filter((login) => login.endedAt === null && matches(login, which))
          .map(({ _id }) => _id),
      ),
    endLogins: (which, at, reason) =>
      up(() => {
        const ended = [...logins.values()].filter(
          (login) => login.endedAt === null && matches(login, which),
        )
        for (const login of ended) {
          login.endedAt = at
          login.endReason = reason
          login.upstream = null
        }
        return ended.map(({ _id }) => _id)
      }),
    listLogins: (username, limit) =>
      up(() =>
        [...logins.values()]
          .filter(
            ({ endedAt, endsAt, person }) =>
              endedAt === null &&
              endsAt.getTime() > Date.now() &&
              (username === undefined || person.username === username),
          )
          .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
          .slice(0, limit),
      ),
    insertToken: (token) => up(() => void tokens.set(token._id, copyOf(token))),
    getToken: (digest) => up(() => copyOf(tokens.get(digest))),
    putPending: (item) => up(() => void pending.set(item._id, { ...item })),
    getPending: (id) => up(() => copyOf(pending.get(id))),
    takePending: (id) =>
      up(() => {
        const found = pending.get(id)
        pending.delete(id)
        return found
      }),
    settlePending: (id, state, data) =>
      up(() => {
        const found = pending.get(id)
        if (found?.state !== 'Open') return false
        pending.set(id, { ...found, state, data })
        return true
      }),
    spend: (id, until) =>
      up(() => {
        if (spent.has(id)) return false
        spent.set(id, until)
        return true
      }),
    isSpent: (id) => up(() => spent.has(id)),
    putRevocation: (revocation) =>
      up(() => {
        revocations.set(revocation._id, revocation)
        version += 1
      }),
    liftRevocation: (id) =>
      up(() => {
        const found = revocations.delete(id)
        if (found) version += 1
        return found
      }),
    listRevocations: () => up(() => [...revocations.values()]),
    revocationVersion: () => up(() => version),
    sweep: (now) =>
      up(() => {
        for (const [id, { expiresAt }] of pending) if (expiresAt < now) pending.delete(id)
        for (const [id, until] of spent) if (until < now) spent.delete(id)
        for (const [id, { until }] of revocations) {
          if (until !== null && until < now) revocations.delete(id)
        }
      }),
  }
  return store
}

/** structuredClone makes plain Uint8Arrays of Buffers. */
function copyOf<T>(value: T): T {
  if (value instanceof Date) return new Date(value) as T
  if (Buffer.isBuffer(value)) return Buffer.from(value) as T
  if (Array.isArray(value)) return value.map(copyOf) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyOf(item)])) as T
}
