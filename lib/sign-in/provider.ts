/**
 * Sign-in: how a person becomes known to the gateway. The gateway is an authorization server
 * (RFC 6749, RFC 7636, RFC 8252, RFC 8628) for its own command line, and lets the providers of the
 * configuration, OpenID Connect and SAML, say who the person is.
 *
 * May import: errors, identity and other folders of a lower level; express.
 */
import type { LogoutOrder } from '../identity/logout-token.ts'
import { randomBytes } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  assertFresh,
  type Freshness,
  type OidcChecks,
  type OidcSignIn,
  type SignedIn,
} from '../identity/oidc-sign-in.ts'
import type { SamlProvider } from '../identity/saml.ts'

/** What has to be remembered between sending the browser away and its coming back. */
export type Begun =
  { kind: 'oidc'; checks: OidcChecks } | { kind: 'saml'; requestId: string; fresh: boolean }

export interface Departure {
  url: string
  /** Comes back with the browser, and says which cookie belongs to it. */
  state: string
  begun: Begun
}

export interface Arrival {
  /** The address the browser came with, of OpenID Connect. */
  callback: URL
  /** The form it posted, of SAML. */
  form: Readonly<Record<string, unknown>>
}

export interface SignInProvider {
  readonly name: string
  readonly kind: Begun['kind']
  start(freshness: Freshness): Promise<Departure>
  /** @throws GatewayError */
  finish(arrival: Arrival, begun: Begun): Promise<SignedIn>
  /** Of SAML: what the provider's admin imports. */
  metadata?(): string
  /** Of OpenID Connect: what a logout token orders. @throws GatewayError */
  logout?(token: string): Promise<LogoutOrder>
}

export function oidcProvider(signIn: OidcSignIn, redirectUri: string): SignInProvider {
  return {
    name: signIn.name,
    kind: 'oidc',
    async start(freshness) {
      const { url, checks } = await signIn.start(redirectUri, freshness)
      return { url: url.href, state: checks.state, begun: { kind: 'oidc', checks } }
    },
    async finish({ callback }, begun) {
      if (begun.kind !== 'oidc') throw mixedUp()
      return await signIn.finish(callback, redirectUri, begun.checks)
    },
    logout: async (token) => await signIn.logout(token),
  }
}

export function samlProvider(
  name: string,
  saml: SamlProvider,
  now: () => number = Date.now,
): SignInProvider {
  return {
    name,
    kind: 'saml',
    metadata: () => saml.metadata(),
    async start({ fresh, acr }) {
      // Bindings 3.4.3: RelayState is 80 bytes at most.
      const state = randomBytes(32).toString('base64url')
      const { url, requestId } = await saml.start({
        relayState: state,
        forceAuthn: fresh,
        acr: [...acr],
      })
      return { url, state, begun: { kind: 'saml', requestId, fresh } }
    },
    async finish({ form }, begun) {
      if (begun.kind !== 'saml') throw mixedUp()
      const { SAMLResponse: response } = form
      const text = typeof response === 'string' ? response : ''
      const { person, nameId, sessionIndex, endsAt } = await saml.finish(
        { SAMLResponse: text },
        begun.requestId,
      )
      if (begun.fresh) assertFresh(person, now())
      return {
        person,
        subject: nameId,
        ...(sessionIndex === undefined ? {} : { providerSession: sessionIndex }),
        ...(endsAt === undefined ? {} : { endsAt }),
      }
    },
  }
}

/** The answer of one provider at the door of another. */
function mixedUp(): GatewayError {
  return new GatewayError('Unauthorized', 'this answer is not of the provider that was asked', {
    id: 1455,
  })
}
