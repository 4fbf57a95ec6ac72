/** The part of a command that waits on the loopback for the browser to come back. */
import type { GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'

/** Nobody listens there: what a browser would bring is read from the address. */
export const REDIRECT = 'http://127.0.0.1:1/callback'
export const VERIFIER = 'a-verifier-that-nobody-else-has-0123456789-abc'
export const STATE = 'a-state-of-the-command-line'

/** Where it sends the browser first. */
export async function authorizeUrl(
  { client, config }: GatewayOAuth,
  more: Record<string, string> = {},
): Promise<URL> {
  return client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    code_challenge: await client.calculatePKCECodeChallenge(VERIFIER),
    code_challenge_method: 'S256',
    state: STATE,
    ...more,
  })
}
