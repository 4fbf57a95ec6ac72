/**
 * Signing people in at an OpenID Connect provider, as a confidential client of it: authorization
 * code with PKCE (RFC 7636), state and nonce; and asking it again later whether they still may, with
 * the refresh token that it gave.
 */
import { readFile } from 'node:fs/promises'

import type * as OpenIdClient from 'openid-client'

import { errorCode, errorText, GatewayError } from '../errors/gateway-error.ts'
import { checkTokenClaims, type Claims, personFromClaims } from './claims.ts'
import { readToken } from './compact-token.ts'
import { leavesGroupsOut, withLeftOutGroups } from './left-out-groups.ts'
import { readLogoutToken, type LogoutOrder } from './logout-token.ts'
import { createHttpsFetch } from '../https/https-fetch.ts'
import type { OidcProvider } from './oidc.ts'
import type { OidcSettings, Person } from './user.ts'

export interface OidcSignInSettings {
  /** In URLs and for people to choose: `corp`. */
  name: string
  issuer: OidcSettings
  clientId: string
  clientSecretFile?: string | undefined
  scopes: readonly string[]
  /** More parameters of the authorization request, such as `hd` or `domain_hint`. */
  parameters: Readonly<Record<string, string>>
  /** Where to ask for groups that an ID token leaves out; undefined: such a token is refused. */
  groupsUrl?: string | undefined
}

/** What only this sign-in knows, from its start to its finish. */
export interface OidcChecks {
  state: string
  nonce: string
  verifier: string
  /** Seconds. */
  maxAge?: number
}

export interface Freshness {
  /** Only a sign-in made now will do. */
  fresh: boolean
  acr: readonly string[]
}

export interface SignedIn {
  person: Person
  subject: string
  providerSession?: string
  /** The provider's refresh token. */
  upstream?: string
  /** ms; the sign-in is over then at the latest. */
  endsAt?: number
}

/** `ended`: the provider says that the person may no longer. */
export type Recheck =
  | { kind: 'ended'; why: string }
  /** Without a person nothing new is known of them, for the reason that `problem` gives. */
  | { kind: 'alive'; person?: Person; problem?: string; upstream?: string }

export interface OidcSignIn {
  readonly name: string
  start(redirectUri: string, freshness: Freshness): Promise<{ url: URL; checks: OidcChecks }>
  /** @param callback the address the provider sent the browser to, as it came. @throws GatewayError */
  finish(callback: URL, redirectUri: string, checks: OidcChecks): Promise<SignedIn>
  /** @throws GatewayError ServiceUnavailable while the provider is away. */
  recheck(upstream: string, subject: string): Promise<Recheck>
  /** What a logout token of the provider orders. @throws GatewayError */
  logout(token: string): Promise<LogoutOrder>
}

type ProviderTokens = Pick<OpenIdClient.TokenEndpointResponse, 'id_token' | 'access_token'>

const TIMEOUT_SECONDS = 10
/** Discovery is asked for again after this. */
const DISCOVERY_MS = 10 * 60_000

export function createOidcSignIn(
  settings: OidcSignInSettings,
  provider: OidcProvider,
  now: () => number = Date.now,
  /** For logout tokens, which anybody may send: it asks for new keys no more often than for ID tokens. */
  logoutProvider: OidcProvider = provider,
): OidcSignIn {
  let known:
    { client: typeof OpenIdClient; config: OpenIdClient.Configuration; at: number } | undefined

  async function open(): Promise<NonNullable<typeof known>> {
    if (known !== undefined && now() - known.at < DISCOVERY_MS) return known
    try {
      const client = await import('openid-client')
      known = { client, config: await discover(client, settings), at: now() }
      return known
    } catch (error) {
      // What was known goes on to serve: endpoints do not move because a provider is away.
      if (known !== undefined) return known
      throw away(settings, error)
    }
  }

  async function personOf(tokens: ProviderTokens): Promise<{ person: Person; claims: Claims }> {
    const claims = await provider.verifySignature(readToken(tokens.id_token ?? ''))
    checkTokenClaims(claims, { ...settings.issuer, audience: settings.clientId }, now())
    const { groupsClaim, caFile } = settings.issuer
    const { groupsUrl: url } = settings
    const whole =
      url !== undefined && leavesGroupsOut(claims, groupsClaim)
        ? await withLeftOutGroups(claims, groupsClaim, { url, caFile }, tokens.access_token)
        : claims
    return { person: personFromClaims(whole, settings.issuer), claims }
  }

  /** The provider has said yes; that its keys are not known here at the moment takes nothing back. */
  async function personNow(
    tokens: ProviderTokens,
    subject: string,
  ): Promise<{ person: Person } | { problem: string }> {
    try {
      const { person, claims } = await personOf(tokens)
      // Core 12.2: a sign-in stays that of the person it is of.
      if (claims['sub'] !== subject) throw refuseOther(settings.name)
      return { person }
    } catch (error) {
      if (isAboutNames(error)) throw error
      const cause = GatewayError.is(error) ? error.cause : undefined
      const why = cause === undefined ? '' : ` (${errorText(cause)})`
      return { problem: `what the provider says now cannot be used: ${errorText(error)}${why}` }
    }
  }

  return {
    name: settings.name,
    async start(redirectUri, { fresh, acr }) {
      const { client, config } = await open()
      const checks: OidcChecks = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
        ...(fresh ? { maxAge: 0 } : {}),
      }
      const url = client.buildAuthorizationUrl(config, {
        ...settings.parameters,
        redirect_uri: redirectUri,
        scope: settings.scopes.join(' '),
        state: checks.state,
        nonce: checks.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(checks.verifier),
        code_challenge_method: 'S256',
        ...(fresh ? { prompt: withLogin(settings.parameters['prompt']), max_age: '0' } : {}),
        ...(acr.length > 0 ? { acr_values: acr.join(' ') } : {}),
      })
      return { url, checks }
    },
    async finish(callback, redirectUri, checks) {
      const { client, config } = await open()
      const at = new URL(redirectUri)
      at.search = callback.search
      try {
        const tokens = await client.authorizationCodeGrant(config, at, {
          pkceCodeVerifier: checks.verifier,
          expectedState: checks.state,
          expectedNonce: checks.nonce,
          idTokenExpected: true,
        })
        const { person, claims } = await personOf(tokens)
        if (checks.maxAge !== undefined) assertFresh(person, now())
        const { sub, sid } = claims
        return {
          person,
          subject: String(sub),
          ...(typeof sid === 'string' ? { providerSession: sid } : {}),
          ...(tokens.refresh_token === undefined ? {} : { upstream: tokens.refresh_token }),
        }
      } catch (error) {
        throw signInFailure(settings, error)
      }
    },
    async logout(token) {
      const claims = await logoutProvider.verifySignature(readToken(token), 'logout+jwt')
      const { issuer, clockSkewSeconds } = settings.issuer
      return readLogoutToken(
        claims,
        { issuer, clientId: settings.clientId, clockSkewSeconds },
        now(),
      )
    },
    async recheck(upstream, subject) {
      const { client, config } = await open()
      try {
        const tokens = await client.refreshTokenGrant(config, upstream)
        return {
          kind: 'alive',
          ...(tokens.id_token === undefined ? {} : await personNow(tokens, subject)),
          ...(tokens.refresh_token === undefined ? {} : { upstream: tokens.refresh_token }),
        }
      } catch (error) {
        const code = oauthError(error)
        if (code === 'invalid_grant' || code === 'access_denied')
          return { kind: 'ended', why: code }
        // A name that may not be used any more is no outage.
        if (isAboutNames(error)) return { kind: 'ended', why: error.message }
        throw away(settings, error)
      }
    },
  }
}

