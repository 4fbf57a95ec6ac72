/**
 * Tokens of a gateway: renewed with its refresh token, and where the sign-in is over, made anew by
 * the person in a browser. kubectl waits meanwhile, as it does with kubelogin.
 */
import { errorCode } from '../../errors/gateway-error.ts'
import { CliError } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import { valueAt } from '../json-value.ts'
import type { CachedTokens } from '../token-cache.ts'
import { canOpenBrowser, signInWithBrowser, signInWithDevice } from './flows.ts'
import {
  CLIENT_ID,
  issuerOf,
  openGatewayOAuth,
  signInErrorText,
  type GatewayAddress,
  type GatewayOAuth,
} from './gateway-oauth.ts'
import { SignInNeeded, type TokenSource } from './token-source.ts'

export interface GatewaySourceOptions {
  address: GatewayAddress
  /** Somebody sits at the terminal that kubectl was started from. */
  interactive: boolean
  /** Never opens a browser nor asks for one. */
  silent: boolean
  /** Says one line to the person. */
  tell(line: string): void
}

/** Longer than a person is given to sign in: another kubectl waits for the same browser. */
const PATIENCE_MS = 200_000

export function createGatewaySource(
  options: GatewaySourceOptions,
  io: Pick<CliIo, 'env'>,
): TokenSource {
  const { address, interactive, silent, tell } = options

  async function signIn(oauth: GatewayOAuth): Promise<CachedTokens> {
    const wish = { provider: undefined, fresh: false, acr: [] }
    const flow = { wish, tell, signal: new AbortController().signal }
    if (!silent && canOpenBrowser(io.env)) {
      return oauth.tokensOf(await signInWithBrowser(oauth, io, flow))
    }
    if (!silent && interactive) return oauth.tokensOf(await signInWithDevice(oauth, flow))
    throw new SignInNeeded('not signed in')
  }

  return {
    issuer: issuerOf(address.server),
    clientId: CLIENT_ID,
    patienceMs: PATIENCE_MS,
    async renew(tokens) {
      const oauth = await openGatewayOAuth(address, io.env)
      if (tokens?.refreshToken === undefined) return await signIn(oauth)
      try {
        const answer = await oauth.client.refreshTokenGrant(oauth.config, tokens.refreshToken)
        return oauth.tokensOf(answer)
      } catch (error) {
        if (valueAt(error, 'error') !== 'invalid_grant') throw error
        // Somebody who was revoked gets no browser: signing in again does not help.
        if (/PODGATE-1450/.test(signInErrorText(error))) throw error
        return await signIn(oauth)
      }
    },
    explain(error) {
      if (errorCode(error) === 'SIGN_IN_NEEDED') {
        return `you are not signed in at ${address.server}. Run: kubectl podgate login`
      }
      if (CliError.is(error)) return error.message
      return `the sign-in at ${address.server} could not be renewed: ${signInErrorText(error)}`
    },
  }
}
