/**
 * From the Authorization header to a User. There is no anonymous access: every way through this
 * file ends in a verified token or in an error.
 */
import { createHash } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import { isSafeAlgorithm } from './algorithms.ts'
import {
  checkAccessTokenClaims,
  checkTokenClaims,
  type Claims,
  isAccessToken,
  machineFromClaims,
  personFromClaims,
} from './claims.ts'
import { type CompactToken, MAX_TOKEN_BYTES, readToken } from './compact-token.ts'
import {
  createOidcProvider,
  DEFAULT_LIMITS,
  SYSTEM_DEPS,
  type OidcDeps,
  type OidcLimits,
  type OidcProvider,
} from './oidc.ts'
import { credentialId } from './credential-id.ts'
import { createOutcomeCache } from './outcome-cache.ts'
import {
  type Credential,
  type OidcConfig,
  type OidcSettings,
  type User,
  withDefaults,
} from './user.ts'

export interface Authenticator {
  /** Throws a GatewayError: Unauthorized, or ServiceUnavailable while the provider is away. */
  authenticate(authorizationHeader: string | undefined): Promise<User>
  close(): void
}

export interface AuthenticatorOptions extends Partial<OidcLimits> {
  /** Verified tokens kept, so that a burst of requests costs one signature check. */
  maxCachedTokens?: number
  /** A verified token is looked at again after this; with `maxTrustMs` the most that a withdrawn key lives. */
  maxCachedMs?: number
}

interface Issuer {
  settings: OidcSettings
  provider: OidcProvider
  acceptIdTokens: boolean
}

export function createAuthenticator(
  configs: OidcConfig[],
  deps: Partial<OidcDeps> = {},
  options: AuthenticatorOptions = {},
): Authenticator {
  const allDeps = { ...SYSTEM_DEPS, ...deps }
  const { now } = allDeps
  const issuers = openIssuers(configs, allDeps, { ...DEFAULT_LIMITS, ...options })
  const cache = createOutcomeCache<User>(options.maxCachedTokens ?? 10_000, now)

  const verify = async (token: string): Promise<User> => {
    const unverified = readToken(token)
    const { settings, provider, acceptIdTokens } = issuerOf(unverified, issuers)
    const { accessTokens } = settings
    if (accessTokens !== undefined && isAccessToken(unverified, settings)) {
      const claims = await provider.verifySignature(unverified, 'at+jwt')
      const { audience } = accessTokens
      const expiresAt = checkAccessTokenClaims(claims, { ...settings, audience }, now())
      const credential = credentialOf('AccessToken', unverified.signingInput, claims)
      return { ...machineFromClaims(claims, settings, accessTokens), expiresAt, credential }
    }
    if (!acceptIdTokens) throw noIdTokens(settings.issuer)
    const claims = await provider.verifySignature(unverified)
    const expiresAt = checkTokenClaims(claims, settings, now())
    const credential = credentialOf('IdToken', unverified.signingInput, claims)
    return { ...personFromClaims(claims, settings), expiresAt, credential }
  }

  return {
    authenticate: async (header) => {
      const token = bearerToken(header)
      // A digest, so that neither a heap dump nor a collision gives one person another's name.
      const key = createHash('sha256').update(token).digest('base64')
      const cached = cache.get(key)
      if (cached !== undefined) return structuredClone(cached)
      const user = await verify(token)
      cache.set(key, user, Math.min(user.expiresAt, now() + (options.maxCachedMs ?? 60_000)))
      return structuredClone(user)
    },
    close: () => {
      for (const { provider } of issuers.values()) provider.close()
    },
  }
}

/**
 * `iat` has been checked to be a time. The id is a digest, since `jti` is anybody's choice, and not
 * of the signature: whoever holds an ES256 token can write its signature in a second way (s and
 * n - s), and would so have a token that nobody has revoked.
 */
function credentialOf(
  kind: 'IdToken' | 'AccessToken',
  signingInput: string,
  { iat }: Claims,
): Credential {
  const digest = createHash('sha256').update('id-token').update(signingInput)
  return { kind, id: credentialId('t', digest), issuedAt: Number(iat) * 1000 }
}

function openIssuers(
  configs: OidcConfig[],
  deps: OidcDeps,
  limits: OidcLimits,
): Map<string, Issuer> {
  const issuers = new Map<string, Issuer>()
  for (const config of configs) {
    const settings = withDefaults(config)
    const bad = settings.algorithms.find((algorithm) => !isSafeAlgorithm(algorithm))
    if (bad !== undefined) throw invalid(`oidc ${settings.issuer}: algorithm ${bad} is not safe`)
    if (!settings.issuer.startsWith('https://')) {
      throw invalid(`oidc ${settings.issuer}: the issuer must be an https address`)
    }
    if (issuers.has(settings.issuer)) throw invalid(`oidc ${settings.issuer} is configured twice`)
    issuers.set(settings.issuer, {
      settings,
      provider: createOidcProvider(settings, deps, limits),
      acceptIdTokens: config.acceptIdTokens ?? true,
    })
  }
  return issuers
}

function noIdTokens(issuer: string): GatewayError {
  return refuse(
    1403,
    `this gateway takes no ID tokens of ${issuer}, and this is no access token for it. Sign in: kubectl podgate login`,
  )
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
function issuerOf({ claims }: CompactToken, issuers: ReadonlyMap<string, Issuer>): Issuer {
  const claimed = claims['iss']
  const issuer = typeof claimed === 'string' ? issuers.get(claimed) : undefined
  if (issuer === undefined) {
    throw refuse(
      1403,
      `this gateway does not trust the sign-in provider of this token; it trusts ${[...issuers.keys()].join(', ')}`,
    )
  }
  return issuer
}

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}
