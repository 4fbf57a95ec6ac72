/**
 * From a request to a User: by the gateway's own token, by an ID token of a trusted provider, by a
 * service account's token or by a client certificate; and by no way for whoever was revoked. There
 * is no anonymous access.
 */
import type { IncomingMessage } from 'node:http'

import { GatewayError } from '../errors/gateway-error.ts'
import type { Authenticator } from './authenticate.ts'
import type { ReadCertificate } from './client-certificate.ts'
import type { Logins } from './logins.ts'
import type { Revocations } from './revocations.ts'
import type { User } from './user.ts'

/** A token that comes in another way than by a header of its own has no connection to look at. */
export type AskedBy = Pick<IncomingMessage, 'headers'> & Partial<Pick<IncomingMessage, 'socket'>>

/** @throws GatewayError: Unauthorized, or ServiceUnavailable while nobody can tell. */
export type Identify = (request: AskedBy) => Promise<User>

/** Those that are not configured are left out. */
export interface IdentifyDeps {
  idTokens: Authenticator
  logins?: Pick<Logins, 'isAccessToken' | 'verify'>
  serviceAccounts?: { isOne(token: string): boolean; verify(token: string): Promise<User> }
  /** Undefined: the connection has none. */
  certificate?: ReadCertificate
  revocations: Pick<Revocations, 'assertAllowed'>
}

const BEARER = /^bearer (\S+)$/i

export function createIdentify(deps: IdentifyDeps): Identify {
  const { idTokens, logins, serviceAccounts, certificate, revocations } = deps

  async function verify({ headers, socket }: AskedBy): Promise<User> {
    const { authorization } = headers
    // What is sent on purpose counts, even where the connection has a certificate.
    if (authorization === undefined && socket !== undefined) {
      const user = certificate?.({ socket, headers })
      if (user !== undefined) return user
    }
    const token = BEARER.exec(authorization ?? '')?.[1]
    if (token !== undefined && logins?.isAccessToken(token) === true) {
      return await logins.verify(token)
    }
    if (token !== undefined && serviceAccounts?.isOne(token) === true) {
      return await serviceAccounts.verify(token)
    }
    return await idTokens.authenticate(authorization)
  }

  return async (request) => {
    const user = await verify(request)
    revocations.assertAllowed(user)
    return user
  }
}

/** Refusals of somebody who is known, but whose time is over: see `isSignedOut`. */
const SIGNED_OUT = new Set([1405, 1450, 1453])

/**
 * Whether the refusal is of somebody who was let in once. kubectl shows no word of a refusal of
 * discovery, only four lines of its own log, so such a one gets discovery, which is the same for
 * everybody, and the words with the first request that asks for something.
 */
export function isSignedOut(error: unknown): boolean {
  return GatewayError.is(error) && error.id !== undefined && SIGNED_OUT.has(error.id)
}
