/**
 * Signs a person in as a browser would (authorization code with PKCE, RFC 7636 and RFC 8252),
 * with the person's password, and keeps the tokens where the credential plugin looks for them. So
 * a kubeconfig of the sandbox works on a machine without a browser.
 */
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  None,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'

import { openGatewayOAuth, type GatewayAddress } from '../cli/sign-in/gateway-oauth.ts'
import { createHttpsFetch, type HttpsFetch } from '../https/https-fetch.ts'
import { writeTokens } from '../cli/token-cache.ts'
import { CLIENT_ID, SCOPES } from './identity-provider.ts'

export interface SignInOptions {
  issuer: string
  /** PEM of the authority of the provider's certificate. */
  ca: string
  name: string
  password: string
  cacheFile: string
}

/** Nothing listens there: the last redirect is read, not followed. */
const REDIRECT_URI = 'http://127.0.0.1/callback'
const MAX_STEPS = 12

export async function signIn(options: SignInOptions): Promise<void> {
  const fetch = createHttpsFetch({ ca: options.ca })
  const config = await discovery(new URL(options.issuer), CLIENT_ID, undefined, None(), {
    [customFetch]: fetch,
    timeout: 15,
  })
  const verifier = randomPKCECodeVerifier()
  const state = randomState()
  const start = buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: SCOPES,
    // OpenID Connect Core 11: offline_access needs the person's consent.
    prompt: 'consent',
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  })
  const end = await browse(start, REDIRECT_URI, fetch, options)
  const tokens = await authorizationCodeGrant(config, end, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    idTokenExpected: true,
  })
  const { id_token: idToken, refresh_token: refreshToken } = tokens
  if (idToken === undefined || refreshToken === undefined) {
    throw new Error(`${options.issuer} gave ${options.name} no ID token or no refresh token`)
  }
  await writeTokens(options.cacheFile, {
    issuer: options.issuer,
    clientId: CLIENT_ID,
    token: idToken,
    refreshToken,
    expiresAt: (tokens.claims()?.exp ?? 0) * 1000,
  })
}

export interface GatewaySignInOptions {
  address: GatewayAddress
  /** The provider behind it, for words. */
  issuer: string
  name: string
  password: string
  cacheFile: string
}

/** The same at the gateway, which sends the browser on to the provider. */
export async function signInAtGateway(options: GatewaySignInOptions): Promise<void> {
  const { address, cacheFile } = options
  const oauth = await openGatewayOAuth(address, {})
  const verifier = randomPKCECodeVerifier()
  const state = randomState()
  const redirectUri = 'http://127.0.0.1:9/callback'
  const start = buildAuthorizationUrl(oauth.config, {
    redirect_uri: redirectUri,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  })
  const fetch = createHttpsFetch(address.ca === undefined ? {} : { ca: address.ca })
  const end = await browse(start, redirectUri, fetch, options)
  const answer = await authorizationCodeGrant(oauth.config, end, {
    pkceCodeVerifier: verifier,
    expectedState: state,
  })
  await writeTokens(cacheFile, oauth.tokensOf(answer))
}

/** Follows redirects and fills in the forms until the provider sends the browser back to us. */
async function browse(
  start: URL,
  redirectUri: string,
  fetch: HttpsFetch,
  options: Pick<SignInOptions, 'issuer' | 'name' | 'password'>,
): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = start
  let form: URLSearchParams | undefined
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const answer = await fetch(url.href, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { body: form }),
    })
    keepCookies(answer, cookies)
    const location = answer.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      form = undefined
      if (url.href.startsWith(redirectUri)) return url
      continue
    }
    const page = await answer.text()
    if (answer.status !== 200) {
      throw new Error(`signing ${options.name} in at ${options.issuer} failed: ${textOf(page)}`)
    }
    form = page.includes('name="password"')
      ? new URLSearchParams({ name: options.name, password: options.password })
      : new URLSearchParams({ consent: 'yes' })
  }
  throw new Error(`signing ${options.name} in at ${options.issuer} did not come to an end`)
}

function keepCookies(answer: Response, cookies: Map<string, string>): void {
  for (const cookie of answer.headers.getSetCookie()) {
    const [pair = ''] = cookie.split(';')
    const [name = '', ...value] = pair.split('=')
    cookies.set(name.trim(), value.join('='))
  }
}

function textOf(page: string): string {
  const body = page.replace(/^[^]*<body>/u, '').replace(/<[^>]*>/gu, ' ')
  return body.replace(/\s+/gu, ' ').trim()
}
