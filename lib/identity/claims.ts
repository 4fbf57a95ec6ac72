/**
 * From the claims of an ID token, whose signature is already verified, to a User. PURE.
 *
 * The names computed here end up in `Impersonate-*` headers (I4), so a name that a header would
 * change is refused: Go trims white space around a header value, so a group " system:masters"
 * would arrive as "system:masters".
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { OidcSettings, User } from './user.ts'

export type Claims = Record<string, unknown>

type NameRules = Pick<
  OidcSettings,
  'usernameClaim' | 'usernamePrefix' | 'groupsClaim' | 'groupsPrefix'
>
type TokenRules = Pick<OidcSettings, 'issuer' | 'audience' | 'clockSkewSeconds'>

/**
 * OpenID Connect Core 3.1.3.7 and RFC 8725: issuer, audience, authorised party and times.
 * Gives the end of the token in ms.
 */
export function checkTokenClaims(claims: Claims, rules: TokenRules, nowMs: number): number {
  if (claims['iss'] !== rules.issuer) {
    throw refuse(1403, `the token is not from ${rules.issuer}`)
  }
  checkAudience(claims, rules.audience)
  return checkTimes(claims, rules.clockSkewSeconds, nowMs)
}

function checkAudience(claims: Claims, audience: string): void {
  const aud = claims['aud']
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (!isStringArray(audiences) || !audiences.includes(audience)) {
    throw refuse(
      1407,
      `the token is not for this gateway: its audience is not "${audience}". ${CHECK_KUBECONFIG}`,
    )
  }
  // With several audiences only `azp` says which client the token was made for (Core 3.1.3.7, 4-5).
  if (audiences.length > 1 && claims['azp'] !== audience) {
    throw refuse(
      1407,
      `the token has several audiences and its authorised party (azp) is not "${audience}"`,
    )
  }
}

function checkTimes(claims: Claims, skewSeconds: number, nowMs: number): number {
  const now = Math.floor(nowMs / 1000)
  const exp = numericDate(claims, 'exp')
  const iat = numericDate(claims, 'iat')
  const nbf = claims['nbf'] === undefined ? iat : numericDate(claims, 'nbf')
  if (exp < now - skewSeconds) {
    throw refuse(
      1405,
      `sign-in expired at ${clockTime(exp)}. Run the same command again to renew it; if that does not help, sign in again`,
    )
  }
  if (Math.max(iat, nbf) > now + skewSeconds) {
    throw refuse(
      1406,
      `the token is not valid before ${clockTime(Math.max(iat, nbf))}; compare the clocks of the sign-in provider and the gateway`,
    )
  }
  return exp * 1000
}

function numericDate(claims: Claims, name: string): number {
  const value = claims[name]
  // 1e11 seconds is beyond any date a token can mean, and keeps Date within its range.
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > 1e11) {
    throw refuse(1402, `the token's claim "${name}" is not a time in seconds`)
  }
  return value
}

function clockTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** The User these claims describe under the issuer's rules. */
export function userFromClaims(
  claims: Claims,
  rules: NameRules & Pick<OidcSettings, 'issuer'>,
  expiresAt: number,
): User {
  refuseDistributedGroups(claims, rules.groupsClaim)
  // As kube-apiserver: an address nobody has confirmed is not a name (--oidc-username-claim=email).
  if (rules.usernameClaim === 'email' && (claims['email_verified'] ?? true) !== true) {
    throw refuse(1408, 'the e-mail address of this account is not verified at the sign-in provider')
  }
  const username = nameOf(claims, rules.usernameClaim)
  const uid = nameOf(claims, 'sub')
  return {
    username: checkName('user name', rules.usernamePrefix + username),
    uid: checkHeaderSafe('claim "sub"', uid),
    groups: groupsOf(claims, rules),
    extra: {},
    expiresAt,
    issuer: rules.issuer,
  }
}

function nameOf(claims: Claims, claim: string): string {
  const value = claims[claim]
  if (typeof value !== 'string' || value === '') {
    throw refuse(
      1408,
      `the token has no usable claim "${claim}"; ask the gateway's operator which claim names a user`,
    )
  }
  return value
}

function groupsOf(claims: Claims, rules: NameRules): string[] {
  const value = claims[rules.groupsClaim]
  if (value === undefined || value === null) return []
  const groups = typeof value === 'string' ? [value] : value
  if (!isStringArray(groups)) {
    throw refuse(1408, `the token's claim "${rules.groupsClaim}" is not a list of names`)
  }
  return [
    ...new Set(
      groups.map((group) => {
        if (group === '') throw refuse(1408, 'the token names a group that is empty')
        return checkName('group', rules.groupsPrefix + group)
      }),
    ),
  ]
}

/**
 * Core 5.6.2: with many groups some providers send a pointer in place of the list. To take "no
 * groups" as the truth would make rules that deny a group blind, and to follow the token's own
 * address would let it choose whom the gateway calls.
 */
function refuseDistributedGroups(claims: Claims, groupsClaim: string): void {
  const names = claims['_claim_names']
  const distributed = typeof names === 'object' && names !== null && groupsClaim in names
  if (distributed || claims['hasgroups'] === true) {
    throw refuse(
      1409,
      `the sign-in provider left your groups out of the token because they are too many; ask the gateway's operator to send only the groups assigned to this application`,
    )
  }
}

/** Printable ASCII, nothing around it: what a header carries to the API server unchanged. */
const HEADER_SAFE = /^[!-~](?:[ -~]*[!-~])?$/

function checkHeaderSafe(what: string, name: string): string {
  if (!HEADER_SAFE.test(name)) {
    throw refuse(
      1408,
      `the ${what} ${JSON.stringify(printable(name))} in the token cannot be used: only printable ASCII without white space around it is allowed`,
    )
  }
  return name
}

function checkName(what: string, name: string): string {
  checkHeaderSafe(what, name)
  // `system:` is Kubernetes' own: system:masters passes every check of the API server.
  if (name.toLowerCase().startsWith('system:')) {
    throw refuse(
      1408,
      `the ${what} ${JSON.stringify(printable(name))} in the token is refused: names that start with "system:" belong to Kubernetes`,
    )
  }
  return name
}

function printable(name: string): string {
  return name.replace(/[^ -~]/gu, '?').slice(0, 80)
}

const CHECK_KUBECONFIG = 'See what your kubeconfig sends: kubectl config view --minify'

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}

function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
