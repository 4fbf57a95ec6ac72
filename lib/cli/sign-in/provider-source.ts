/** Tokens straight from an OpenID Connect provider, renewed with its refresh token (RFC 6749 6). */
import { readFile } from 'node:fs/promises'

import { errorCode, errorText } from '../../errors/gateway-error.ts'
import { createHttpsFetch } from '../../https/https-fetch.ts'
import type { CliIo } from '../io.ts'
import { textAt, valueAt } from '../json-value.ts'
import { proxyEnvOf } from '../proxy-env.ts'
import type { CachedTokens } from '../token-cache.ts'
import { SignInNeeded, type TokenSource } from './token-source.ts'

export interface ProviderOptions {
  issuer: string
  clientId: string
  caFile?: string
  /** What to tell a person who has to sign in (again). */
  signIn: string
}

const HTTP_TIMEOUT_SECONDS = 15

/** The library is loaded only here: most starts of the plugin need no network. */
async function renew(
  options: ProviderOptions,
  tokens: CachedTokens | undefined,
  env: CliIo['env'],
): Promise<CachedTokens> {
  if (tokens?.refreshToken === undefined) throw new SignInNeeded('not signed in')
  const client = await import('openid-client')
  const issuer = new URL(options.issuer)
  const fetch = createHttpsFetch({
    proxyEnv: proxyEnvOf(undefined, issuer.href, env),
    ...(options.caFile === undefined ? {} : { ca: await readFile(options.caFile, 'utf8') }),
  })
  const config = await client.discovery(issuer, options.clientId, undefined, client.None(), {
    timeout: HTTP_TIMEOUT_SECONDS,
    [client.customFetch]: fetch,
  })
  const answer = await client.refreshTokenGrant(config, tokens.refreshToken)
  const expiresAt = (answer.claims()?.exp ?? 0) * 1000
  if (answer.id_token === undefined || expiresAt === 0) {
    throw new Error('it sent no ID token')
  }
  return {
    ...tokens,
    token: answer.id_token,
    expiresAt,
    refreshToken: answer.refresh_token ?? tokens.refreshToken,
  }
}

/** The library wraps the network's own words. */
function rootText(error: unknown): string {
  const cause = valueAt(error, 'cause')
  const isWrapped = textAt(cause, 'message') !== undefined
  return (isWrapped ? rootText(cause) : errorText(error)).replace(/\s+/gu, ' ')
}

export function createProviderSource(options: ProviderOptions, env: CliIo['env']): TokenSource {
  const { issuer, clientId, signIn } = options
  return {
    issuer,
    clientId,
    patienceMs: 30_000,
    renew: (tokens) => renew(options, tokens, env),
    explain(error) {
      const isEnded =
        valueAt(error, 'error') === 'invalid_grant' || errorCode(error) === 'SIGN_IN_NEEDED'
      if (isEnded) return `you are not signed in at ${issuer} (any more): ${signIn}`
      return `the sign-in at ${issuer} could not be renewed (${rootText(error)}); check that the provider runs and try again, or ${signIn}`
    },
  }
}
