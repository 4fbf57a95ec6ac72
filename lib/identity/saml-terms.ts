/**
 * The words of SAML 2.0 that the other `saml*` files share. Sections named in comments:
 * "Core" is saml-core-2.0-os, "Profiles" is saml-profiles-2.0-os, "Bindings" is
 * saml-bindings-2.0-os (https://docs.oasis-open.org/security/saml/v2.0/).
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { shown as shownName } from './names.ts'
import type { Person } from './user.ts'

export const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol'
export const ASSERTION = 'urn:oasis:names:tc:SAML:2.0:assertion'
export const METADATA = 'urn:oasis:names:tc:SAML:2.0:metadata'
export const SIGNATURE = 'http://www.w3.org/2000/09/xmldsig#'

/** One SAML provider the gateway trusts; already validated by the config. */
export interface SamlConfig {
  /** In URLs: [a-z0-9-]. */
  name: string
  /** The provider's own entity id: the Issuer of its responses and assertions. */
  entityId: string
  /** Where the browser is sent (HTTP-Redirect binding). */
  singleSignOnUrl: string
  /** PEM of the provider's signing certificates; several during a rotation. */
  certificates: readonly string[]
  /** Our own entity id, and the audience of its assertions. */
  spEntityId: string
  /** Assertion consumer service: https URL of the gateway. */
  acsUrl: string
  /** undefined: the NameID. */
  usernameAttribute?: string | undefined
  usernamePrefix: string
  groupsAttribute: string
  groupsPrefix: string
  /** Extras of the person, each from the attribute named. */
  extraAttributes?: Readonly<Record<string, string>> | undefined
  clockSkewSeconds: number
  /** Longest time since the person's authentication (AuthnInstant); undefined: any. */
  maxAuthenticationAgeSeconds?: number | undefined
}

export interface SamlSignIn {
  person: Person
  /** ms, from SessionNotOnOrAfter; undefined: not said. */
  endsAt?: number
  sessionIndex?: string
  nameId: string
}

/** For the person in the browser. What the library says goes into `cause` only. */
export function refuse(id: number, message: string, cause?: unknown): GatewayError {
  return new GatewayError('Unauthorized', message, { id, cause })
}

/** Somebody else than the provider may have written it. */
export function notTrusted(why: string, cause?: unknown): GatewayError {
  return refuse(
    1433,
    `what the sign-in provider sent cannot be trusted: ${why}. Sign in again; if it stays like this, tell the gateway's operator`,
    cause,
  )
}

/** What a message holds in some place, or that it holds nothing there. */
export function shown(value: string | undefined): string {
  return value === undefined ? 'nothing' : shownName(value)
}
