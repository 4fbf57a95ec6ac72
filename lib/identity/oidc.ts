/**
 * One OpenID Connect provider: checks the signature of its tokens. Its keys are fetched when first
 * needed and again later (provider-keys.ts), so a gateway starts, and goes on with the keys it
 * knows, while the provider is away.
 */
import { compactVerify, type LocalJWKSet } from 'jose'

import { errorCode, GatewayError } from '../errors/gateway-error.ts'
import type { Claims } from './claims.ts'
import { type CompactToken, parseClaims } from './compact-token.ts'
import { fetchJson } from './fetch-json.ts'
import {
  createProviderKeys,
  DEFAULT_LIMITS,
  type OidcDeps,
  type OidcLimits,
} from './provider-keys.ts'
import type { OidcSettings } from './user.ts'

export {
  DEFAULT_LIMITS,
  TRUSTED_SOURCE_COOLDOWN_MS,
  type OidcDeps,
  type OidcLimits,
} from './provider-keys.ts'

/** What a token says that it is (`typ`). */
export type TokenType = 'jwt' | 'at+jwt' | 'logout+jwt'

export interface OidcProvider {
  /** The claims of a token whose signature is right; nothing else is checked yet. */
  verifySignature(token: CompactToken, type?: TokenType): Promise<Claims>
  close(): void
}

export function createOidcProvider(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits = DEFAULT_LIMITS,
): OidcProvider {
  const keys = createProviderKeys(settings, deps, limits)

  const verify = async (token: CompactToken, keySet: LocalJWKSet): Promise<Claims> => {
    const { algorithms } = settings
    const { payload } = await compactVerify(token.text, keySet, { algorithms })
    return parseClaims(payload)
  }

  return {
    verifySignature: async (token, type = 'jwt') => {
      try {
        refuseHeader(token.header, type)
        const keySet = await keys.current()
        return await verify(token, keySet).catch(async (error: unknown) => {
          // Not only a key id that nobody knows: some providers name a new key as the old one.
          const newer = MAY_BE_NEW_KEY.has(errorCode(error)) && (await keys.newerThan(keySet))
          if (newer) return await verify(token, newer)
          throw error
        })
      } catch (error) {
        throw asRefusal(error, settings.issuer)
      }
    },
    close: () => keys.close(),
  }
}

const MAY_BE_NEW_KEY: ReadonlySet<string | undefined> = new Set([
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWKS_MULTIPLE_MATCHING_KEYS',
  'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
])

/**
 * Only `alg` and `kid` are looked at. `jwk`, `jku`, `x5u` and `x5c` would let the token bring its
 * own key (RFC 8725 3.10); jose does not read them for a given key set. Another `typ` is another
 * kind of token, such as an access token (`at+jwt`, RFC 9068) or a logout token.
 */
function refuseHeader(header: Claims, type: TokenType): void {
  // RFC 7797: a payload that is signed as it stands; never without `crit`, so it is one or the other.
  if (header['crit'] !== undefined || header['b64'] !== undefined) {
    throw refuse(1402, 'the token has a critical header extension the gateway does not know')
  }
  const typ = header['typ'] === undefined ? 'JWT' : header['typ']
  const name = typeof typ === 'string' ? typ.toLowerCase().replace('application/', '') : ''
  // Back-Channel Logout 2.4 and RFC 9068 2.1 have types of their own; many providers say `JWT`.
  if (name !== 'jwt' && name !== type) throw refuse(1402, `the token is not ${KINDS[type]}`)
}

const KINDS: Record<TokenType, string> = {
  jwt: 'an ID token',
  'at+jwt': 'an access token',
  'logout+jwt': 'a logout token',
}

function asRefusal(error: unknown, issuer: string): GatewayError {
  if (GatewayError.is(error)) return error
  switch (errorCode(error)) {
    case 'ERR_JWKS_NO_MATCHING_KEY':
      return refuse(
        1404,
        `the token is signed with a key that ${issuer} does not publish; sign in again`,
        error,
      )
    case 'ERR_JWKS_MULTIPLE_MATCHING_KEYS':
      return refuse(1404, `the token does not say which key of ${issuer} signed it`, error)
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
    case 'ERR_JOSE_NOT_SUPPORTED':
      return refuse(1404, 'the token is signed with an algorithm the gateway does not allow', error)
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return refuse(1404, `the token's signature is wrong; sign in again`, error)
    case 'ERR_JWS_INVALID':
      return refuse(1402, 'the token is not a signed ID token', error)
    default:
      return refuse(
        1404,
        `the key that ${issuer} publishes for this token cannot be used; ask the gateway's operator to look at it`,
        error,
      )
  }
}

function refuse(id: number, message: string, cause?: unknown): GatewayError {
  return new GatewayError('Unauthorized', message, { id, cause })
}

/** What a gateway uses; tests pass their own clock. */
export const SYSTEM_DEPS: OidcDeps = {
  now: Date.now,
  every: (ms, run) => {
    const timer = setInterval(run, ms).unref()
    return () => clearInterval(timer)
  },
  fetchJson,
  onProviderError: () => {},
}
