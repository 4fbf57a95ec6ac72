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

export interface LoginsBed {
  store: MemoryLoginStore
  /** ms since the epoch. */
  clock: number
  /** What the provider answers; it is asked with the refresh tokens in `asked`. */
  provider: (upstream: string) => Promise<Recheck>
  asked: string[]
  ended: [string, string][]
  told: string[]
  kept: Set<string>
  configured: (provider: string, issuer: string) => boolean
}

export function newBed(): LoginsBed {
  return {
    store: createMemoryLoginStore(),
    clock: Date.UTC(2026, 10, 23, 12),
    provider: (upstream) => Promise.resolve({ kind: 'alive', upstream: `${upstream}+` }),
    asked: [],
    ended: [],
    told: [],
    kept: new Set(),
    configured: () => true,
  }
}

export function replicaOf(
  bed: LoginsBed,
  limits: Partial<LoginLimits> = {},
  patienceMs = 10_000,
): Logins {
  return createLogins({
    store: bed.store,
    limits: { ...LIMITS, ...limits },
    recheck: (name) =>
      name === 'corp'
        ? async (upstream) => {
            bed.asked.push(upstream)
            return await bed.provider(upstream)
          }
        : undefined,
    isConfigured: (name, issuer) => bed.configured(name, issuer),
    endLogin: async (login, reason) => {
      bed.ended.push([login, reason])
      await bed.store.endLogins({ id: login }, new Date(bed.clock), reason)
    },
    assertMayBegin: ({ username }) => {
      if (bed.kept.has(username)) throw new GatewayError('Unauthorized', 'kept out', { id: 1450 })
    },
    onError: (message) => void bed.told.push(message),
    now: () => bed.clock,
    patienceMs,
  })
}

export function signedInAt(clock: number, overrides: Partial<SignedIn> = {}): SignedIn {
  const { username, groups, extra, issuer } = userNamed('ana', { groups: ['dev'] })
  const person = { username, groups, extra, issuer, signIn: { amr: ['pwd'], at: clock } }
  return { person, subject: 'sub-ana', upstream: 'upstream-secret', ...overrides }
}

export async function beginAt(
  clock: number,
  logins: Logins,
  overrides: Partial<SignedIn> = {},
): Promise<IssuedTokens> {
  return await logins.begin('corp', signedInAt(clock, overrides), CLIENT)
}

export function refused(id: number): object {
  return expect.objectContaining({ reason: 'Unauthorized', id })
}
