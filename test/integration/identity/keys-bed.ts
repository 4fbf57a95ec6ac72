/** A provider whose keys change, a clock that is told to go on, and gateways that ask it. */
import { type JWK, SignJWT } from 'jose'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import {
  type Authenticator,
  type AuthenticatorOptions,
  createAuthenticator,
} from '../../../lib/identity/authenticate.ts'
import type { OidcDeps } from '../../../lib/identity/oidc.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'
import { createKey, type JwksServer, type SigningKey, startJwksServer } from './jwks-server.ts'

export const SECOND = 1_000
export const MINUTE: number = 60 * SECOND
export const HOUR: number = 60 * MINUTE

export interface Opening extends AuthenticatorOptions {
  caFile?: string
  /** Its timers never come, as those of a process that was asleep. */
  isAsleep?: boolean
  /** Providers besides the one of the bed. */
  others?: JwksServer[]
}

let serial = 0

export class KeysBed {
  readonly server: JwksServer
  readonly first: SigningKey
  readonly second: SigningKey
  clock: FakeClock = new FakeClock()
  problems: string[] = []
  #beganAt = Date.now()
  readonly #opened: Authenticator[] = []

  private constructor(server: JwksServer, first: SigningKey, second: SigningKey) {
    this.server = server
    this.first = first
    this.second = second
  }

  static async start(): Promise<KeysBed> {
    const [first, second] = [await createKey('ES256', 'first'), await createKey('ES256', 'second')]
    return new KeysBed(await startJwksServer(), first, second)
  }

  /** Before each test. */
  reset(): void {
    this.clock = new FakeClock()
    this.#beganAt = Date.now()
    this.problems = []
    Object.assign(this.server, {
      keys: [this.first.publicJwk],
      fetches: { discovery: 0, keys: 0 },
      isDown: false,
      isSilent: false,
      metadata: undefined,
    })
  }

  /** After each test: what still runs must not count for the next. */
  stop(): void {
    for (const authenticator of this.#opened.splice(0)) authenticator.close()
  }

  async close(): Promise<void> {
    await this.server.close()
  }

  now(): number {
    return this.#beganAt + this.clock.now()
  }

  /** What is published from now on. */
  publish(...keys: SigningKey[]): void {
    this.server.keys = keys.map(({ publicJwk }): JWK => publicJwk)
  }

  open({ caFile, isAsleep = false, others = [], ...options }: Opening = {}): Authenticator {
    const deps: Partial<OidcDeps> = {
      now: () => this.now(),
      every: (ms, run) => (isAsleep ? () => undefined : this.clock.every(ms, run)),
      onProviderError: (_issuer, message) => this.problems.push(message),
    }
    const authenticator = createAuthenticator(
      [this.server, ...others].map((server) => ({
        issuer: server.issuer,
        audience: 'podgate',
        caFile: caFile ?? server.caFile,
      })),
      deps,
      { fetchTimeoutMs: 2_000, ...options },
    )
    this.#opened.push(authenticator)
    return authenticator
  }

  /** A token that nobody has seen yet; `kid` is what its header says, null for nothing. */
  async bearer(
    key: SigningKey = this.first,
    kid: string | null = key.publicJwk.kid ?? null,
    sub = 'ana',
    { issuer }: JwksServer = this.server,
  ): Promise<string> {
    serial += 1
    const now = Math.floor(this.now() / 1000)
    const token = await new SignJWT({ sub, jti: String(serial) })
      .setProtectedHeader({ alg: 'ES256', ...(kid === null ? {} : { kid }) })
      .setIssuer(issuer)
      .setAudience('podgate')
      .setIssuedAt(now)
      .setExpirationTime(now + 48 * 3600)
      .sign(key.privateKey)
    return `Bearer ${token}`
  }

  /** By a key that nobody has; costs no signature. */
  forged(kid: string): string {
    const parts = [{ alg: 'ES256', kid }, { iss: this.server.issuer }, 'no signature']
    return `Bearer ${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}`
  }
}

export async function outcome(authenticator: Authenticator, header: string): Promise<string> {
  try {
    return (await authenticator.authenticate(header)).username
  } catch (error) {
    return GatewayError.is(error)
      ? `${error.reason} ${error.id}`
      : `another error: ${String(error)}`
  }
}
