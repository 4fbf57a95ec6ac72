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
  close(): Promise<void>
}

export async function startPeople(): Promise<People> {
  const provider = await startJwksServer()
  const key = await createKey('ES256', 'k1')
  provider.keys = [key.publicJwk]
  const authenticator = createAuthenticator([
    { issuer: provider.issuer, audience: 'podgate', caFile: provider.caFile },
  ])
  const bearers = new Map<Person, string>()
  for (const [sub, groups] of Object.entries(PEOPLE)) {
    const token = await new SignJWT({ sub, groups })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(provider.issuer)
      .setAudience('podgate')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(key.privateKey)
    bearers.set(sub as Person, `Bearer ${token}`)
  }
  return {
    authenticator,
    bearer: (person) => bearers.get(person) ?? '',
    async close() {
      authenticator.close()
      await provider.close()
    },
  }
}
