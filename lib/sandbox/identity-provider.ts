/**
 * An OpenID Connect provider for the sandbox and for tests: real flows, real passwords, real keys,
 * on 127.0.0.1. Nothing of it runs in a gateway.
 */
import type { RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'

import type { interactionPolicy, Provider } from 'oidc-provider'

import { errorCode, errorText } from '../errors/gateway-error.ts'
import { createCodeCheck } from './one-time-code.ts'
import { alertOf, protectPages, sendPage } from './page.ts'
import type { Person, PersonName } from './people.ts'
import type { GatewayClient, MachineClient } from './provider-clients.ts'
import { configurationOf, type ProviderSettings } from './provider-configuration.ts'
import { createKeys, type ProviderKeys, rotate } from './provider-keys.ts'
import { endSessions } from './provider-sessions.ts'
import type { ProviderStore } from './provider-store.ts'
import { handleSignIn, SIGN_IN_PATH, type SignInDesk } from './sign-in-page.ts'

export {
  CLIENT_ID,
  GATEWAY_CLIENT_ID,
  SCOPES,
  type GatewayClient,
  type MachineClient,
} from './provider-clients.ts'
export { MFA } from './sign-in-page.ts'

export interface IdentityProviderOptions {
  people: readonly Person[]
  /** PEM of the server certificate for 127.0.0.1. */
  certificate: string
  privateKey: string
  /** 0 takes a free one. */
  port?: number
  /** Short, so that renewing is part of every longer day. */
  idTokenSeconds?: number
  store?: ProviderStore
  /** The gateway as a client of its own, with a secret. */
  gateway?: GatewayClient
  /** A program that gets access tokens for one API by client credentials. */
  machine?: MachineClient
  /** PEM that the gateway's certificate is checked with when it is told about an ended session. */
  authority?: string
  onError?: (message: string) => void
  /** The clock of one-time codes; everything else has the system's. */
  now?: () => number
}

/** What happens to a provider in real life. */
export interface IdentityProviderControl {
  /** A new signing key. The old ones stay published, or are withdrawn. */
  rotateKeys(options: { keepOld: boolean }): Promise<void>
  /** The person cannot sign in any more, and their refresh tokens answer `invalid_grant`. */
  disable(name: PersonName): void
  enable(name: PersonName): void
  /**
   * Ends the person's sessions here and tells the clients (OpenID Connect Back-Channel Logout 1.0).
   * Rejects when a client did not take it; the sessions have ended all the same. Refresh tokens
   * with `offline_access` outlive it (2.7 there).
   */
  signOutEverywhere(name: PersonName): Promise<void>
  /** An outage: nobody listens until start(). Sessions, tokens and keys are kept. */
  stop(): Promise<void>
  start(): Promise<void>
}

export interface IdentityProvider extends IdentityProviderControl {
  issuer: string
  close(): Promise<void>
}

interface Desk extends SignInDesk {
  callback: RequestListener
}

type Library = { Provider: typeof Provider; interactionPolicy: typeof interactionPolicy }

export async function startIdentityProvider(
  options: IdentityProviderOptions,
): Promise<IdentityProvider> {
  const library = await loadLibrary()
  const disabled = new Set<string>()
  const settings: ProviderSettings = {
    people: options.people,
    isDisabled: (name) => disabled.has(name),
    store: options.store ?? new Map(),
    keys: await createKeys(),
    gateway: options.gateway,
    machine: options.machine,
    authority: options.authority,
    idTokenSeconds: options.idTokenSeconds ?? 600,
    policy: library.interactionPolicy,
  }
  const server = createServer({ cert: options.certificate, key: options.privateKey })
  // The issuer holds the port, so the port is taken before the provider is made.
  const port = await listen(server, options.port ?? 0)
  const issuer = `https://127.0.0.1:${port}`
  const onError = options.onError ?? ((): void => {})
  const codes = createCodeCheck(options.now ?? Date.now)
  const build = (keys: ProviderKeys): Desk => {
    settings.keys = keys
    const provider = new library.Provider(issuer, configurationOf(settings))
    provider.on('server_error', (_context, error) => onError(errorText(error)))
    return { ...settings, provider, codes, callback: provider.callback() }
  }
  let desk = build(settings.keys)
  serve(server, () => desk, onError)

  return {
    issuer,
    // A provider of the library has its keys for life; the server goes on with a new one.
    rotateKeys: async ({ keepOld }) => {
      desk = build(await rotate(settings.keys, keepOld))
    },
    disable: (name) => {
      disabled.add(name)
    },
    enable: (name) => {
      disabled.delete(name)
    },
    signOutEverywhere: (name) => endSessions(desk.provider, settings.store, name),
    stop: () => closeServer(server),
    start: async () => {
      if (!server.listening) await listen(server, port)
    },
    close: () => closeServer(server),
  }
}

function serve(server: Server, desk: () => Desk, onError: (message: string) => void): void {
  server.on('request', (request, response) => {
    protectPages(response)
    if (request.url?.startsWith(SIGN_IN_PATH) !== true) {
      desk().callback(request, response)
      return
    }
    handleSignIn(desk(), request, response).catch((error: unknown) => {
      onError(errorText(error))
      if (response.headersSent) return
      sendPage(response, 400, 'This did not work', alertOf('This sign-in is no longer open.'))
    })
  })
}

/** A devDependency: an installed gateway does not have it, and needs none. */
async function loadLibrary(): Promise<Library> {
  try {
    return await import('oidc-provider')
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(
      'the sandbox needs the package oidc-provider, which is not installed; run: npm ci --include=dev',
      { cause: error },
    )
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      const address = server.address()
      if (typeof address === 'object' && address !== null) resolve(address.port)
      else reject(new Error('the identity provider has no port'))
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
