/** Replicas of the sign-ins over one store in memory, with a clock and a provider of the test's own. */
import { expect } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import {
  createLogins,
  type IssuedTokens,
  type LoginLimits,
  type Logins,
} from '../../../lib/identity/logins.ts'
import type { Recheck, SignedIn } from '../../../lib/identity/oidc-sign-in.ts'
import { createMemoryLoginStore, type MemoryLoginStore } from '../../fakes/memory-login-store.ts'
import { userNamed } from '../../fakes/user.ts'

export const MINUTE = 60_000
export const HOUR: number = 60 * MINUTE
const LIMITS: LoginLimits = {
  tokenMs: HOUR,
  sessionMs: 12 * HOUR,
  recheckMs: 5 * MINUTE,
  outageMs: 24 * HOUR,
}
export const CLIENT = { address: '127.0.0.1', userAgent: 'test' }

export class LoginsBed {
  readonly store: MemoryLoginStore = createMemoryLoginStore()
  /** ms since the epoch. */
  clock: number = Date.UTC(2026, 10, 23, 12)
  readonly asked: string[] = []
  readonly ended: [string, string][] = []
  readonly told: string[] = []
  readonly kept: Set<string> = new Set()

  /** What the provider answers; it is asked with the refresh tokens in `asked`. */
  provider: (upstream: string) => Promise<Recheck> = (upstream) =>
    Promise.resolve({ kind: 'alive', upstream: `${upstream}+` })

  configured: (provider: string, issuer: string) => boolean = () => true

  replica(limits: Partial<LoginLimits> = {}, patienceMs = 10_000): Logins {
    return createLogins({
      store: this.store,
      limits: { ...LIMITS, ...limits },
      recheck: (name) =>
        name === 'corp'
          ? async (upstream) => {
              this.asked.push(upstream)
              return await this.provider(upstream)
            }
          : undefined,
      isConfigured: (name, issuer) => this.configured(name, issuer),
      endLogin: async (login, reason) => {
        this.ended.push([login, reason])
        await this.store.endLogins({ id: login }, new Date(this.clock), reason)
      },
      assertMayBegin: ({ username }) => {
        if (this.kept.has(username)) {
          throw new GatewayError('Unauthorized', 'kept out', { id: 1450 })
        }
      },
      onError: (message) => void this.told.push(message),
      now: () => this.clock,
      patienceMs,
    })
  }

  signedIn(overrides: Partial<SignedIn> = {}): SignedIn {
    const { username, groups, extra, issuer } = userNamed('ana', { groups: ['dev'] })
    const person = { username, groups, extra, issuer, signIn: { amr: ['pwd'], at: this.clock } }
    return { person, subject: 'sub-ana', upstream: 'upstream-secret', ...overrides }
  }

  async begin(logins: Logins, overrides: Partial<SignedIn> = {}): Promise<IssuedTokens> {
    return await logins.begin('corp', this.signedIn(overrides), CLIENT)
  }
}

export function refused(id: number): object {
  return expect.objectContaining({ reason: 'Unauthorized', id })
}
