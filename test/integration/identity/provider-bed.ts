/**
 * The sandbox's provider with the gateway as its client, and somebody who is told about ended
 * sessions; people sign in by its forms, and the gateway's side is openid-client.
 */
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'

import { jest } from '@jest/globals'
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  type Configuration,
  customFetch,
  discovery,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
  type TokenEndpointResponse,
} from 'openid-client'

import { createHttpsFetch, type HttpsFetch } from '../../../lib/https/https-fetch.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../../../lib/cluster/pki.ts'
import {
  CLIENT_ID,
  GATEWAY_CLIENT_ID,
  type IdentityProvider,
  SCOPES,
  startIdentityProvider,
} from '../../../lib/sandbox/identity-provider.ts'
import { createPeople, type Person, type PersonName } from '../../../lib/sandbox/people.ts'
import type { ProviderStore } from '../../../lib/sandbox/provider-store.ts'
import { createFormBrowser, type FormBrowser, type Visit } from './form-browser.ts'

export const REDIRECT_URI = 'https://gateway.test/podgate/sign-in/callback'

export interface Tokens {
  idToken: string
  refreshToken: string
}

export interface ProviderBed {
  authority: KeyPair
  provider: IdentityProvider
  store: ProviderStore
  /** What the provider complained about. */
  problems: string[]
  /** The logout tokens that arrived, and how the next ones are answered. */
  backchannel: { tokens: string[]; status: number }
  /** The clock of one-time codes. */
  clock: { nowMs: number }
  fetch: HttpsFetch
  person(name: PersonName): Person
  browser(): FormBrowser
  /** The gateway's side; `podgate` is the public client. */
  client(id?: typeof CLIENT_ID): Promise<Configuration>
  close(): Promise<void>
}

/** The library looks for the dispatcher of fetch, which Jest's globals do not have; ours is not fetch. */
function muteLibrary(): void {
  const warn = console.warn
  jest.spyOn(console, 'warn').mockImplementation((...words: unknown[]) => {
    if (!String(words[0]).includes('SSRF protection for fetch')) warn(...words)
  })
}

export async function openProviderBed(): Promise<ProviderBed> {
  muteLibrary()
  const authority = await createAuthority('test authority')
  const pair = await issueCertificate(authority, {
    commonName: 'provider',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  const backchannel = { tokens: new Array<string>(), status: 200 }
  const listener = await startBackchannel(pair, backchannel)
  const people = createPeople()
  const store: ProviderStore = new Map()
  const problems: string[] = []
  const clock = { nowMs: Date.now() }
  const secret = randomNonce()
  const provider = await startIdentityProvider({
    people,
    store,
    certificate: pair.certificate,
    privateKey: pair.privateKey,
    authority: authority.certificate,
    gateway: { secret, redirectUri: REDIRECT_URI, backchannelLogoutUri: listener.url },
    onError: (message) => problems.push(message),
    now: () => clock.nowMs,
  })
  const fetch = createHttpsFetch({ ca: authority.certificate })
  return {
    authority,
    provider,
    store,
    problems,
    backchannel,
    clock,
    fetch,
    person: (name) => {
      const found = people.find((candidate) => candidate.name === name)
      if (found === undefined) throw new Error(`no ${name}`)
      return found
    },
    browser: () => createFormBrowser(authority.certificate),
    client: (id) =>
      discovery(
        new URL(provider.issuer),
        id ?? GATEWAY_CLIENT_ID,
        undefined,
        id === undefined ? ClientSecretBasic(secret) : None(),
        { [customFetch]: fetch },
      ),
    close: async () => {
      await provider.close()
      await listener.close()
    },
  }
}

async function startBackchannel(
  pair: KeyPair,
  backchannel: { tokens: string[]; status: number },
): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer(
    { cert: pair.certificate, key: pair.privateKey },
    (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
        backchannel.tokens.push(form.get('logout_token') ?? '')
        response.writeHead(backchannel.status).end()
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}/logout`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

export interface Attempt {
  visit: Visit
  /** Only if the provider sent the browser back with a code. */
  redeem(): Promise<Tokens>
}

/** One way through the provider in a browser, by the gateway's client unless another is given. */
export async function attempt(
  config: Configuration,
  browser: FormBrowser,
  fields: Readonly<Record<string, string>>,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Attempt> {
  const verifier = randomPKCECodeVerifier()
  const [state, nonce] = [randomState(), randomNonce()]
  const { client_id: clientId } = config.clientMetadata()
  const start = buildAuthorizationUrl(config, {
    redirect_uri: clientId === CLIENT_ID ? 'http://127.0.0.1:4/callback' : REDIRECT_URI,
    scope: SCOPES,
    prompt: 'consent',
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  })
  const visit = await browser.visit(start, { consent: 'yes', ...fields })
  return {
    visit,
    redeem: async () => {
      const answer = await authorizationCodeGrant(config, visit.url, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      })
      return tokensOf(answer)
    },
  }
}

export async function refresh(config: Configuration, refreshToken: string): Promise<Tokens> {
  return tokensOf(await refreshTokenGrant(config, refreshToken))
}

function tokensOf(answer: TokenEndpointResponse): Tokens {
  return { idToken: answer.id_token ?? '', refreshToken: answer.refresh_token ?? '' }
}
