/**
 * One OpenID Connect provider: finds its keys (OpenID Connect Discovery 1.0) and checks the
 * signature of its tokens. Everything is fetched when first needed and again later, so a gateway
 * starts, and goes on with the keys it knows, while the provider is away.
 */
import { readFile } from 'node:fs/promises'

import { compactVerify, createLocalJWKSet, type JSONWebKeySet, type LocalJWKSet } from 'jose'

import { errorCode, errorText, GatewayError } from '../errors/gateway-error.ts'
import type { Claims } from './claims.ts'
import { fetchJson, type FetchJson } from './fetch-json.ts'
import type { OidcSettings } from './user.ts'

export interface OidcDeps {
  now: () => number
  fetchJson: FetchJson
  /** A provider that cannot be reached is the operator's business: told once per attempt. */
  onProviderError: (issuer: string, message: string) => void
}

export interface OidcLimits {
  /** Between two fetches of the keys, however many unknown key ids arrive. */
  cooldownMs: number
  /** Between two attempts while no keys are known at all. */
  retryMs: number
  /** Keys older than this are fetched again with the next token, so that withdrawn keys go. */
  maxAgeMs: number
  /** Keys that could not be renewed for this long are no longer trusted. */
  maxStaleMs: number
  fetchTimeoutMs: number
}

export const DEFAULT_LIMITS: OidcLimits = {
  cooldownMs: 30_000,
  retryMs: 2_000,
  maxAgeMs: 600_000,
  maxStaleMs: 3_600_000,
  fetchTimeoutMs: 5_000,
}

export interface OidcProvider {
  /** The claims of a token whose signature is right; nothing else is checked yet. */
  verifySignature(token: string): Promise<Claims>
  close(): void
}

interface KnownKeys {
  keySet: LocalJWKSet
  keyIds: Set<string>
  fetchedAt: number
}

export function createOidcProvider(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits = DEFAULT_LIMITS,
): OidcProvider {
  const keys = createKeyCache(settings, deps, limits)
  return {
    verifySignature: async (token) => {
      try {
        const { payload } = await compactVerify(
          token,
          async (header) => {
            refuseHeader(header)
            return (await keys.forToken(header.kid))(header)
          },
          { algorithms: settings.algorithms },
        )
        return parseClaims(payload)
      } catch (error) {
        throw asRefusal(error, settings.issuer)
      }
    },
    close: () => keys.close(),
  }
}

/**
 * Only `alg` and `kid` are looked at. `jwk`, `jku`, `x5u` and `x5c` would let the token bring its
 * own key (RFC 8725 3.10); jose does not read them for a given key set. Another `typ` is another
 * kind of token, such as an access token (`at+jwt`, RFC 9068) or a logout token.
 */
function refuseHeader(header: { typ?: unknown; crit?: unknown }): void {
  if (header.crit !== undefined) {
    throw refuse(1402, 'the token has a critical header extension the gateway does not know')
  }
  const typ = header.typ ?? 'JWT'
  if (typeof typ !== 'string' || typ.toLowerCase().replace('application/', '') !== 'jwt') {
    throw refuse(1402, `the token is not an ID token`)
  }
}

function createKeyCache(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits,
): { forToken(kid: string | undefined): Promise<LocalJWKSet>; close(): void } {
  const closed = new AbortController()
  let known: KnownKeys | undefined
  let attemptedAt = Number.NEGATIVE_INFINITY
  let inFlight: Promise<void> | undefined

  const refresh = (): Promise<void> => {
    if (inFlight !== undefined) return inFlight
    attemptedAt = deps.now()
    inFlight = fetchKeys(settings, deps, limits, closed.signal)
      .then((fresh) => {
        known = fresh
      })
      .catch((error: unknown) => {
        if (!closed.signal.aborted) deps.onProviderError(settings.issuer, errorText(error))
      })
      .finally(() => {
        inFlight = undefined
      })
    return inFlight
  }

  const ageMs = (): number =>
    known === undefined ? Number.POSITIVE_INFINITY : deps.now() - known.fetchedAt

  const mayFetch = (): boolean => {
    const pauseMs = known === undefined ? limits.retryMs : limits.cooldownMs
    return inFlight !== undefined || deps.now() - attemptedAt >= pauseMs
  }

  return {
    forToken: async (kid) => {
      const isUnknown = kid !== undefined && known?.keyIds.has(kid) === false
      if ((isUnknown || ageMs() > limits.maxStaleMs) && mayFetch()) await refresh()
      // Keys that are merely old serve this token; it does not wait for a slow provider.
      else if (ageMs() > limits.maxAgeMs && mayFetch()) void refresh()
      if (known === undefined || ageMs() > limits.maxStaleMs) {
        throw new GatewayError(
          'ServiceUnavailable',
          `the sign-in provider ${settings.issuer} cannot be reached to check your sign-in; try again in a moment`,
          { id: 1420 },
        )
      }
      return known.keySet
    },
    close: () => closed.abort(),
  }
}

async function fetchKeys(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits,
  closed: AbortSignal,
): Promise<KnownKeys> {
  const options = {
    signal: AbortSignal.any([closed, AbortSignal.timeout(limits.fetchTimeoutMs)]),
    ...(settings.caFile === undefined ? {} : { ca: await readFile(settings.caFile, 'utf8') }),
  }
  const base = settings.issuer.replace(/\/$/u, '')
  const metadata = await deps.fetchJson(`${base}/.well-known/openid-configuration`, options)
  const { issuer, jwks_uri: jwksUri } = asRecord(metadata)
  // Discovery 4.3: a provider that names itself otherwise is another provider.
  if (issuer !== settings.issuer) {
    throw new Error(`the provider calls itself ${String(issuer)}, not ${settings.issuer}`)
  }
  if (typeof jwksUri !== 'string' || !jwksUri.startsWith('https://')) {
    throw new Error('the provider names no https address of its keys (jwks_uri)')
  }
  const published = await deps.fetchJson(jwksUri, options)
  if (!isKeySet(published)) throw new TypeError(`${jwksUri} does not hold keys`)
  const keySet = createLocalJWKSet(published)
  const keyIds = keySet.jwks().keys.flatMap(({ kid }) => (typeof kid === 'string' ? [kid] : []))
  return { keySet, keyIds: new Set(keyIds), fetchedAt: deps.now() }
}

export function parseClaims(payload: Uint8Array): Claims {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    return asRecord(JSON.parse(text))
  } catch (error) {
    throw refuse(1402, 'the token does not hold claims', error)
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  if (!isRecord(value)) throw new TypeError('not a JSON object')
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  return isRecord(value) && Array.isArray(value['keys']) && value['keys'].every(isRecord)
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
    default:
      return refuse(1402, 'the token is not a signed ID token', error)
  }
}

function refuse(id: number, message: string, cause?: unknown): GatewayError {
  return new GatewayError('Unauthorized', message, { id, cause })
}

/** What a gateway uses; tests pass their own clock. */
export const SYSTEM_DEPS: OidcDeps = {
  now: Date.now,
  fetchJson,
  onProviderError: () => {},
}
