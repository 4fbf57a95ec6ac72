/** A provider over real https whose tokens say what a test wants, and a gateway that people use it with. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SignJWT } from 'jose'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { createOidcProvider, SYSTEM_DEPS } from '../../../lib/identity/oidc.ts'
import { createOidcSignIn, type OidcSignIn } from '../../../lib/identity/oidc-sign-in.ts'
import { type OidcConfig, type Person, withDefaults } from '../../../lib/identity/user.ts'
import { createKey, type SigningKey } from './jwks-server.ts'

const BACK = 'https://gate.example/podgate/sign-in/callback'

export class ScriptedProvider {
  readonly origin: string
  /** Over those of an ordinary ID token, which ends in ten minutes. */
  claims: Record<string, unknown> = {}
  /** What the place of left out groups answers, and what it was asked. */
  directory: { status: number; body: unknown } = { status: 200, body: {} }
  asked: { authorization: string | undefined; body: unknown }[] = []
  readonly #server: Server
  readonly #key: SigningKey
  readonly #folder: string
  readonly #closers: (() => void)[] = []
  #nonce = ''

  private constructor(server: Server, key: SigningKey, folder: string) {
    const address = server.address()
    this.origin = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    this.#server = server
    this.#key = key
    this.#folder = folder
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  static async start(): Promise<ScriptedProvider> {
    const folder = await mkdtemp(join(tmpdir(), 'podgate-scripted-provider-'))
    const authority = await createAuthority('scripted provider')
    await writeFile(join(folder, 'ca.pem'), authority.certificate)
    const pair = await issueCertificate(authority, {
      commonName: 'idp',
      hosts: ['127.0.0.1'],
      usages: ['server'],
    })
    const server = createServer({ cert: pair.certificate, key: pair.privateKey })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ScriptedProvider(server, await createKey('RS256', 'k1'), folder)
  }

  signIn(settings: { groupsUrl?: string | undefined; clockSkewSeconds?: number } = {}): OidcSignIn {
    const { groupsUrl, clockSkewSeconds } = settings
    const config: OidcConfig = {
      issuer: this.origin,
      audience: 'podgate',
      groupsPrefix: 'x:',
      caFile: join(this.#folder, 'ca.pem'),
      clockSkewSeconds,
    }
    const issuer = withDefaults(config)
    const keys = createOidcProvider(issuer, SYSTEM_DEPS)
    this.#closers.push(() => keys.close())
    return createOidcSignIn(
      {
        name: 'entra',
        issuer,
        clientId: 'gateway',
        scopes: ['openid'],
        parameters: {},
        ...(groupsUrl === undefined ? {} : { groupsUrl }),
      },
      keys,
    )
  }

  /** From the gateway to the provider and back, without a browser. */
  async personAfter(signIn: OidcSignIn): Promise<Person> {
    const { checks } = await signIn.start(BACK, { fresh: false, acr: [] })
    this.#nonce = checks.nonce
    const back = new URL(`${BACK}?code=c&state=${checks.state}`)
    return (await signIn.finish(back, BACK, checks)).person
  }

  async close(): Promise<void> {
    for (const close of this.#closers) close()
    this.#server.closeAllConnections()
    this.#server.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await this.#answerTo(request)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

  async #answerTo(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    switch (request.url) {
      case '/.well-known/openid-configuration':
        return {
          status: 200,
          body: {
            issuer: this.origin,
            authorization_endpoint: `${this.origin}/authorize`,
            token_endpoint: `${this.origin}/token`,
            jwks_uri: `${this.origin}/keys`,
          },
        }
      case '/keys':
        return { status: 200, body: { keys: [this.#key.publicJwk] } }
      case '/token':
        return {
          status: 200,
          body: {
            access_token: 'for-the-directory',
            token_type: 'Bearer',
            expires_in: 3600,
            refresh_token: 'again',
            id_token: await this.#idToken(),
          },
        }
      case '/groups': {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
        this.asked.push({ authorization: request.headers.authorization, body })
        return this.directory
      }
      default:
        return { status: 404, body: {} }
    }
  }

  async #idToken(): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const ordinary = { sub: 'ana', nonce: this.#nonce, iat: now, exp: now + 600 }
    return await new SignJWT({ ...ordinary, ...this.claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
      .setIssuer(this.origin)
      .setAudience('gateway')
      .sign(this.#key.privateKey)
  }
}