function refuseOther(name: string): GatewayError {
  return new GatewayError('Unauthorized', `the provider ${name} names somebody else now`, {
    id: 1408,
  })
}

/** What the operator asks for beside it stays: without `consent` some give no refresh token. */
function withLogin(prompt: string | undefined): string {
  return [...new Set(['login', ...(prompt ?? '').split(' ')])]
    .filter((word) => word !== '')
    .join(' ')
}

async function discover(
  client: typeof OpenIdClient,
  { issuer, clientId, clientSecretFile }: OidcSignInSettings,
): Promise<OpenIdClient.Configuration> {
  const ca = issuer.caFile === undefined ? undefined : await readFile(issuer.caFile, 'utf8')
  // Read each time: a secret that is rotated in its file counts from the next discovery on.
  const secret =
    clientSecretFile === undefined ? undefined : (await readFile(clientSecretFile, 'utf8')).trim()
  const authentication = secret === undefined ? client.None() : client.ClientSecretBasic(secret)
  const fetch = createHttpsFetch(ca === undefined ? {} : { ca })
  const config = await client.discovery(
    new URL(issuer.issuer),
    clientId,
    { [client.clockTolerance]: issuer.clockSkewSeconds },
    authentication,
    {
      timeout: TIMEOUT_SECONDS,
      [client.customFetch]: fetch,
    },
  )
  config[client.customFetch] = fetch
  return config
}

/** A provider that ignores `prompt=login` would let an old sign-in pass for a new one. */
export function assertFresh({ signIn }: Person, nowMs: number): void {
  if (signIn.at === undefined || nowMs - signIn.at > 5 * 60_000) {
    throw new GatewayError(
      'Unauthorized',
      'a fresh sign-in was asked for, and the provider did not make one; sign out there and try again',
      { id: 1416 },
    )
  }
}

function isAboutNames(error: unknown): error is GatewayError {
  return GatewayError.is(error) && (error.id === 1408 || error.id === 1409)
}

function oauthError(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('error' in error)) return undefined
  return typeof error.error === 'string' ? error.error : undefined
}

function signInFailure(settings: OidcSignInSettings, error: unknown): GatewayError {
  if (GatewayError.is(error)) return error
  const code = oauthError(error)
  if (code === 'access_denied') {
    return new GatewayError(
      'Unauthorized',
      `the sign-in at ${settings.name} was refused or cancelled`,
      {
        id: 1417,
        cause: error,
      },
    )
  }
  if (code !== undefined || errorCode(error)?.startsWith('OAUTH_') === true) {
    return new GatewayError(
      'Unauthorized',
      `the answer of the provider ${settings.name} cannot be used${code === undefined ? '' : ` (${code.slice(0, 60)})`}; start the sign-in again`,
      { id: 1417, cause: error },
    )
  }
  return away(settings, error)
}

function away({ name, issuer }: OidcSignInSettings, error: unknown): GatewayError {
  if (GatewayError.is(error)) return error
  return new GatewayError(
    'ServiceUnavailable',
    `the sign-in provider ${name} (${issuer.issuer}) cannot be reached; try again in a moment`,
    { id: 1420, cause: new Error(errorText(error), { cause: error }) },
  )
}
