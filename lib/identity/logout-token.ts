/**
 * What a provider says when somebody signs out there (OpenID Connect Back-Channel Logout 1.0, 2.4 and
 * 2.6). The signature is already verified. PURE.
 */
import { isObject } from '../api/json-object.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Claims } from './claims.ts'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Section 2.6, 5 leaves the age to us: it is sent as it is made. */
const MAX_AGE_MS = 5 * 60_000

export interface LogoutRules {
  issuer: string
  clientId: string
  clockSkewSeconds: number
}

/** One of the two at least. */
export interface LogoutOrder {
  subject?: string
  providerSession?: string
  /** Names this order: it is carried out once. */
  id: string
  /** ms; then it is too old in any case. */
  goodUntil: number
}

function refuse(why: string): GatewayError {
  return new GatewayError('BadRequest', `the logout token cannot be used: ${why}`, { id: 1418 })
}

function text(claims: Claims, name: string): string | undefined {
  const value = claims[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') throw refuse(`its ${name} is no text`)
  return value
}

/** @throws GatewayError BadRequest */
export function readLogoutToken(claims: Claims, rules: LogoutRules, nowMs: number): LogoutOrder {
  if (claims['iss'] !== rules.issuer) throw refuse('it is from another provider')
  const audiences = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']]
  if (!audiences.includes(rules.clientId)) throw refuse('it is for another client')
  const { iat, exp } = claims
  const skewMs = rules.clockSkewSeconds * 1000
  if (typeof iat !== 'number' || !Number.isFinite(iat))
    throw refuse('it does not say when it was made')
  const ageMs = nowMs - iat * 1000
  if (ageMs > MAX_AGE_MS + skewMs || ageMs < -skewMs) throw refuse('it was not made just now')
  if (exp !== undefined && (typeof exp !== 'number' || exp * 1000 < nowMs - skewMs)) {
    throw refuse('it has expired')
  }
  const { events } = claims
  if (!isObject(events) || !isObject(events[EVENT])) throw refuse('it is no logout token')
  // With one it could be an ID token: the two must never be taken for each other.
  if (claims['nonce'] !== undefined) throw refuse('it has a nonce')
  const subject = text(claims, 'sub')
  const providerSession = text(claims, 'sid')
  if (subject === undefined && providerSession === undefined) throw refuse('it names nobody')
  const id = text(claims, 'jti')
  if (id === undefined) throw refuse('it has no id (jti)')
  return {
    id,
    goodUntil: iat * 1000 + MAX_AGE_MS + 2 * skewMs,
    ...(subject === undefined ? {} : { subject }),
    ...(providerSession === undefined ? {} : { providerSession }),
  }
}
