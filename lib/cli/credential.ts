/**
 * `kubectl-podgate credential`: the exec credential plugin of a kubeconfig.
 *
 * kubectl starts it up to four times for one command, and hides everything of a failed plugin but
 * its stderr. So: one line on stderr that says what to do, once per kubectl, and quickly.
 */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { errorCode, errorText } from '../errors/gateway-error.ts'
import { createHttpsFetch } from './https-fetch.ts'
import type { CliIo } from './io.ts'
import { textAt, valueAt } from './json-value.ts'
import { proxyEnvOf } from './proxy-env.ts'
import {
  type CachedTokens,
  clearFailure,
  readFailure,
  readTokens,
  tokensDigest,
  writeFailure,
  writeTokens,
} from './token-cache.ts'
import { withTokenLock } from './token-lock.ts'

export const CREDENTIAL_USAGE = `Usage: kubectl-podgate credential --issuer URL --client-id ID --cache FILE [--ca-file FILE] [--sign-in TEXT]

An exec credential plugin for kubectl (client.authentication.k8s.io/v1). Prints the ID token kept in
the cache, and renews it with the refresh token when it ends.

  --issuer URL     the OpenID Connect provider
  --client-id ID   this client's name at the provider
  --cache FILE     where the sign-in is kept (mode 0600)
  --ca-file FILE   PEM of the provider's authority, in place of the system's
  --sign-in TEXT   what to tell a person who has to sign in (again)
`

interface CredentialOptions {
  issuer: string
  clientId: string
  cache: string
  caFile?: string
  signIn: string
}

type Io = Pick<CliIo, 'stdout' | 'stderr' | 'env'> & Partial<Pick<CliIo, 'now'>>

/** A token that ends sooner is renewed: the request it is for may take a while to arrive. */
const MIN_LIFE_MS = 60_000
const USABLE_LIFE_MS = 5_000
const NEGATIVE_CACHE_MS = 10_000
const HTTP_TIMEOUT_SECONDS = 15
const API_GROUP = 'client.authentication.k8s.io'

export async function runCredential(args: string[], io: Io): Promise<number> {
  let options: CredentialOptions | 'help'
  let apiVersion: string
  try {
    options = parseOptions(args)
    apiVersion = requestedVersion(io.env['KUBERNETES_EXEC_INFO'])
  } catch (error) {
    io.stderr.write(`podgate: ${errorText(error)}\n`)
    return 2
  }
  if (options === 'help') {
    io.stdout.write(CREDENTIAL_USAGE)
    return 0
  }
  const now = io.now ?? Date.now
  const result = await freshTokens(options, io.env, now).catch((error: unknown): Failure => ({
    message: errorText(error),
    isTold: false,
  }))
  if (isFailure(result)) {
    if (!result.isTold) io.stderr.write(`podgate: ${result.message}\n`)
    return 1
  }
  io.stdout.write(`${JSON.stringify(execCredential(apiVersion, result, now()))}\n`)
  return 0
}

function parseOptions(args: string[]): CredentialOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      issuer: { type: 'string' },
      'client-id': { type: 'string' },
      cache: { type: 'string' },
      'ca-file': { type: 'string' },
      'sign-in': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return 'help'
  const { issuer, cache, 'client-id': clientId, 'ca-file': caFile } = values
  if (issuer === undefined || clientId === undefined || cache === undefined) {
    throw new Error('credential needs --issuer, --client-id and --cache; see --help')
  }
  if (!URL.canParse(issuer) || new URL(issuer).protocol !== 'https:') {
    throw new Error(`--issuer ${issuer} is not an https address`)
  }
  return {
    issuer,
    clientId,
    cache,
    signIn: values['sign-in'] ?? 'sign in again, or ask the operator of your gateway how',
    ...(caFile === undefined ? {} : { caFile }),
  }
}

/** The answer must have the version of the question; by hand there is no question. */
function requestedVersion(info: string | undefined): string {
  if (info === undefined || info === '') return `${API_GROUP}/v1`
  const version = parseVersion(info)
  if (version === `${API_GROUP}/v1` || version === `${API_GROUP}/v1beta1`) return version
  throw new Error(`this kubectl asks for an ExecCredential of an unknown version; update kubectl`)
}

function parseVersion(info: string): unknown {
  try {
    return valueAt(JSON.parse(info), 'apiVersion')
  } catch {
    return undefined
  }
}

interface Failure {
  message: string
  /** Already printed for this kubectl by an earlier start of the plugin. */
  isTold: boolean
}

