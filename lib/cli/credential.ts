/**
 * `kubectl-podgate credential`: the exec credential plugin of a kubeconfig.
 *
 * kubectl starts it up to four times for one command, and hides everything of a failed plugin but
 * its stderr. So: one line on stderr that says what to do, once per kubectl, and quickly.
 */
import { parseArgs } from 'node:util'

import { errorText } from '../errors/gateway-error.ts'
import { escapeText } from '../streams/sanitize-terminal.ts'
import type { CliIo } from './io.ts'
import { booleanAt, textAt, valueAt } from './json-value.ts'
import type { TokenSource } from './sign-in/token-source.ts'
import {
  type CachedTokens,
  cacheFileOf,
  readFailure,
  readTokens,
  tokensDigest,
  writeFailure,
  writeTokens,
} from './token-cache.ts'
import { withTokenLock } from './token-lock.ts'

export const CREDENTIAL_USAGE = `Usage: kubectl-podgate credential [--server URL] [--no-browser] [--cache FILE]
       kubectl-podgate credential --issuer URL --client-id ID --cache FILE [--ca-file FILE] [--sign-in TEXT]

An exec credential plugin for kubectl (client.authentication.k8s.io/v1). Prints the token kept in the
cache, and renews it when it ends. Where the sign-in is over it opens your browser.

  --server URL     the gateway; by default the server of the kubeconfig (provideClusterInfo: true)
  --no-browser     never open a browser; say what to run instead
  --cache FILE     where the sign-in is kept (mode 0600); by default in ~/.kube/cache/podgate
  --ca-file FILE   PEM of the server's authority, in place of the kubeconfig's or the system's

ID tokens of a provider, without a sign-in at the gateway:
  --issuer URL     the OpenID Connect provider
  --client-id ID   this client's name at the provider
  --sign-in TEXT   what to tell a person who has to sign in (again)
`

type Io = Pick<CliIo, 'stdout' | 'stderr' | 'env'> & Partial<Pick<CliIo, 'now'>>

/** A token that ends sooner is renewed: the request it is for may take a while to arrive. */
const MIN_LIFE_MS = 60_000
const USABLE_LIFE_MS = 5_000
const NEGATIVE_CACHE_MS = 10_000
const API_GROUP = 'client.authentication.k8s.io'

interface Ask {
  apiVersion: string
  source: TokenSource
  cache: string
}

export async function runCredential(args: string[], io: Io): Promise<number> {
  let ask: Ask | 'help'
  try {
    ask = await parseAsk(args, io)
  } catch (error) {
    io.stderr.write(`podgate: ${escapeText(errorText(error))}\n`)
    return 2
  }
  if (ask === 'help') {
    io.stdout.write(CREDENTIAL_USAGE)
    return 0
  }
  const now = io.now ?? Date.now
  const { source, cache } = ask
  const result = await freshTokens(source, cache, now).catch((error: unknown): Failure => ({
    message: errorText(error),
    isTold: false,
  }))
  if (isFailure(result)) {
    if (!result.isTold) io.stderr.write(`podgate: ${escapeText(result.message)}\n`)
    return 1
  }
  io.stdout.write(`${JSON.stringify(execCredential(ask.apiVersion, result, now()))}\n`)
  return 0
}

interface Flags {
  issuer?: string | undefined
  'client-id'?: string | undefined
  server?: string | undefined
  cache?: string | undefined
  'ca-file'?: string | undefined
  'sign-in'?: string | undefined
  'no-browser'?: boolean | undefined
}

