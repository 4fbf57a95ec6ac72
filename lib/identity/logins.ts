/**
 * Sign-ins and the gateway's own tokens: issues them, renews them, knows whose they are, and asks the
 * provider again, every few minutes, whether the person still may.
 */
import { errorText, GatewayError } from '../errors/gateway-error.ts'
import {
  digestOf,
  isToken,
  isWellFormed,
  loginOfRefresh,
  newKey,
  newLoginId,
  newToken,
  openText,
  publicIdOf,
  sealText,
  unwrapKey,
  wrapKey,
} from './gateway-token.ts'
import type { ClientFacts, LoginDocument, LoginStore, TokenDocument } from './login-store.ts'
import type { Recheck, SignedIn } from './oidc-sign-in.ts'
import { ended, expired, unknownToken } from './login-refusal.ts'
import { createOutcomeCache } from './outcome-cache.ts'
import type { Person, User } from './user.ts'
import { within } from './within.ts'

export interface LoginLimits {
  /** Of an access token. */
  tokenMs: number
  /** Of a sign-in, however often it is renewed. */
  sessionMs: number
  /** Between two questions to the provider. */
  recheckMs: number
  /** How long a provider may be away before its people are. */
  outageMs: number
}

export const DEFAULT_LOGIN_LIMITS: LoginLimits = {
  tokenMs: 60 * 60_000,
  sessionMs: 12 * 60 * 60_000,
  recheckMs: 5 * 60_000,
  outageMs: 24 * 60 * 60_000,
}

export interface LoginsDeps {
  store: LoginStore
  limits: LoginLimits
  /** Asks the provider of that name; undefined: it cannot be asked (SAML), or is configured no more. */
  recheck(provider: string): ((upstream: string, subject: string) => Promise<Recheck>) | undefined
  /** Whether there is still such a provider, of that issuer, to have signed somebody in. */
  isConfigured(provider: string, issuer: string): boolean
  /** Ends a sign-in, and what runs of it at all replicas. */
  endLogin(login: string, reason: string): Promise<void>
  /** @throws GatewayError when the person is kept out, so that nobody is sent to sign in in vain */
  assertMayBegin(person: Person): void
  onError(message: string): void
  now?: () => number
  patienceMs?: number
}

export interface IssuedTokens {
  access: string
  refresh: string
  expiresAt: number
  login: string
  person: Person
}

export interface Logins {
  isAccessToken(text: string): boolean
  begin(provider: string, signedIn: SignedIn, client: ClientFacts): Promise<IssuedTokens>
  /** @throws GatewayError Unauthorized */
  renew(refresh: string): Promise<IssuedTokens>
  /** @throws GatewayError Unauthorized */
  verify(access: string): Promise<User>
  /**
   * Those that are over, of sign-ins that something runs of: by their own end, or because the
   * provider says so. Never rejects.
   */
  recheckLive(logins: readonly string[]): Promise<ReadonlyMap<string, GatewayError>>
  /** Looks every token up again. */
  forget(): void
  /** Ends the sign-in of an access or refresh token; quiet where there is none. */
  end(token: string): Promise<string | undefined>
}

/** A verified token is looked up again after this; revocations arrive by themselves. */
const CACHE_MS = 60_000
const MAX_CACHED = 10_000
/** Longer than a provider that is slow at each step can take. */
const RECHECK_CLAIM_MS = 45_000
/** A request waits so long for what a provider says; the question goes on without it. */
const PATIENCE_MS = 3_000
/** A client may have lost the answer that held its new tokens. */
const REUSE_GRACE_MS = 30_000
/** A provider that is away is not asked with every request. */
const RETRY_MS = 15_000

/** Each leaves a digest and a token in the store; no command needs so many. */
function maxRenewals({ sessionMs, tokenMs }: LoginLimits): number {
  return 100 + 4 * Math.ceil(sessionMs / tokenMs)
}

/** What is known here about a sign-in, so that it can be checked. */
interface Known {
  key: Buffer
  provider: string
  /** False: it cannot be asked, so its silence means nothing. */
  canAsk: boolean
  endsAt: number
  checkedAt: number
  triedAt: number
  checking?: Promise<void>
}

