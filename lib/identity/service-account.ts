/**
 * Service accounts of the cluster as callers: their tokens, checked by the API server itself.
 *
 * Only the API server knows whether the account, and the pod or Secret that a token is bound to, are
 * still there. With them the token ends there at once, and here when the outcome that is remembered
 * runs out: after `cacheMs`, on top of the 10 s for which kube-apiserver remembers its own. So
 * `cacheMs` bounds for how long a deleted account still gets in.
 *
 * A token has to be made for the gateway (its audience): one that is meant for the API server lies
 * in every pod, and one that is meant for another program must not open the cluster to that program.
 */
import { createHash } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import { type ApiClient, isUpstreamCode } from '../kube/api-client.ts'
import {
  accountGroups,
  ACCOUNT_EXTRAS,
  ACCOUNT_PREFIX,
  GATEWAY_ACCOUNT,
  parseAccountName,
} from '../kube/service-account-name.ts'
import { type ReviewedToken, reviewToken } from '../kube/token-review.ts'
import { type Claims, isTime } from './claims.ts'
import { MAX_TOKEN_BYTES, parseClaims } from './compact-token.ts'
import { credentialId } from './credential-id.ts'
import { checkHeaderSafe } from './names.ts'
import { createOutcomeCache } from './outcome-cache.ts'
import type { User } from './user.ts'

export interface ServiceAccounts {
  /** An unverified look, which only chooses who checks the token. */
  isOne(token: string): boolean
  /** Throws a GatewayError: Unauthorized, or ServiceUnavailable while the API server is away. */
  verify(token: string): Promise<User>
  close(): void
}

export interface ServiceAccountOptions {
  client: Pick<ApiClient, 'request'>
  /** Any one of them; at least one, or a token for anybody would do. */
  audiences: readonly string[]
  now?: () => number
  cacheMs?: number
  /** So that a stream of bad tokens is no stream of questions to the API server. */
  refusedMs?: number
  /** Of either outcome. */
  maxCached?: number
  /** Questions under way: invented tokens must leave room for the gateway's own requests. */
  maxReviews?: number
  /** Never let in: who the gateway itself is. */
  ownAccount?: string
}

export function createServiceAccounts(options: ServiceAccountOptions): ServiceAccounts {
  const {
    audiences,
    now = Date.now,
    cacheMs = 10_000,
    refusedMs = 5_000,
    maxCached = 10_000,
  } = options
  const { maxReviews = 64 } = options
  if (audiences.length === 0 || audiences.includes('')) {
    throw new GatewayError('Invalid', 'service accounts need an audience that is not empty')
  }
  const closed = new AbortController()
  const accepted = createOutcomeCache<User>(maxCached, now)
  const refused = createOutcomeCache<GatewayError>(maxCached, now)
  const underWay = new Map<string, Promise<User>>()

  async function check(key: string, token: string): Promise<User> {
    // From the question on, not from the answer: what was deleted meanwhile is not in it.
    const askedAt = now()
    try {
      const user = await userOf(token, options, closed.signal)
      accepted.set(key, user, Math.min(user.expiresAt, askedAt + cacheMs))
      return user
    } catch (error) {
      if (!GatewayError.is(error) || error.reason !== 'Unauthorized') throw unavailable(error)
      refused.set(key, error, askedAt + refusedMs)
      throw error
    }
  }

  /** Concurrent checks of one token share one question. */
  async function share(key: string, token: string): Promise<User> {
    const running = underWay.get(key)
    if (running !== undefined) return await running
    if (underWay.size >= maxReviews) throw busy()
    const started = check(key, token).finally(() => underWay.delete(key))
    underWay.set(key, started)
    return await started
  }

  return {
    isOne: (token) => {
      const claims = unverifiedClaims(token)
      if (claims === undefined) return false
      const { sub } = claims
      const isNamedSo = typeof sub === 'string' && sub.startsWith(ACCOUNT_PREFIX)
      return isNamedSo || Object.hasOwn(claims, 'kubernetes.io')
    },
    verify: async (token) => {
      // A digest, as in authenticate.ts: no token is kept in memory.
      const key = createHash('sha256').update(token).digest('base64')
      const known = refused.get(key)
      if (known !== undefined) throw known
      return structuredClone(accepted.get(key) ?? (await share(key, token)))
    },
    close: () => closed.abort(),
  }
}

