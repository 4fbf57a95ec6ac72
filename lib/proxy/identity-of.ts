/**
 * A verified person as the API server is told of them (I4), with the marks by which its audit log
 * joins with the gateway's own records. PURE.
 *
 *   podgate.dev/session     the recorded session; what the admission guard asks for
 *   podgate.dev/login       the sign-in, where it was made at the gateway
 *   podgate.dev/token-id    what was used; `kubectl podgate revoke token` takes it
 *   podgate.dev/issuer      who vouched for them
 */
import type { User } from '../identity/user.ts'
import type { HeaderMap } from '../kube/api-client.ts'
import { SESSION_EXTRA, impersonationHeaders } from '../kube/impersonate.ts'

const OWN_DOMAIN = 'podgate.dev/'

/** Where they come from: everything but who they are. */
export function originOf({ issuer, credential }: User): Record<string, string[]> {
  const { id, login } = credential
  return {
    [`${OWN_DOMAIN}issuer`]: [issuer],
    [`${OWN_DOMAIN}token-id`]: [id],
    ...(login === undefined ? {} : { [`${OWN_DOMAIN}login`]: [login] }),
  }
}

/** @param session marks the request as a part of it */
export function identityOf(user: User, session?: string): HeaderMap {
  // No provider says what is ours to say, whatever its claims are mapped to.
  const theirs = Object.entries(user.extra).filter(
    ([key]) => !key.toLowerCase().startsWith(OWN_DOMAIN),
  )
  return impersonationHeaders({
    ...user,
    extra: {
      ...Object.fromEntries(theirs),
      ...originOf(user),
      ...(session === undefined ? {} : { [SESSION_EXTRA]: [session] }),
    },
  })
}
