/**
 * From the Authorization header to a User. There is no anonymous access: every way through this
 * file ends in a verified token or in an error.
 */
import { createHash } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import { checkTokenClaims, userFromClaims } from './claims.ts'
import {
  createOidcProvider,
  DEFAULT_LIMITS,
  parseClaims,
  SYSTEM_DEPS,
  type OidcDeps,
  type OidcLimits,
  type OidcProvider,
} from './oidc.ts'
import { type OidcConfig, type OidcSettings, type User, withDefaults } from './user.ts'

export interface Authenticator {
  /** Throws a GatewayError: Unauthorized, or ServiceUnavailable while the provider is away. */
  authenticate(authorizationHeader: string | undefined): Promise<User>
  close(): void
}

export interface AuthenticatorOptions extends Partial<OidcLimits> {
  /** Verified tokens kept, so that a burst of requests costs one signature check. */
  maxCachedTokens?: number
  /** A verified token is looked at again after this, so that a withdrawn key ends its tokens. */
  maxCachedMs?: number
}

const MAX_TOKEN_BYTES = 32 * 1024
/** RFC 7518 3.1: signatures by a private key. A shared secret (HS*) is no proof of the issuer. */
const ASYMMETRIC = /^(?:RS|PS|ES)(?:256|384|512)$|^(?:EdDSA|Ed25519)$/

interface Issuer {
  settings: OidcSettings
  provider: OidcProvider
}

export function createAuthenticator(
  configs: OidcConfig[],
  deps: Partial<OidcDeps> = {},
  options: AuthenticatorOptions = {},
): Authenticator {
  const allDeps = { ...SYSTEM_DEPS, ...deps }
  const { now } = allDeps
  const issuers = openIssuers(configs, allDeps, { ...DEFAULT_LIMITS, ...options })
  const cache = createTokenCache(options.maxCachedTokens ?? 10_000, now)

  const verify = async (token: string): Promise<User> => {
    const { settings, provider } = issuerOf(token, issuers)
    const claims = await provider.verifySignature(token)
    const expiresAt = checkTokenClaims(claims, settings, now())
    return userFromClaims(claims, settings, expiresAt)
  }

  return {
    authenticate: async (header) => {
      const token = bearerToken(header)
      // A digest, so that neither a heap dump nor a collision gives one person another's name.
      const key = createHash('sha256').update(token).digest('base64')
      const cached = cache.get(key)
      if (cached !== undefined) return structuredClone(cached)
      const user = await verify(token)
      cache.set(key, user, Math.min(user.expiresAt, now() + (options.maxCachedMs ?? 600_000)))
      return structuredClone(user)
    },
    close: () => {
      for (const { provider } of issuers.values()) provider.close()
    },
  }
}

function openIssuers(
  configs: OidcConfig[],
  deps: OidcDeps,
  limits: OidcLimits,
): Map<string, Issuer> {
  const issuers = new Map<string, Issuer>()
  for (const config of configs) {
    const settings = withDefaults(config)
    const bad = settings.algorithms.find((algorithm) => !ASYMMETRIC.test(algorithm))
    if (bad !== undefined) throw invalid(`oidc ${settings.issuer}: algorithm ${bad} is not safe`)
    if (!settings.issuer.startsWith('https://')) {
      throw invalid(`oidc ${settings.issuer}: the issuer must be an https address`)
    }
    if (issuers.has(settings.issuer)) throw invalid(`oidc ${settings.issuer} is configured twice`)
    issuers.set(settings.issuer, {
      settings,
      provider: createOidcProvider(settings, deps, limits),
    })
  }
  return issuers
}

function invalid(message: string): GatewayError {
  return new GatewayError('Invalid', message, { id: 1421 })
}

function bearerToken(header: string | undefined): string {
  const [scheme = '', token = '', ...rest] = (header ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer' || token === '' || rest.length > 0) {
    throw refuse(
      1401,
      `no sign-in was sent. Use a kubeconfig of this gateway whose user has an exec plugin; see yours: kubectl config view --minify`,
    )
  }
  if (token.length > MAX_TOKEN_BYTES) throw refuse(1402, 'the token is too long')
  return token
}

/** The unverified `iss` only chooses who checks the token; it is checked again afterwards. */
function issuerOf(token: string, issuers: ReadonlyMap<string, Issuer>): Issuer {
  const [, payload, , ...rest] = token.split('.')
  if (payload === undefined || rest.length > 0) {
    throw refuse(
      1402,
      'the token is not a signed ID token (JWT). See what your kubeconfig sends: kubectl config view --minify',
    )
  }
  const claimed = parseClaims(Buffer.from(payload, 'base64url'))['iss']
  const issuer = typeof claimed === 'string' ? issuers.get(claimed) : undefined
  if (issuer === undefined) {
    throw refuse(
      1403,
      `this gateway does not trust the sign-in provider of this token; it trusts ${[...issuers.keys()].join(', ')}`,
    )
  }
  return issuer
}

interface TokenCache {
  get(key: string): User | undefined
  set(key: string, user: User, until: number): void
}

/** Least recently used goes first: a Map keeps the order of insertion. */
function createTokenCache(maxEntries: number, now: () => number): TokenCache {
  const entries = new Map<string, { user: User; until: number }>()
  return {
    get: (key) => {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.until <= now()) return undefined
      entries.set(key, entry)
      return entry.user
    },
    set: (key, user, until) => {
      entries.set(key, { user, until })
      const oldest = entries.keys().next()
      if (entries.size > maxEntries && oldest.done !== true) entries.delete(oldest.value)
    },
  }
}

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}
