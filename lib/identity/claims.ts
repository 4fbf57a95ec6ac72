/**
 * From the claims of an ID token, whose signature is already verified, to a Person. PURE.
 */
import { isTexts } from '../api/json-object.ts'
import { clockTime } from '../errors/clock-time.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { leavesGroupsOut } from './left-out-groups.ts'
import { checkHeaderSafe, checkName } from './names.ts'
import type { AccessTokenRules, OidcSettings, Person, SignIn } from './user.ts'

export type Claims = Record<string, unknown>

type NameRules = Pick<
  OidcSettings,
  | 'usernameClaim'
  | 'usernamePrefix'
  | 'groupsClaim'
  | 'groupsPrefix'
  | 'uidClaim'
  | 'extraClaims'
  | 'issuer'
>
type TokenRules = Pick<OidcSettings, 'issuer' | 'audience' | 'clockSkewSeconds'>

/**
 * OpenID Connect Core 3.1.3.7 and RFC 8725: issuer, audience, authorised party and times.
 * Gives the end of the token in ms.
 */
export function checkTokenClaims(claims: Claims, rules: TokenRules, nowMs: number): number {
  checkIssuer(claims, rules)
  checkAudience(claims, rules.audience)
  // Back-Channel Logout 1.0 section 2.4: the one thing that tells a logout token from an ID token,
  // where its header does not say what it is.
  if (claims['events'] !== undefined) throw refuse(1402, 'the token is not an ID token')
  return checkTimes(claims, rules.clockSkewSeconds, nowMs)
}

/**
 * RFC 9068 section 4. `azp` is who asked for the token, and no reason to refuse it. Gives the end of
 * the token in ms.
 */
export function checkAccessTokenClaims(claims: Claims, rules: TokenRules, nowMs: number): number {
  checkIssuer(claims, rules)
  if (!audiencesOf(claims).includes(rules.audience)) {
    throw refuse(1407, `the token is not for this gateway: its audience is not "${rules.audience}"`)
  }
  // What only ID tokens and logout tokens have: neither may pass for an access token.
  if (['nonce', 'at_hash', 'c_hash', 'events'].some((name) => claims[name] !== undefined)) {
    throw refuse(1402, 'the token is not an access token')
  }
  return checkTimes(claims, rules.clockSkewSeconds, nowMs)
}

function checkIssuer({ iss }: Claims, { issuer }: TokenRules): void {
  if (iss !== issuer) throw refuse(1403, `the token is not from ${issuer}`)
}

/** An unverified look, which only chooses by what rules a token is checked. */
export function isAccessToken(
  { header, claims }: { header: Claims; claims: Claims },
  { audience, accessTokens }: Pick<OidcSettings, 'audience' | 'accessTokens'>,
): boolean {
  const audiences = audiencesOf(claims)
  if (accessTokens === undefined || audiences.includes(audience)) return false
  return audiences.includes(accessTokens.audience) || /at\+jwt$/i.test(String(header['typ']))
}

/** None where they are not texts. */
function audiencesOf({ aud }: Claims): string[] {
  const audiences = typeof aud === 'string' ? [aud] : aud
  return isTexts(audiences) ? audiences : []
}

function checkAudience(claims: Claims, audience: string): void {
  const audiences = audiencesOf(claims)
  if (!audiences.includes(audience)) {
    throw refuse(
      1407,
      `the token is not for this gateway: its audience is not "${audience}". ${CHECK_KUBECONFIG}`,
    )
  }
  // `azp` says which client the token was made for; with several audiences only it does
  // (Core 3.1.3.7, 4-5).
  const azp = claims['azp']
  if (azp === undefined ? audiences.length > 1 : azp !== audience) {
    throw refuse(
      1407,
      `the token was made for another application: its authorised party (azp) is not "${audience}". ${CHECK_KUBECONFIG}`,
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
      `sign-in expired at ${clockTime(exp * 1000)}. Run the same command again to renew it; if that does not help, sign in again`,
    )
  }
  if (Math.max(iat, nbf) > now + skewSeconds) {
    throw refuse(
      1406,
      `the token is not valid before ${clockTime(Math.max(iat, nbf) * 1000)}; compare the clocks of the sign-in provider and the gateway`,
    )
  }
  return exp * 1000
}