async function parseAsk(args: string[], io: Io): Promise<Ask | 'help'> {
  const { values } = parseArgs({
    args,
    options: {
      issuer: { type: 'string' },
      'client-id': { type: 'string' },
      server: { type: 'string' },
      cache: { type: 'string' },
      'ca-file': { type: 'string' },
      'sign-in': { type: 'string' },
      'no-browser': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return 'help'
  const info = parseInfo(io.env['KUBERNETES_EXEC_INFO'])
  const apiVersion = requestedVersion(info)
  return values.issuer === undefined && values['client-id'] === undefined
    ? { apiVersion, ...(await askGateway(values, info, io)) }
    : { apiVersion, ...(await askProvider(values, io)) }
}

async function askProvider(flags: Flags, io: Io): Promise<Omit<Ask, 'apiVersion'>> {
  const { issuer, cache, 'client-id': clientId, 'ca-file': caFile } = flags
  if (issuer === undefined || clientId === undefined || cache === undefined) {
    throw new Error('credential needs --issuer, --client-id and --cache together; see --help')
  }
  assertHttps('--issuer', issuer)
  const { createProviderSource } = await import('./sign-in/provider-source.ts')
  const options = {
    issuer,
    clientId,
    signIn: flags['sign-in'] ?? 'sign in again, or ask the operator of your gateway how',
    ...(caFile === undefined ? {} : { caFile }),
  }
  return { source: createProviderSource(options, io.env), cache }
}

async function askGateway(flags: Flags, info: unknown, io: Io): Promise<Omit<Ask, 'apiVersion'>> {
  const server = flags.server ?? textAt(info, 'spec', 'cluster', 'server')
  if (server === undefined) {
    throw new Error(
      'credential needs --server, or provideClusterInfo: true in the kubeconfig; see --help',
    )
  }
  assertHttps('--server', server)
  const { createGatewaySource } = await import('./sign-in/gateway-source.ts')
  const { caOf } = await import('./sign-in/authority.ts')
  const caData = textAt(info, 'spec', 'cluster', 'certificate-authority-data')
  const source = createGatewaySource(
    {
      address: {
        server,
        ca: await caOf({ caFile: flags['ca-file'], caData }),
        proxyUrl: textAt(info, 'spec', 'cluster', 'proxy-url'),
        tlsServerName: textAt(info, 'spec', 'cluster', 'tls-server-name'),
      },
      interactive: booleanAt(info, 'spec', 'interactive'),
      silent: flags['no-browser'] === true,
      tell: (line) => void io.stderr.write(`podgate: ${escapeText(line)}\n`),
    },
    io,
  )
  return { source, cache: flags.cache ?? cacheFileOf(server, io.env) }
}

function assertHttps(flag: string, address: string): void {
  if (URL.canParse(address) && new URL(address).protocol === 'https:') return
  throw new Error(`${flag} ${address} is not an https address`)
}

function parseInfo(info: string | undefined): unknown {
  if (info === undefined || info === '') return { apiVersion: `${API_GROUP}/v1` }
  try {
    return JSON.parse(info)
  } catch {
    return undefined
  }
}

/** The answer must have the version of the question; by hand there is no question. */
function requestedVersion(info: unknown): string {
  const version = valueAt(info, 'apiVersion')
  if (version === `${API_GROUP}/v1` || version === `${API_GROUP}/v1beta1`) return version
  throw new Error(`this kubectl asks for an ExecCredential of an unknown version; update kubectl`)
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
  source: TokenSource,
  cache: string,
  now: () => number,
): Promise<CachedTokens | Failure> {
  const read = (): Promise<CachedTokens | undefined> =>
    readTokens(cache, source.issuer, source.clientId)
  const cached = await read()
  if (cached !== undefined && lives(cached, now())) return cached
  const work = async (): Promise<CachedTokens | Failure> => {
    // While this process waited, another may have renewed them, or have failed to.
    const current = await read()
    if (current !== undefined && lives(current, now())) return current
    const failure =
      (await recentFailure(cache, current, now())) ?? (await renewInto(source, cache, current, now))
    // The provider may be away for a moment: a token that still lives is better than none.
    const isUsable = current !== undefined && current.expiresAt - now() > USABLE_LIFE_MS
    return isFailure(failure) && isUsable ? current : failure
  }
  const { patienceMs } = source
  return await withTokenLock(cache, work, { waitMs: patienceMs, staleMs: 2 * patienceMs })
}

async function renewInto(
  source: TokenSource,
  cache: string,
  current: CachedTokens | undefined,
  now: () => number,
): Promise<CachedTokens | Failure> {
  try {
    const renewed = await source.renew(current)
    await writeTokens(cache, renewed)
    return renewed
  } catch (error) {
    const message = source.explain(error)
    await noteFailure(cache, current, message, now())
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

function execCredential(apiVersion: string, tokens: CachedTokens, nowMs: number): object {
  // client-go asks again when this time has passed; half a minute early, so that no request
  // leaves with a token that ends on the way.
  const until = Math.max(nowMs + 1_000, tokens.expiresAt - 30_000)
  return {
    kind: 'ExecCredential',
    apiVersion,
    status: {
      token: tokens.token,
      expirationTimestamp: new Date(until).toISOString().replace(/\.\d+Z$/u, 'Z'),
    },
  }
}
