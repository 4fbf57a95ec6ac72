/** A sign-in provider with real keys, and tokens of the people in these tests. */
import { SignJWT } from 'jose'

import { createAuthenticator, type Authenticator } from '../../../lib/identity/authenticate.ts'
import { createKey, startJwksServer } from '../identity/jwks-server.ts'

export const PEOPLE = { ana: ['dev', 'staff'], bo: ['oncall'], eve: ['dev'] } as const
export type Person = keyof typeof PEOPLE

export interface People {
  authenticator: Authenticator
  /** The value of an Authorization header. */
  bearer(person: Person): string
  /** A token of theirs that was good once. */
  expiredBearer(person: Person): Promise<string>
  /** Header lines that say where somebody comes from, as upstream sees them. */
  originLines(person: Person): string[]
  close(): Promise<void>
}

export async function startPeople(): Promise<People> {
  const provider = await startJwksServer()
  const key = await createKey('ES256', 'k1')
  provider.keys = [key.publicJwk]
  const authenticator = createAuthenticator([
    { issuer: provider.issuer, audience: 'podgate', caFile: provider.caFile },
  ])
  const sign = async (
    sub: string,
    groups: readonly string[],
    until: string | number,
  ): Promise<string> => {
    const token = await new SignJWT({ sub, groups })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(provider.issuer)
      .setAudience('podgate')
      .setIssuedAt(typeof until === 'number' ? until - 3600 : undefined)
      .setExpirationTime(until)
      .sign(key.privateKey)
    return `Bearer ${token}`
  }
  const bearers = new Map<Person, string>()
  const origins = new Map<Person, string[]>()
  for (const [sub, groups] of Object.entries(PEOPLE)) {
    const bearer = await sign(sub, groups, '1h')
    bearers.set(sub as Person, bearer)
    const { credential } = await authenticator.authenticate(bearer)
    origins.set(sub as Person, [
      `impersonate-extra-podgate.dev%2fissuer: ${provider.issuer}`,
      `impersonate-extra-podgate.dev%2ftoken-id: ${credential.id}`,
    ])
  }
  return {
    authenticator,
    bearer: (person) => bearers.get(person) ?? '',
    expiredBearer: async (person) =>
      await sign(person, PEOPLE[person], Math.floor(Date.now() / 1000) - 600),
    originLines: (person) => origins.get(person) ?? [],
    async close() {
      authenticator.close()
      await provider.close()
    },
  }
}
