/**
 * The keys of one OpenID Connect provider (Discovery 1.0), as fresh as they have to be:
 *
 * - a new key is known with the first token it has signed, by one fetch in 30 s at most;
 * - a withdrawn key is used for 4 minutes at most, and verified tokens are kept for one more
 *   (authenticate.ts): 5 in all, also when nobody asked meanwhile;
 * - while the provider is away the keys that are known serve for 24 hours, and nobody waits for it
 *   but who comes first.
 */
import { readFile } from 'node:fs/promises'

import { createLocalJWKSet, type JSONWebKeySet, type LocalJWKSet } from 'jose'

import { isObject } from '../api/json-object.ts'
import { errorText, GatewayError } from '../errors/gateway-error.ts'
import type { FetchJson } from './fetch-json.ts'
import type { OidcSettings } from './user.ts'

export interface OidcDeps {
  now: () => number
  /** Runs again and again until the answer is called; keeps no process alive. */
  every: (ms: number, run: () => void) => () => void
  fetchJson: FetchJson
  /** A provider that cannot be reached is the operator's business: told once per attempt. */
  onProviderError: (issuer: string, message: string) => void
}

export interface OidcLimits {
  /** Between two fetches of the keys, whatever tokens arrive. */
  cooldownMs: number
  /** Between two attempts while no keys are known at all. */
  retryMs: number
  /** Keys older than this are renewed, and used meanwhile. */
  maxAgeMs: number
  /** When the last attempt to renew them began longer ago, they are not used before the next. */
  maxTrustMs: number
  /** Keys that could not be renewed for this long are no longer trusted. */
  maxStaleMs: number
  fetchTimeoutMs: number
}

/** Where tokens come from the provider itself and not from clients: nobody can make us ask often. */
export const TRUSTED_SOURCE_COOLDOWN_MS = 1_000

export const DEFAULT_LIMITS: OidcLimits = {
  cooldownMs: 30_000,
  retryMs: 2_000,
  maxAgeMs: 120_000,
  maxTrustMs: 240_000,
  // An outage of 24 h, and the time that the keys may have been old when it began.
  maxStaleMs: 24 * 3_600_000 + 300_000,
  fetchTimeoutMs: 5_000,
}

export interface ProviderKeys {
  /** @throws GatewayError ServiceUnavailable while none are known. */
  current(): Promise<LocalJWKSet>
  /** Others than `tried`, if there are any by now. */
  newerThan(tried: LocalJWKSet): Promise<LocalJWKSet | undefined>
  close(): void
}

interface KnownKeys {
  keySet: LocalJWKSet
  /** When the provider was asked: what it withdrew later they do not know. */
  askedAt: number
}

export function createProviderKeys(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits,
): ProviderKeys {
  const closed = new AbortController()
  let known: KnownKeys | undefined
  let inFlight: Promise<void> | undefined
  /** When the last attempt began, and when the last one did that is over. */
  let attemptedAt = Number.NEGATIVE_INFINITY
  let settledAt = Number.NEGATIVE_INFINITY

  const renew = (): Promise<void> => {
    if (inFlight !== undefined) return inFlight
    const askedAt = deps.now()
    attemptedAt = askedAt
    inFlight = fetchKeys(settings, deps, limits, closed.signal)
      .then((keySet) => {
        known = { keySet, askedAt }
      })
      .catch((error: unknown) => {
        if (!closed.signal.aborted) deps.onProviderError(settings.issuer, errorText(error))
      })
      .finally(() => {
        settledAt = askedAt
        inFlight = undefined
      })
    return inFlight
  }

  const usable = (): KnownKeys | undefined =>
    known !== undefined && deps.now() - known.askedAt <= limits.maxStaleMs ? known : undefined

  const mayRenew = (): boolean => {
    const pauseMs = usable() === undefined ? limits.retryMs : limits.cooldownMs
    return inFlight !== undefined || deps.now() - attemptedAt >= pauseMs
  }

  // So that an outage finds keys that are fresh, also after a night in which nobody asked.
  const stop = deps.every(limits.maxAgeMs, () => {
    if (known !== undefined && mayRenew()) void renew()
  })

  return {
    current: async () => {
      const keys = usable()
      if (keys === undefined || deps.now() - settledAt > limits.maxTrustMs) {
        if (mayRenew()) await renew()
      } else if (deps.now() - keys.askedAt > limits.maxAgeMs && mayRenew()) void renew()
      const { keySet } = usable() ?? noKeys(settings.issuer)
      return keySet
    },
    newerThan: async (tried) => {
      if (known?.keySet === tried && mayRenew()) await renew()
      return known?.keySet === tried ? undefined : known?.keySet
    },
    close: () => {
      stop()
      closed.abort()
    },
  }
}

function noKeys(issuer: string): never {
  throw new GatewayError(
    'ServiceUnavailable',
    `the sign-in provider ${issuer} cannot be reached to check your sign-in; try again in a moment`,
    { id: 1420 },
  )
}

async function fetchKeys(
  settings: OidcSettings,
  deps: OidcDeps,
  limits: OidcLimits,
  closed: AbortSignal,
): Promise<LocalJWKSet> {
  const options = {
    signal: AbortSignal.any([closed, AbortSignal.timeout(limits.fetchTimeoutMs)]),
    ...(settings.caFile === undefined ? {} : { ca: await readFile(settings.caFile, 'utf8') }),
  }
  const base = settings.issuer.replace(/\/$/u, '')
  const metadata = await deps.fetchJson(`${base}/.well-known/openid-configuration`, options)
  if (!isObject(metadata)) throw new TypeError('the metadata of the provider is not a JSON object')
  const { issuer, jwks_uri: jwksUri } = metadata
  // Discovery 4.3: a provider that names itself otherwise is another provider.
  if (issuer !== settings.issuer) {
    throw new Error(`the provider calls itself ${String(issuer)}, not ${settings.issuer}`)
  }
  if (typeof jwksUri !== 'string' || !jwksUri.startsWith('https://')) {
    throw new Error('the provider names no https address of its keys (jwks_uri)')
  }
  const published = await deps.fetchJson(jwksUri, options)
  if (!isKeySet(published)) throw new TypeError(`${jwksUri} does not hold keys`)
  return createLocalJWKSet(published)
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  return isObject(value) && Array.isArray(value['keys']) && value['keys'].every(isObject)
}
