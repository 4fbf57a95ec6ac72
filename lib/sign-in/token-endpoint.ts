/**
 * Where codes become tokens, and tokens are renewed and given back: RFC 6749 4.1.3 and 6, RFC 8628
 * 3.4, RFC 8693 (a token of a trusted provider, as CI systems have them), RFC 7009.
 */
import type { Request, Response } from 'express'

import { GatewayError } from '../errors/gateway-error.ts'
import type { ClientFacts } from '../identity/login-store.ts'
import type { IssuedTokens, Logins } from '../identity/logins.ts'
import type { Person, User } from '../identity/user.ts'
import { CLIENT_ID } from './authorize.ts'
import type { Codes } from './codes.ts'

const GRANTS = {
  code: 'authorization_code',
  refresh: 'refresh_token',
  device: 'urn:ietf:params:oauth:grant-type:device_code',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const

export const GRANT_TYPES: readonly string[] = Object.values(GRANTS)

export interface TokenEndpointDeps {
  codes: Codes
  logins: Logins
  /** Whose token a workload brings. @throws GatewayError */
  verifyToken(token: string): Promise<User>
  /** @throws GatewayError when the person was revoked meanwhile */
  assertMayBegin(person: Person): void
  /** For the log. */
  onFailure(error: GatewayError): void
  now(): number
}

class OAuthError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

type Form = Readonly<Record<string, unknown>>

function field(form: Form, name: string): string {
  const value = form[name]
  if (typeof value === 'string' && value !== '') return value
  throw new OAuthError('invalid_request', `${name} is missing`)
}

export function commandOf(request: Request): ClientFacts {
  return {
    address: request.socket.remoteAddress ?? '',
    userAgent: (request.headers['user-agent'] ?? '').slice(0, 200),
  }
}

/** RFC 6749 5.1. A sign-in by exchange has no refresh token: whoever brought the token has another. */
function answer(tokens: IssuedTokens, now: number, renewable: boolean): object {
  return {
    access_token: tokens.access,
    token_type: 'Bearer',
    expires_in: Math.max(1, Math.floor((tokens.expiresAt - now) / 1000)),
    ...(renewable ? { refresh_token: tokens.refresh } : {}),
    podgate_user: tokens.person.username,
    podgate_login: tokens.login,
  }
}

/** Which of them it is the token itself says, and by that it is checked. */
const SUBJECT_TOKEN_TYPES = new Set(
  ['id_token', 'access_token', 'jwt'].map((name) => `urn:ietf:params:oauth:token-type:${name}`),
)

/**
 * A token of the gateway would live for ever by being changed for the next, past the end of its
 * sign-in. A service account is one only as long as the API server says so itself.
 */
function refuseForExchange({ credential }: User): void {
  if (credential.kind === 'IdToken' || credential.kind === 'AccessToken') return
  throw new OAuthError(
    'invalid_grant',
    credential.kind === 'ServiceAccount'
      ? 'a token of a service account is used as it is: name it in the kubeconfig (tokenFile)'
      : 'this is no token of a sign-in provider',
  )
}

async function exchange(deps: TokenEndpointDeps, form: Form, request: Request): Promise<object> {
  if (!SUBJECT_TOKEN_TYPES.has(field(form, 'subject_token_type'))) {
    throw new OAuthError(
      'invalid_request',
      'subject_token_type is not id_token, access_token or jwt',
    )
  }
  const user = await deps.verifyToken(field(form, 'subject_token'))
  refuseForExchange(user)
  const { username, uid, groups, extra, issuer, signIn } = user
  const person = { username, groups, extra, issuer, signIn, ...(uid === undefined ? {} : { uid }) }
  const endsAt = deps.now() + 60 * 60_000
  const signedIn = { person, subject: uid ?? username, endsAt }
  return answer(await deps.logins.begin(issuer, signedIn, commandOf(request)), deps.now(), false)
}

async function grant(deps: TokenEndpointDeps, form: Form, request: Request): Promise<object> {
  const { codes, logins } = deps
  const type = field(form, 'grant_type')
  switch (type) {
    case GRANTS.code: {
      const { provider, signedIn, command } = await codes.redeemCode(
        field(form, 'code'),
        field(form, 'code_verifier'),
        field(form, 'redirect_uri'),
      )
      deps.assertMayBegin(signedIn.person)
      return answer(await logins.begin(provider, signedIn, command), deps.now(), true)
    }
    case GRANTS.refresh:
      return answer(await logins.renew(field(form, 'refresh_token')), deps.now(), true)
    case GRANTS.device: {
      const found = await codes.pollDevice(field(form, 'device_code'))
      if (typeof found === 'string') throw new OAuthError(found, DEVICE_WORDS[found])
      const { provider, signedIn, command } = found
      deps.assertMayBegin(signedIn.person)
      return answer(await logins.begin(provider, signedIn, command), deps.now(), true)
    }
    case GRANTS.exchange:
      return await exchange(deps, form, request)
    default:
      throw new OAuthError(
        'unsupported_grant_type',
        `grant_type is none of ${GRANT_TYPES.join(', ')}`,
      )
  }
}

const DEVICE_WORDS = {
  authorization_pending: 'the person has not answered yet',
  access_denied: 'the person has refused',
  expired_token: 'the code is over; start the sign-in again',
} as const

/** RFC 6749 5.2, with our own words and number as the description. */
export function sendOAuthError(response: Response, error: unknown): void {
  if (error instanceof OAuthError) {
    response.status(400).json({ error: error.code, error_description: error.message })
    return
  }
  if (!GatewayError.is(error)) throw error
  const known: Partial<Record<GatewayError['reason'], [number, string]>> = {
    Unauthorized: [400, 'invalid_grant'],
    BadRequest: [400, 'invalid_request'],
    TooManyRequests: [429, 'slow_down'],
    ServiceUnavailable: [503, 'temporarily_unavailable'],
  }
  const [code, name] = known[error.reason] ?? [500, 'server_error']
  const description = error.toStatus().message ?? ''
  // RFC 6749 5.2 allows no quotes and backslashes in it.
  const plain = description.replace(/["\\]/g, "'").replace(/[^ -~]/g, '?')
  if (code === 503) response.set('Retry-After', '5')
  response.status(code).json({ error: name, error_description: plain })
}

export async function serveTokenEndpoint(
  deps: TokenEndpointDeps,
  request: Request,
  response: Response,
): Promise<void> {
  const form = (request.body ?? {}) as Form
  try {
    if (field(form, 'client_id') !== CLIENT_ID) {
      throw new OAuthError('invalid_client', `client_id is not ${CLIENT_ID}`)
    }
    response.json(await grant(deps, form, request))
  } catch (error) {
    if (GatewayError.is(error)) deps.onFailure(error)
    sendOAuthError(response, error)
  }
}

/** RFC 7009 2.2: the answer is the same for a token that nobody knows. */
export async function serveRevocation(
  { logins }: Pick<TokenEndpointDeps, 'logins'>,
  request: Request,
  response: Response,
): Promise<void> {
  const { token } = (request.body ?? {}) as Form
  try {
    if (typeof token === 'string') await logins.end(token)
    response.json({})
  } catch (error) {
    sendOAuthError(response, error)
  }
}
