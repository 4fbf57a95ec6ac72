/** Somebody who is known, as the authenticator would say it. */
import type { User } from '../../lib/identity/user.ts'

export const ISSUER = 'https://idp.test'

export function userNamed(username: string, overrides: Partial<User> = {}): User {
  return {
    username,
    groups: [],
    extra: {},
    issuer: ISSUER,
    expiresAt: Infinity,
    credential: { kind: 'IdToken', id: `t-${username}`, issuedAt: 0 },
    signIn: { amr: [] },
    ...overrides,
  }
}