async function userOf(
  token: string,
  { client, audiences, ownAccount = GATEWAY_ACCOUNT }: ServiceAccountOptions,
  signal: AbortSignal,
): Promise<User> {
  const claims = unverifiedClaims(token) ?? {}
  const advice = adviceFor(claims, audiences)
  const isForUs = [claims['aud']].flat().some((audience) => audiences.some((a) => a === audience))
  if (!isForUs) {
    throw refuse(1440, `the token of this service account is not for this gateway. ${advice}`)
  }
  const times = timesOf(claims)
  if (times === undefined) {
    throw refuse(1440, `tokens of service accounts that never expire are not taken. ${advice}`)
  }
  const reviewed = await reviewToken(client, token, audiences, signal)
  if (reviewed === undefined) {
    throw refuse(
      1440,
      `the cluster does not accept this token of a service account: it has ended, or its account or pod is gone. ${advice}`,
    )
  }
  // From here on the API server has checked the signature, and so what the claims say.
  const { iss } = claims
  const issuer = typeof iss === 'string' && iss !== '' ? iss : 'kubernetes'
  return {
    ...nameOf(reviewed, claims, ownAccount),
    issuer: checkHeaderSafe('issuer', issuer),
    signIn: { amr: [] },
    expiresAt: times.exp * 1000,
    credential: { kind: 'ServiceAccount', id: idOf(token), issuedAt: times.iat * 1000 },
  }
}

/** Nobody but a service account comes in this way, and with nothing that only others have. */
function nameOf(
  { username, uid, groups, extra }: ReviewedToken,
  claims: Claims,
  ownAccount: string,
): Pick<User, 'username' | 'uid' | 'groups' | 'extra'> {
  const account = parseAccountName(username)
  if (account === undefined || claims['sub'] !== username) {
    throw refuse(1440, 'the cluster says that this token is not that of a service account')
  }
  if (username === ownAccount) {
    throw refuse(1440, 'this is the service account of the gateway itself, which nobody may act as')
  }
  const possible = accountGroups(account.namespace)
  if (!groups.every((group) => possible.includes(group))) {
    throw refuse(1440, 'the cluster gives this service account groups that only others have')
  }
  return {
    username,
    ...(uid === undefined ? {} : { uid: checkHeaderSafe('uid', uid) }),
    groups: [...new Set(groups)],
    extra: extraOf(extra),
  }
}

/** What the gateway has no right to pass on (gateway-rbac.yaml) would end every request. */
function extraOf(extra: ReviewedToken['extra']): Record<string, string[]> {
  const known = Object.entries(extra).filter(([key]) => ACCOUNT_EXTRAS.includes(key))
  return Object.fromEntries(
    known.map(([key, values]) => [key, values.map((value) => checkHeaderSafe(key, value))]),
  )
}

function unverifiedClaims(token: string): Claims | undefined {
  if (token.length > MAX_TOKEN_BYTES) return undefined
  const [, payload, signature, ...rest] = token.split('.')
  if (payload === undefined || signature === undefined || rest.length > 0) return undefined
  try {
    return parseClaims(Buffer.from(payload, 'base64url'))
  } catch {
    return undefined
  }
}

function timesOf({ exp, iat }: Claims): { exp: number; iat: number } | undefined {
  return isTime(exp) && isTime(iat) ? { exp, iat } : undefined
}

function adviceFor({ sub }: Claims, audiences: readonly string[]): string {
  const account = typeof sub === 'string' ? parseAccountName(sub) : undefined
  const { name = 'NAME', namespace = 'NAMESPACE' } = account ?? {}
  return `One that is: kubectl create token ${name} -n ${namespace} --audience=${audiences[0] ?? ''}`
}

/**
 * Without the signature: whoever holds an ES256 token can write its signature in a second way, and
 * a token that was revoked must not come back under another name.
 */
function idOf(token: string): string {
  const signed = token.slice(0, token.lastIndexOf('.'))
  return credentialId('a', createHash('sha256').update('service-account').update(signed))
}

function busy(): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    'too many tokens of service accounts are being checked at once; try again in a moment',
    { id: 1441 },
  )
}

/** 401 and 403 are about the gateway: its own credentials, or its right to create tokenreviews. */
function unavailable(cause: unknown): GatewayError {
  const isOwnFault = isUpstreamCode(cause, 401) || isUpstreamCode(cause, 403)
  return new GatewayError(
    'ServiceUnavailable',
    isOwnFault
      ? 'the cluster does not let this gateway check tokens of service accounts; ask its operator to apply gateway-rbac.yaml anew'
      : 'the API server cannot be reached to check your service account; try again in a moment',
    { id: 1441, cause },
  )
}

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}
