/**
 * An OpenID Connect provider for the sandbox and for tests: real flows, real passwords, real keys,
 * on 127.0.0.1. Nothing of it runs in a gateway.
 */
import { generateKeyPair, randomBytes, randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import { promisify } from 'node:util'

import type { Provider } from 'oidc-provider'

import { errorCode, errorText } from '../errors/gateway-error.ts'
import type { Person } from './people.ts'
import { createStoreAdapter, type ProviderStore } from './provider-store.ts'
import { escapeHtml, handleSignIn, sendPage, SIGN_IN_PATH } from './sign-in-page.ts'

export const CLIENT_ID = 'podgate'
export const SCOPES = 'openid offline_access groups'

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
  onError?: (message: string) => void
}

export interface IdentityProvider {
  issuer: string
  close(): Promise<void>
}

export async function startIdentityProvider(
  options: IdentityProviderOptions,
): Promise<IdentityProvider> {
  const { Provider } = await loadLibrary()
  const server = createServer({ cert: options.certificate, key: options.privateKey })
  // The issuer holds the port, so the port is taken before the provider is made.
  const port = await listen(server, options.port ?? 0)
  const issuer = `https://127.0.0.1:${port}`
  const provider = new Provider(issuer, await configuration(options))
  const onError = options.onError ?? ((): void => {})
  provider.on('server_error', (_context, error) => onError(errorText(error)))
  const callback = provider.callback()
  server.on('request', (request, response) => {
    if (request.url?.startsWith(SIGN_IN_PATH) !== true) {
      callback(request, response)
      return
    }
    handleSignIn(provider, options.people, request, response).catch((error: unknown) => {
      onError(errorText(error))
      if (!response.headersSent) sendPage(response, 400, '<p>This sign-in is no longer open.</p>')
    })
  })
  return { issuer, close: () => closeServer(server) }
}

/** A devDependency: an installed gateway does not have it, and needs none. */
async function loadLibrary(): Promise<{ Provider: typeof Provider }> {
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

async function configuration(options: IdentityProviderOptions): Promise<Record<string, unknown>> {
  const store: ProviderStore = options.store ?? new Map()
  const groupsOf = new Map<string, readonly string[]>(
    options.people.map(({ name, groups }) => [name, groups]),
  )
  const idTokenSeconds = options.idTokenSeconds ?? 600
  const days = 24 * 60 * 60
  return {
    adapter: (model: string) => createStoreAdapter(model, store),
    clients: [CLIENT],
    scopes: ['openid', 'offline_access', 'groups'],
    claims: { openid: ['sub', 'preferred_username'], groups: ['groups'] },
    // kubectl sends the ID token, so names and groups must be in it and not only at /userinfo.
    conformIdTokenClaims: false,
    findAccount: (_context: unknown, id: string) =>
      groupsOf.has(id) ? account(id, groupsOf.get(id) ?? []) : undefined,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
    interactions: {
      url: (_context: unknown, interaction: { uid: string }) => SIGN_IN_PATH + interaction.uid,
    },
    renderError: (context: { type: string; body: string }, out: Record<string, string>) => {
      context.type = 'html'
      context.body = `<!doctype html><p>${escapeHtml(out['error_description'] ?? out['error'] ?? '')}</p>`
    },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    jwks: { keys: [await createSigningKey()] },
    ttl: {
      AccessToken: idTokenSeconds,
      AuthorizationCode: 60,
      IdToken: idTokenSeconds,
      Interaction: 600,
      Grant: 14 * days,
      RefreshToken: 14 * days,
      Session: days,
    },
  }
}

/** A command on a person's machine (RFC 8252): no secret, any port of the loopback address. */
const CLIENT = {
  client_id: CLIENT_ID,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
}

function account(
  id: string,
  groups: readonly string[],
): { accountId: string; claims(): Promise<Record<string, unknown>> } {
  return {
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id, groups: [...groups] }),
  }
}

async function createSigningKey(): Promise<object> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
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
