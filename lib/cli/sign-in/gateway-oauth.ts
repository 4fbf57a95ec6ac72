/**
 * The gateway's sign-in as a command line uses it. The flows themselves are those of openid-client,
 * which is loaded only where somebody really signs in or is renewed.
 */
import type * as OpenIdClient from 'openid-client'

import { errorText } from '../../errors/gateway-error.ts'
import { createHttpsFetch, type HttpsFetch } from '../../https/https-fetch.ts'
import { CliError, ExitCode } from '../cli-error.ts'
import { connectionError } from '../connection-error.ts'
import { isObject, textAt, valueAt } from '../json-value.ts'
import { proxyEnvOf } from '../proxy-env.ts'
import type { CachedTokens } from '../token-cache.ts'
import { VERSION } from '../version.ts'

export const CLIENT_ID = 'podgate-cli'
const SIGN_IN_PATH = '/podgate/sign-in'
const TIMEOUT_SECONDS = 20
const USER_AGENT = `podgate-cli/${VERSION} (${process.platform})`

export interface GatewayAddress {
  /** As in a kubeconfig. */
  server: string
  /** PEM; undefined: the system's. */
  ca: string | undefined
  proxyUrl?: string | undefined
  /** The name in its certificate, where that is not the one in `server`. */
  tlsServerName?: string | undefined
}

/** How the person has to sign in. */
export interface SignInWish {
  provider: string | undefined
  fresh: boolean
  acr: readonly string[]
}

export interface GatewayOAuth {
  readonly client: typeof OpenIdClient
  readonly config: OpenIdClient.Configuration
  readonly cluster: string
  /** What the cache keeps of an answer of the gateway. */
  tokensOf(answer: OpenIdClient.TokenEndpointResponse): CachedTokens
  /** Who signed in, as the gateway said with the tokens. */
  userOf(answer: OpenIdClient.TokenEndpointResponse): string
}

/** Names the gateway in the cache. */
export function issuerOf(server: string): string {
  return `${new URL(server).origin}${SIGN_IN_PATH}`
}

function notAGateway(server: string, why: string): CliError {
  return new CliError(
    ExitCode.Unreachable,
    `${server} has no sign-in of a Podgate gateway (${why}); is it the gateway's address, and is signIn configured there?`,
  )
}

async function readMetadata(
  { server }: GatewayAddress,
  fetch: HttpsFetch,
): Promise<Record<string, unknown>> {
  const url = `${issuerOf(server)}/metadata`
  let answer: Response
  try {
    const signal = AbortSignal.timeout(TIMEOUT_SECONDS * 1000)
    answer = await fetch(url, { method: 'GET', headers: { accept: 'application/json' }, signal })
  } catch (error) {
    throw connectionError(server, error)
  }
  if (answer.status !== 200) throw notAGateway(server, `HTTP ${answer.status}`)
  const metadata: unknown = await answer.json().catch(() => undefined)
  // The endpoints are taken from the address that was typed, so its own name has to be that one.
  if (!isObject(metadata) || metadata['issuer'] !== issuerOf(server)) {
    const named = textAt(metadata, 'issuer') ?? 'nothing'
    throw notAGateway(server, `it calls itself ${named}`)
  }
  return metadata
}

export async function openGatewayOAuth(
  address: GatewayAddress,
  env: Record<string, string | undefined>,
): Promise<GatewayOAuth> {
  const fetch = createHttpsFetch({
    proxyEnv: proxyEnvOf(address.proxyUrl, address.server, env),
    ...(address.ca === undefined ? {} : { ca: address.ca }),
    ...(address.tlsServerName === undefined ? {} : { servername: address.tlsServerName }),
  })
  const metadata = await readMetadata(address, fetch)
  const client = await import('openid-client')
  const config = new client.Configuration(
    { ...metadata, issuer: issuerOf(address.server) },
    CLIENT_ID,
    undefined,
    client.None(),
  )
  // Who asks is shown to the person who confirms a device flow.
  config[client.customFetch] = async (url, options) => {
    const headers = { ...options.headers, 'user-agent': USER_AGENT }
    const answer = await fetch(url, { ...options, headers })
    // The library polls again by itself, when the gateway says when.
    const { body } = options
    const isPolling = body instanceof URLSearchParams && body.has('device_code')
    if (!isPolling || !answer.headers.has('retry-after')) await throwWords(answer, address.server)
    return answer
  }
  config.timeout = TIMEOUT_SECONDS
  return {
    client,
    config,
    cluster: textAt(metadata, 'podgate_cluster') ?? 'podgate',
    tokensOf(answer) {
      const seconds = answer.expires_in ?? 0
      return {
        issuer: issuerOf(address.server),
        clientId: CLIENT_ID,
        token: answer.access_token,
        expiresAt: Date.now() + seconds * 1000,
        ...(answer.refresh_token === undefined ? {} : { refreshToken: answer.refresh_token }),
      }
    },
    userOf: (answer) => {
      const user = valueAt(answer, 'podgate_user')
      return typeof user === 'string' ? user : ''
    },
  }
}

/** The library reads words of refusals (4xx) only; a gateway that cannot at the moment has some, too. */
async function throwWords(answer: Response, server: string): Promise<void> {
  if (answer.status < 500) return
  const body: unknown = await answer.json().catch(() => undefined)
  const words = textAt(body, 'error_description') ?? `HTTP ${answer.status}`
  throw new CliError(ExitCode.Unreachable, `${server} cannot do it at the moment: ${words}`)
}

/** The gateway's own words where it said any. */
export function signInErrorText(error: unknown): string {
  const described =
    textAt(error, 'error_description') ?? textAt(error, 'cause', 'error_description')
  if (described !== undefined) return described.replace(/\s+/gu, ' ')
  const cause = valueAt(error, 'cause')
  const text = textAt(cause, 'message') === undefined ? errorText(error) : signInErrorText(cause)
  return text.replace(/\s+/gu, ' ')
}