function isFailure(value: CachedTokens | Failure): value is Failure {
  return 'message' in value
}

async function freshTokens(
  options: CredentialOptions,
  env: CliIo['env'],
  now: () => number,
): Promise<CachedTokens | Failure> {
  const read = (): Promise<CachedTokens | undefined> =>
    readTokens(options.cache, options.issuer, options.clientId)
  const cached = await read()
  if (cached !== undefined && lives(cached, now())) return cached
  return withTokenLock(options.cache, async () => {
    // While this process waited, another may have renewed them, or have failed to.
    const current = await read()
    if (current !== undefined && lives(current, now())) return current
    const failure =
      (await recentFailure(options.cache, current, now())) ??
      (await renewInto(options, current, env, now))
    // The provider may be away for a moment: a token that still lives is better than none.
    const isUsable = current !== undefined && current.expiresAt - now() > USABLE_LIFE_MS
    return isFailure(failure) && isUsable ? current : failure
  })
}

async function renewInto(
  options: CredentialOptions,
  current: CachedTokens | undefined,
  env: CliIo['env'],
  now: () => number,
): Promise<CachedTokens | Failure> {
  try {
    const renewed = await renew(options, current, env)
    await writeTokens(options.cache, renewed)
    await clearFailure(options.cache)
    return renewed
  } catch (error) {
    const message = explain(error, options)
    await noteFailure(options.cache, current, message, now())
    return { message, isTold: false }
  }
}

function lives(tokens: CachedTokens, nowMs: number): boolean {
  return tokens.expiresAt - nowMs > MIN_LIFE_MS
}

async function recentFailure(
  cache: string,
  tokens: CachedTokens | undefined,
  nowMs: number,
): Promise<Failure | undefined> {
  const note = await readFailure(cache)
  if (note === undefined || note.digest !== tokensDigest(tokens)) return undefined
  const ageMs = nowMs - note.atMs
  if (ageMs < 0 || ageMs > NEGATIVE_CACHE_MS) return undefined
  if (note.parentPid === process.ppid) return { message: note.message, isTold: true }
  await writeFailure(cache, { ...note, parentPid: process.ppid })
  return { message: note.message, isTold: false }
}

async function noteFailure(
  cache: string,
  tokens: CachedTokens | undefined,
  message: string,
  atMs: number,
): Promise<void> {
  const digest = tokensDigest(tokens)
  await writeFailure(cache, { atMs, parentPid: process.ppid, digest, message })
}

class SignInNeeded extends Error {
  readonly code = 'SIGN_IN_NEEDED'
}

/** RFC 6749 6. The library is loaded only here: most starts of the plugin need no network. */
async function renew(
  options: CredentialOptions,
  tokens: CachedTokens | undefined,
  env: CliIo['env'],
): Promise<CachedTokens> {
  if (tokens?.refreshToken === undefined) throw new SignInNeeded('not signed in')
  const client = await import('openid-client')
  const issuer = new URL(options.issuer)
  const fetch = createHttpsFetch({
    proxyEnv: proxyEnvOf(undefined, issuer.hostname, env),
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
    idToken: answer.id_token,
    expiresAt,
    refreshToken: answer.refresh_token ?? tokens.refreshToken,
  }
}

function explain(error: unknown, options: CredentialOptions): string {
  const isEnded =
    valueAt(error, 'error') === 'invalid_grant' || errorCode(error) === 'SIGN_IN_NEEDED'
  if (isEnded) return `you are not signed in at ${options.issuer} (any more): ${options.signIn}`
  return `the sign-in at ${options.issuer} could not be renewed (${rootText(error)}); check that the provider runs and try again, or ${options.signIn}`
}

/** The library wraps the network's own words. */
function rootText(error: unknown): string {
  const cause = valueAt(error, 'cause')
  const isWrapped = textAt(cause, 'message') !== undefined
  return (isWrapped ? rootText(cause) : errorText(error)).replace(/\s+/gu, ' ')
}

function execCredential(apiVersion: string, tokens: CachedTokens, nowMs: number): object {
  // client-go asks again when this time has passed; half a minute early, so that no request
  // leaves with a token that ends on the way.
  const until = Math.max(nowMs + 1_000, tokens.expiresAt - 30_000)
  return {
    kind: 'ExecCredential',
    apiVersion,
    status: {
      token: tokens.idToken,
      expirationTimestamp: new Date(until).toISOString().replace(/\.\d+Z$/u, 'Z'),
    },
  }
}