/** 1e11 seconds is beyond any date a token can mean, and keeps Date within its range. */
const MAX_SECONDS = 1e11

/** Seconds since the epoch. */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < MAX_SECONDS
}

function numericDate(claims: Claims, name: string): number {
  const value = claims[name]
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > MAX_SECONDS) {
    throw refuse(1402, `the token's claim "${name}" is not a time in seconds`)
  }
  return value
}

/** The person these claims describe under the issuer's rules. */
export function personFromClaims(claims: Claims, rules: NameRules): Person {
  refuseDistributedGroups(claims, rules.groupsClaim)
  // As kube-apiserver: an address nobody has confirmed is not a name (--oidc-username-claim=email).
  if (rules.usernameClaim === 'email' && (claims['email_verified'] ?? true) !== true) {
    throw refuse(1408, 'the e-mail address of this account is not verified at the sign-in provider')
  }
  const username = nameOf(claims, rules.usernameClaim)
  const uid = nameOf(claims, rules.uidClaim)
  return {
    username: checkName('user name', rules.usernamePrefix + username),
    uid: checkHeaderSafe(`claim "${rules.uidClaim}"`, uid),
    groups: groupsOf(claims, rules),
    extra: extraOf(claims, rules.extraClaims),
    issuer: rules.issuer,
    signIn: signInOf(claims),
  }
}

/** The machine that these claims of an access token describe; nobody has signed in. */
export function machineFromClaims(
  claims: Claims,
  rules: Pick<OidcSettings, 'issuer' | 'groupsPrefix' | 'uidClaim' | 'extraClaims'>,
  { usernameClaim, usernamePrefix, groupsClaim }: AccessTokenRules,
): Person {
  if (groupsClaim !== undefined) refuseDistributedGroups(claims, groupsClaim)
  return {
    username: checkName('user name', usernamePrefix + nameOf(claims, usernameClaim)),
    uid: checkHeaderSafe(`claim "${rules.uidClaim}"`, nameOf(claims, rules.uidClaim)),
    groups: groupsClaim === undefined ? [] : groupsOf(claims, { ...rules, groupsClaim }),
    extra: extraOf(claims, rules.extraClaims),
    issuer: rules.issuer,
    signIn: { amr: [] },
  }
}

/** What is not said is left out; what is said in a way no header can carry is refused. */
function extraOf(
  claims: Claims,
  extraClaims: Readonly<Record<string, string>>,
): Record<string, string[]> {
  const extra: Record<string, string[]> = {}
  for (const [key, claim] of Object.entries(extraClaims)) {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined
    if (value === undefined || value === null) continue
    const values = (Array.isArray(value) ? value : [value]).map((item: unknown) => {
      if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') {
        return checkHeaderSafe(`claim "${claim}"`, String(item))
      }
      throw refuse(1408, `the token's claim "${claim}" is neither a text nor a list of texts`)
    })
    if (values.length > 0) extra[key] = values
  }
  return extra
}

/** Never refused: a policy that asks for one of these is not met by what cannot be read. */
function signInOf(claims: Claims): SignIn {
  const { auth_time: at, acr, amr } = claims
  return {
    ...(isTime(at) ? { at: at * 1000 } : {}),
    ...(typeof acr === 'string' && acr !== '' ? { acr } : {}),
    amr: isTexts(amr) ? amr : [],
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

function groupsOf(
  claims: Claims,
  rules: Pick<NameRules, 'groupsClaim' | 'groupsPrefix'>,
): string[] {
  const value = claims[rules.groupsClaim]
  if (value === undefined || value === null) return []
  const groups = typeof value === 'string' ? [value] : value
  if (!isTexts(groups)) {
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
  if (leavesGroupsOut(claims, groupsClaim)) {
    throw refuse(
      1409,
      `the sign-in provider left your groups out of the token because they are too many; ask the gateway's operator to send only the groups assigned to this application`,
    )
  }
}

const CHECK_KUBECONFIG = 'See what your kubeconfig sends: kubectl config view --minify'

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}
