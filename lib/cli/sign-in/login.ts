/** `kubectl podgate login` and `logout`. */
import type { TokenEndpointResponse } from 'openid-client'

import { escapeText } from '../../streams/sanitize-terminal.ts'
import { parseFlags, usageError, type ParsedFlags } from '../args.ts'
import { CliError, ExitCode } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import { textAt, valueAt } from '../json-value.ts'
import { loadContext } from '../kubeconfig.ts'
import { cacheFileOf, readTokens, removeTokens, writeTokens } from '../token-cache.ts'
import { type LockOptions, withTokenLock } from '../token-lock.ts'
import { caOf } from './authority.ts'
import { canOpenBrowser, signInWithBrowser, signInWithDevice, signInWithToken } from './flows.ts'
import {
  CLIENT_ID,
  issuerOf,
  openGatewayOAuth,
  signInErrorText,
  type GatewayAddress,
  type GatewayOAuth,
} from './gateway-oauth.ts'
import { kubeconfigFile, writeGatewayEntry } from './write-kubeconfig.ts'

const LOGIN_COMMAND = 'kubectl podgate login'
const LOGOUT_COMMAND = 'kubectl podgate logout'
const MAX_TOKEN_BYTES = 64 * 1024
/** A kubectl whose person has left its page open holds it for longer than one waits for it. */
const LOCK: LockOptions = { waitMs: 30_000, staleMs: 20_000 }

interface Target {
  address: GatewayAddress
  cache: string
  /** The person typed an address, so a kubeconfig is wanted. */
  isNew: boolean
}

async function targetOf(flags: ParsedFlags, command: string, io: CliIo): Promise<Target> {
  const [typed, ...more] = flags.positionals
  if (more.length > 0) throw usageError(command, 'one address at a time')
  const caFile = flags.text('ca-file')
  if (typed !== undefined) {
    const server = typed.includes('://') ? typed : `https://${typed}`
    if (!URL.canParse(server) || new URL(server).protocol !== 'https:') {
      throw usageError(command, `"${escapeText(typed)}" is no https:// address of a gateway`)
    }
    const address = { server: new URL(server).origin, ca: await caOf({ caFile }) }
    return { address, cache: flags.text('cache') ?? cacheFileOf(server, io.env), isNew: true }
  }
  const { cluster } = await loadContext(flags.connection, io.env)
  const { server, caData, proxyUrl, tlsServerName } = cluster
  const ca = await caOf({ caFile: caFile ?? cluster.caFile, caData })
  const cache = flags.text('cache') ?? cacheFileOf(server, io.env)
  return { address: { server, ca, proxyUrl, tlsServerName }, cache, isNew: false }
}

async function readStdin(io: CliIo): Promise<string> {
  let text = ''
  for await (const chunk of io.stdin) {
    text += String(chunk)
    if (text.length > MAX_TOKEN_BYTES) throw new CliError(ExitCode.Error, 'stdin holds no token')
  }
  const token = text.trim()
  if (token === '')
    throw new CliError(
      ExitCode.Error,
      'stdin is empty; it should hold a token of a sign-in provider',
    )
  return token
}

async function signIn(
  oauth: GatewayOAuth,
  flags: ParsedFlags,
  io: CliIo,
): Promise<TokenEndpointResponse> {
  if (flags.has('token-stdin')) return await signInWithToken(oauth, await readStdin(io))
  const ended = new AbortController()
  const unregister = io.onInterrupt(() => ended.abort())
  const acr = flags.text('acr')
  const flow = {
    wish: {
      provider: flags.text('provider'),
      fresh: flags.has('fresh'),
      acr: acr === undefined ? [] : acr.split(/[ ,]+/).filter((value) => value !== ''),
    },
    tell: (line: string) => void io.stderr.write(`${escapeText(line)}\n`),
    signal: ended.signal,
  }
  try {
    const withDevice = flags.has('device') || (!flags.has('browser') && !canOpenBrowser(io.env))
    return withDevice
      ? await signInWithDevice(oauth, flow)
      : await signInWithBrowser(oauth, io, flow)
  } catch (error) {
    if (!ended.signal.aborted || CliError.is(error)) throw error
    throw new CliError(ExitCode.Interrupted, 'the sign-in was cancelled')
  } finally {
    unregister()
  }
}

function refusal(error: unknown): CliError {
  if (CliError.is(error)) return error
  const cause = valueAt(error, 'cause')
  if (CliError.is(cause)) return cause
  // RFC 6749 5.2: what the gateway has refused has a name.
  const isRefused = textAt(error, 'error') !== undefined || textAt(cause, 'error') !== undefined
  const words = `the sign-in did not work: ${signInErrorText(error)}`
  return new CliError(isRefused ? ExitCode.Denied : ExitCode.Unreachable, words)
}

/** Undefined: the person asked for help. */
export async function runLogin(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags(LOGIN_COMMAND, args, {
    'ca-file': { type: 'string' },
    cache: { type: 'string' },
    provider: { type: 'string' },
    name: { type: 'string' },
    acr: { type: 'string' },
    fresh: { type: 'boolean' },
    device: { type: 'boolean' },
    browser: { type: 'boolean' },
    'token-stdin': { type: 'boolean' },
  })
  if (flags.has('help')) return undefined
  const { address, cache, isNew } = await targetOf(flags, LOGIN_COMMAND, io)
  const oauth = await openGatewayOAuth(address, io.env)
  const answer = await signIn(oauth, flags, io).catch((error: unknown) => {
    throw refusal(error)
  })
  const tokens = oauth.tokensOf(answer)
  await withTokenLock(cache, () => writeTokens(cache, tokens), LOCK)
  const who = escapeText(oauth.userOf(answer))
  io.stderr.write(`Signed in as ${who} at ${address.server}.\n`)
  if (isNew) {
    const chosen = flags.text('name')
    const name = chosen ?? `podgate-${oauth.cluster}`
    const file = kubeconfigFile(flags.connection.kubeconfig, io.env)
    await writeGatewayEntry(file, {
      name,
      server: address.server,
      ca: address.ca,
      mayReplace: chosen !== undefined,
    })
    io.stderr.write(`${file} has the context "${escapeText(name)}" now, and uses it.\n`)
  }
  return ExitCode.Done
}

/** Undefined: the person asked for help. */
export async function runLogout(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags(LOGOUT_COMMAND, args, {
    'ca-file': { type: 'string' },
    cache: { type: 'string' },
  })
  if (flags.has('help')) return undefined
  const { address, cache } = await targetOf(flags, LOGOUT_COMMAND, io)
  // With the lock: another kubectl may be renewing, and would write back what it has got.
  const tokens = await withTokenLock(
    cache,
    async () => {
      const found = await readTokens(cache, issuerOf(address.server), CLIENT_ID)
      // Gone here in any case: somebody who signs out must not stay signed in by a failure.
      if (found !== undefined) await removeTokens(cache)
      return found
    },
    LOCK,
  )
  if (tokens === undefined) {
    io.stderr.write(`You are not signed in at ${address.server}.\n`)
    return ExitCode.Done
  }
  try {
    const { client, config } = await openGatewayOAuth(address, io.env)
    await client.tokenRevocation(config, tokens.refreshToken ?? tokens.token)
  } catch (error) {
    throw new CliError(
      ExitCode.Unreachable,
      `you are signed out on this machine, but the gateway could not be told (${signInErrorText(error)}); what was issued ends by itself`,
    )
  }
  io.stderr.write(`Signed out at ${address.server}.\n`)
  return ExitCode.Done
}
