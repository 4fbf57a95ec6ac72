/** Two providers with keys of every kind, and tokens that are right but for what a test changes. */
import { createHmac } from 'node:crypto'

import { CompactSign, exportSPKI, importJWK } from 'jose'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { type Authenticator, createAuthenticator } from '../../../lib/identity/authenticate.ts'
import {
  createKey,
  createShortRsaKey,
  type JwksServer,
  type SigningKey,
  startJwksServer,
} from './jwks-server.ts'

/** Seconds; the clock of the gateway stands there. */
export const NOW = 1_800_000_000
export const SHARED_SECRET = 'shared secret of 32 bytes length'

const ALGORITHMS = {
  rsa: 'RS256',
  twin: 'RS256',
  stranger: 'RS256',
  ec: 'ES256',
  p384: 'ES384',
  ed: 'EdDSA',
  rs512: 'RS512',
  'for-encryption': 'RS256',
  'for-signing': 'RS256',
  'for-nothing': 'RS256',
  private: 'RS256',
}

export type Changes = Record<string, unknown>

export function base64url(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString(
    'base64url',
  )
}

export class TokenBed {
  readonly server: JwksServer
  readonly other: JwksServer
  readonly authenticator: Authenticator
  readonly #keys: ReadonlyMap<string, SigningKey>

  private constructor(server: JwksServer, other: JwksServer, keys: Map<string, SigningKey>) {
    this.server = server
    this.other = other
    this.#keys = keys
    server.keys = this.#published()
    other.keys = [this.key('stranger').publicJwk]
    this.authenticator = createAuthenticator(
      [server, other].map(({ issuer, caFile }) => ({
        issuer,
        caFile,
        audience: 'podgate',
        usernameClaim: 'preferred_username',
      })),
      { now: () => NOW * 1000 },
    )
  }

  static async start(): Promise<TokenBed> {
    const keys = new Map<string, SigningKey>()
    for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
      keys.set(name, await createKey(algorithm, name))
    }
    keys.set('short', await createShortRsaKey('short'))
    return new TokenBed(await startJwksServer(), await startJwksServer(), keys)
  }

  async close(): Promise<void> {
    this.authenticator.close()
    await this.server.close()
    await this.other.close()
  }

  key(name: string): SigningKey {
    const key = this.#keys.get(name)
    if (key === undefined) throw new Error(`no key ${name}`)
    return key
  }

  goodClaims(): Changes {
    return {
      iss: this.server.issuer,
      sub: '4711',
      aud: 'podgate',
      exp: NOW + 600,
      iat: NOW - 10,
      preferred_username: 'ana',
      groups: ['dev'],
    }
  }

  /** A token with one thing changed; `undefined` takes a claim or a header away. */
  async token(claims: Changes = {}, header: Changes = {}, key = 'rsa'): Promise<string> {
    return await this.signed(JSON.stringify({ ...this.goodClaims(), ...claims }), header, key)
  }

  /** Whatever the payload is. */
  async signed(payload: string | Uint8Array, header: Changes = {}, key = 'rsa'): Promise<string> {
    const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
    return await new CompactSign(bytes)
      .setProtectedHeader({ alg: 'RS256', kid: 'rsa', typ: 'JWT', ...header })
      .sign(this.key(key).privateKey)
  }

  /** Over a header as it stands, by a key of whatever length: no library would do it. */
  async signedAs(header: string, key = 'rsa'): Promise<string> {
    const input = `${base64url(header)}.${base64url(this.goodClaims())}`
    const signature = await crypto.subtle.sign(
      'RSASSA-PKCS1-v1_5',
      this.key(key).privateKey,
      new TextEncoder().encode(input),
    )
    return `${input}.${Buffer.from(signature).toString('base64url')}`
  }

  async withParts(change: (parts: string[]) => string[]): Promise<string> {
    return change((await this.token()).split('.')).join('.')
  }

  /** A good ES256 token with another signature. */
  async withSignature(change: (signature: Buffer) => Uint8Array): Promise<string> {
    const [header = '', payload = '', signature = ''] = (
      await this.token({}, { alg: 'ES256', kid: 'ec' }, 'ec')
    ).split('.')
    const changed = Buffer.from(change(Buffer.from(signature, 'base64url')))
    return [header, payload, changed.toString('base64url')].join('.')
  }

  hmac(secret: string | Uint8Array, kid: string): string {
    const input = `${base64url({ alg: 'HS256', kid })}.${base64url(this.goodClaims())}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }

  async publicKeyAsPem(): Promise<string> {
    const publicKey = await importJWK(this.key('rsa').publicJwk, 'RS256', { extractable: true })
    return ArrayBuffer.isView(publicKey) ? '' : await exportSPKI(publicKey)
  }

  async refusal(header: string | undefined): Promise<GatewayError> {
    try {
      const user = await this.authenticator.authenticate(header)
      throw new Error(`let in as ${JSON.stringify(user)}`)
    } catch (error) {
      if (GatewayError.is(error)) return error
      throw error
    }
  }

  #published(): JwksServer['keys'] {
    return [
      ...['rsa', 'twin', 'ec', 'ed', 'rs512', 'short'].map((name) => this.key(name).publicJwk),
      { ...this.key('p384').publicJwk, alg: 'ES256' },
      { ...this.key('for-encryption').publicJwk, use: 'enc' },
      { ...this.key('for-signing').publicJwk, key_ops: ['sign'] },
      { ...this.key('for-nothing').publicJwk, key_ops: [] },
      this.key('private').privateJwk,
      { kty: 'oct', kid: 'shared', k: Buffer.from(SHARED_SECRET).toString('base64url') },
    ]
  }
}