export function createLogins(deps: LoginsDeps): Logins {
  const { store, limits, now = Date.now } = deps
  const cache = createOutcomeCache<User>(MAX_CACHED, now)
  const known = new Map<string, Known>()

  async function issue(
    login: Pick<LoginDocument, '_id' | 'person' | 'endsAt'>,
    key: Buffer,
  ): Promise<{ access: string; expiresAt: number }> {
    const access = newToken('access')
    const issuedAt = now()
    const expiresAt = Math.min(issuedAt + limits.tokenMs, login.endsAt.getTime())
    await store.insertToken({
      _id: digestOf(access),
      login: login._id,
      person: login.person,
      issuedAt: new Date(issuedAt),
      expiresAt: new Date(expiresAt),
      wrapped: wrapKey(access, key),
    })
    return { access, expiresAt }
  }

  async function begin(
    provider: string,
    { person, subject, providerSession, upstream, endsAt }: SignedIn,
    client: ClientFacts,
  ): Promise<IssuedTokens> {
    const key = newKey()
    const id = newLoginId()
    const refresh = newToken('refresh', id)
    const at = now()
    const login: LoginDocument = {
      _id: id,
      person,
      provider,
      subject,
      ...(providerSession === undefined ? {} : { providerSession }),
      createdAt: new Date(at),
      endsAt: new Date(Math.min(at + limits.sessionMs, endsAt ?? Number.POSITIVE_INFINITY)),
      checkedAt: new Date(at),
      checkingUntil: null,
      refresh: { digest: digestOf(refresh), wrapped: wrapKey(refresh, key), since: new Date(at) },
      spent: [],
      upstream: upstream === undefined ? null : sealText(key, upstream),
      client,
      endedAt: null,
      endReason: null,
    }
    await store.insertLogin(login)
    return { ...(await issue(login, key)), refresh, login: id, person }
  }

  /** @throws GatewayError Unauthorized when it is over */
  async function aliveLogin(id: string): Promise<LoginDocument> {
    const login = await store.getLogin(id)
    if (login === undefined) throw unknownToken()
    deps.assertMayBegin(login.person)
    if (login.endedAt !== null) throw ended(login.endReason ?? '')
    if (login.endsAt.getTime() <= now()) throw expired(login.endsAt.getTime())
    if (!deps.isConfigured(login.provider, login.person.issuer)) {
      throw ended(`the provider ${login.provider} is not configured here any more`)
    }
    return login
  }

  function note(login: LoginDocument, key: Buffer): Known {
    const entry: Known = known.get(login._id) ?? {
      key,
      provider: login.provider,
      endsAt: login.endsAt.getTime(),
      canAsk: login.upstream !== null && deps.recheck(login.provider) !== undefined,
      checkedAt: login.checkedAt.getTime(),
      triedAt: Number.NEGATIVE_INFINITY,
    }
    entry.checkedAt = Math.max(entry.checkedAt, login.checkedAt.getTime())
    known.delete(login._id)
    known.set(login._id, entry)
    const oldest = known.keys().next()
    if (known.size > MAX_CACHED && oldest.done !== true) known.delete(oldest.value)
    return entry
  }

  async function askProvider(id: string, entry: Known): Promise<void> {
    const ask = deps.recheck(entry.provider)
    const login = await aliveLogin(id)
    entry.checkedAt = login.checkedAt.getTime()
    if (
      ask === undefined ||
      login.upstream === null ||
      now() - entry.checkedAt < limits.recheckMs
    ) {
      return
    }
    const at = now()
    const until = new Date(at + RECHECK_CLAIM_MS)
    if (!(await store.claimCheck(id, login.checkedAt, new Date(at), until))) return
    const answer = await ask(openText(entry.key, login.upstream), login.subject)
    if (answer.kind === 'ended') {
      const reason = `the provider ${entry.provider} says that it has ended (${answer.why})`
      await deps.endLogin(id, reason)
      throw ended(reason)
    }
    if (answer.problem !== undefined) deps.onError(`asking about a sign-in: ${answer.problem}`)
    entry.checkedAt = now()
    await store.finishCheck(id, until, {
      checkedAt: new Date(entry.checkedAt),
      ...(answer.person === undefined ? {} : { person: answer.person }),
      ...(answer.upstream === undefined ? {} : { upstream: sealText(entry.key, answer.upstream) }),
    })
  }

  /** One question at a time; a provider that is away is no answer, until it is away for too long. */
  async function recheck(id: string, entry: Known): Promise<void> {
    const at = now()
    if (!entry.canAsk || at - entry.checkedAt < limits.recheckMs) return
    if (entry.checking === undefined && at - entry.triedAt >= RETRY_MS) {
      entry.triedAt = at
      entry.checking = askProvider(id, entry).finally(() => {
        delete entry.checking
      })
      // Nobody may be waiting any more when it fails; the next question says so again.
      entry.checking.catch(() => undefined)
    }
    try {
      await within(entry.checking, deps.patienceMs ?? PATIENCE_MS)
    } catch (error) {
      if (GatewayError.is(error) && error.reason === 'Unauthorized') throw error
      deps.onError(`asking about a sign-in: ${errorText(error)}`)
    }
    if (now() - entry.checkedAt > limits.outageMs) {
      throw new GatewayError(
        'ServiceUnavailable',
        `the provider ${entry.provider} cannot be reached for too long to say whether you may still sign in; try again later`,
        { id: 1420 },
      )
    }
  }

  async function lookUp(access: string, digest: string): Promise<User> {
    const token = isWellFormed('access', access) ? await store.getToken(digest) : undefined
    if (token === undefined) throw unknownToken()
    const login = await aliveLogin(token.login)
    note(login, unwrapKey(access, token.wrapped))
    return userOf(access, token, login)
  }

  async function verify(access: string): Promise<User> {
    const digest = digestOf(access)
    let user = cache.get(digest)
    if (user === undefined) {
      user = await lookUp(access, digest)
      cache.set(digest, user, now() + CACHE_MS)
    }
    if (user.expiresAt <= now()) throw expired(user.expiresAt)
    const login = user.credential.login ?? ''
    const facts = known.get(login)
    if (facts !== undefined) {
      await recheck(login, facts).catch((error: unknown) => {
        cache.delete(digest)
        throw error
      })
    }
    return structuredClone(user)
  }

  async function renew(refresh: string): Promise<IssuedTokens> {
    if (!isWellFormed('refresh', refresh)) throw unknownToken()
    const id = loginOfRefresh(refresh)
    const digest = digestOf(refresh)
    const login = await aliveLogin(id)
    if (login.refresh.digest !== digest) throw await refusalOfReuse(login, digest)
    if (login.spent.length >= maxRenewals(limits)) throw ended('it was renewed too often')
    const key = unwrapKey(refresh, login.refresh.wrapped)
    await recheck(id, note(login, key))
    const { person } = await aliveLogin(id)
    const next = newToken('refresh', id)
    const since = new Date(now())
    const rotated = await store.rotateRefresh(id, digest, {
      digest: digestOf(next),
      wrapped: wrapKey(next, key),
      since,
    })
    if (!rotated) throw unknownToken()
    return { ...(await issue({ ...login, person }, key)), refresh: next, login: id, person }
  }

  /**
   * A refresh token that was used before: a thief has it, or its owner lost the answer (RFC 9700
   * 2.2.2). Within a moment it is refused and no more; later it ends the sign-in.
   */
  async function refusalOfReuse(login: LoginDocument, digest: string): Promise<GatewayError> {
    const isRecent = now() - login.refresh.since.getTime() <= REUSE_GRACE_MS
    if (isRecent || !login.spent.includes(digest)) return unknownToken()
    const reason = 'a refresh token was used twice, as if somebody else had it'
    await deps.endLogin(login._id, reason)
    return ended(reason)
  }

  return {
    isAccessToken: (text) => isToken('access', text),
    begin,
    renew,
    verify,
    async recheckLive(logins) {
      const over = new Map<string, GatewayError>()
      const look = async (id: string): Promise<void> => {
        const entry = known.get(id)
        // What is not remembered has no key here, so its provider cannot be asked.
        if (entry === undefined) await aliveLogin(id)
        else if (entry.endsAt <= now()) throw expired(entry.endsAt)
        else await recheck(id, entry)
      }
      const tell = (id: string, error: unknown): void => {
        if (GatewayError.is(error) && error.reason === 'Unauthorized') over.set(id, error)
      }
      await Promise.all(logins.map((id) => look(id).catch((error: unknown) => tell(id, error))))
      return over
    },
    forget: () => cache.clear(),
    async end(token) {
      const id = isWellFormed('refresh', token)
        ? loginOfRefresh(token)
        : isWellFormed('access', token)
          ? (await store.getToken(digestOf(token)))?.login
          : undefined
      if (id === undefined) return undefined
      const login = await store.getLogin(id)
      if (login === undefined) return undefined
      // What is over leaves nothing to end, and no rule behind.
      if (login.endedAt !== null || login.endsAt.getTime() <= now()) return undefined
      const digest = digestOf(token)
      // A spent one, too: another process may have renewed it while its owner signed out.
      const isOurs =
        isToken('access', token) || login.refresh.digest === digest || login.spent.includes(digest)
      if (!isOurs) return undefined
      await deps.endLogin(id, 'signed out')
      return id
    },
  }
}

function userOf(access: string, token: TokenDocument, login: LoginDocument): User {
  return {
    ...token.person,
    expiresAt: token.expiresAt.getTime(),
    credential: {
      kind: 'GatewayToken',
      id: publicIdOf(access),
      // Of the sign-in: what was revoked then must not come back by being renewed.
      issuedAt: login.createdAt.getTime(),
      login: login._id,
    },
  }
}
