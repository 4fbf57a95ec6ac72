/** The ways to sign in at the gateway: with a browser here, with one elsewhere, with a token. */
import type { TokenEndpointResponse } from 'openid-client'

import { CliError, ExitCode } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import type { GatewayOAuth, SignInWish } from './gateway-oauth.ts'
import { openLoopback } from './loopback.ts'
import { browserFor, openBrowser } from './open-browser.ts'

/** Time to find one's password, as kubelogin gives it. */
const BROWSER_MS = 180_000

function wishParameters({ provider, fresh, acr }: SignInWish): Record<string, string> {
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(fresh ? { prompt: 'login', max_age: '0' } : {}),
    ...(acr.length === 0 ? {} : { acr_values: acr.join(' ') }),
  }
}

export interface FlowOptions {
  wish: SignInWish
  /** Says one line to the person. */
  tell(line: string): void
  /** Ctrl-C. */
  signal: AbortSignal
}

/** Authorization code with PKCE; the browser comes back to this machine. */
export async function signInWithBrowser(
  oauth: GatewayOAuth,
  io: Pick<CliIo, 'env'>,
  { wish, tell, signal }: FlowOptions,
): Promise<TokenEndpointResponse> {
  const { client, config } = oauth
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const loopback = await openLoopback(state)
  try {
    const url = client.buildAuthorizationUrl(config, {
      ...wishParameters(wish),
      redirect_uri: loopback.redirectUri,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    })
    const opener = browserFor(url.href, io.env, process.platform)
    const isOpen = opener !== undefined && (await openBrowser(opener))
    tell(
      isOpen
        ? `signing you in with your browser; if it did not open: ${url.href}`
        : `open this page in a browser of this machine: ${url.href}`,
    )
    const until = AbortSignal.any([signal, AbortSignal.timeout(BROWSER_MS)])
    const arrival = await loopback.arrival(until).catch((error: unknown) => {
      if (signal.aborted) throw new CliError(ExitCode.Interrupted, 'the sign-in was cancelled')
      if (until.aborted) {
        throw new CliError(ExitCode.Timeout, 'nobody signed in within three minutes; try again')
      }
      throw error
    })
    return await client.authorizationCodeGrant(config, arrival, {
      pkceCodeVerifier: verifier,
      expectedState: state,
    })
  } finally {
    loopback.close()
  }
}

/** RFC 8628: the browser may be on any machine. */
export async function signInWithDevice(
  { client, config }: GatewayOAuth,
  { wish, tell, signal }: FlowOptions,
): Promise<TokenEndpointResponse> {
  const { provider: _chosenThere, ...rest } = wishParameters(wish)
  const started = await client.initiateDeviceAuthorization(config, rest)
  const page = started.verification_uri_complete ?? started.verification_uri
  // Both on one line: people copy it into a chat with themselves (int128/kubelogin#717).
  tell(`sign in at ${page} (code ${started.user_code})`)
  return await client.pollDeviceAuthorizationGrant(config, started, undefined, { signal })
}

/** RFC 8693: a token of a provider that the gateway trusts, as CI systems and clients get them. */
export async function signInWithToken(
  { client, config }: GatewayOAuth,
  subjectToken: string,
): Promise<TokenEndpointResponse> {
  return await client.genericGrantRequest(
    config,
    'urn:ietf:params:oauth:grant-type:token-exchange',
    {
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    },
  )
}

export function canOpenBrowser(env: CliIo['env']): boolean {
  return browserFor('https://x', env, process.platform) !== undefined
}
