/**
 * What a SAML response may look like before anything in it is verified. PURE.
 *
 * Nothing read here says who somebody is: the response around an assertion is often not signed. The
 * rules leave one shape only, with one assertion in the one place it belongs, so that attacks that
 * move a signed assertion around (XML signature wrapping) have no place to move it to.
 */
import type { GatewayError } from '../errors/gateway-error.ts'
import { checkSignatureShape } from './saml-signature.ts'
import {
  ASSERTION,
  notTrusted,
  PROTOCOL,
  refuse,
  type SamlConfig,
  shown,
  SIGNATURE,
} from './saml-terms.ts'
import { attributeOf, childrenOf, descendantsOf, isNamed, textOf, type XmlElement } from './xml.ts'

const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success'

/** Core 3.2.2.2, the statuses of the second level that a person can do something about. */
const STATUS_WORDS: Readonly<Record<string, string>> = {
  AuthnFailed: 'it could not confirm who you are',
  NoAuthnContext: 'it cannot sign you in in the way the gateway asks for',
  RequestDenied: 'it does not let you use this application; ask its admin to assign you to it',
  UnknownPrincipal: 'it does not know you',
}

export interface Envelope {
  /** A response need not be signed, but a signature that is there has to be right. */
  responseSigned: boolean
}

/** @throws GatewayError Unauthorized */
export function checkEnvelope(
  response: XmlElement,
  config: SamlConfig,
  requestId: string,
): Envelope {
  if (
    !isNamed(response, PROTOCOL, 'Response') ||
    attributeOf(response, 'Version') !== '2.0' ||
    attributeOf(response, 'ID') === undefined
  ) {
    throw refuse(1430, 'what the sign-in provider sent is not a SAML 2.0 response. Sign in again')
  }
  checkStatus(response)
  const assertion = onlyAssertion(response)
  const responseSigned = checkSignatures(response, assertion)
  checkIds(response)
  checkIssuer(response, config, responseSigned)
  checkDestination(response, config, responseSigned)
  checkInResponseTo(attributeOf(response, 'InResponseTo'), requestId)
  return { responseSigned }
}

/** The provider's own words (StatusMessage) are left out: anybody could have written them. */
function checkStatus(response: XmlElement): void {
  const [status, ...others] = childrenOf(response, PROTOCOL, 'Status')
  const code = status === undefined ? undefined : childrenOf(status, PROTOCOL, 'StatusCode')[0]
  const value = code === undefined ? undefined : attributeOf(code, 'Value')
  if (value === SUCCESS && others.length === 0) return
  const second = code === undefined ? undefined : childrenOf(code, PROTOCOL, 'StatusCode')[0]
  const reason = (second === undefined ? value : attributeOf(second, 'Value'))?.split(':').at(-1)
  const words = Object.hasOwn(STATUS_WORDS, reason ?? '') ? STATUS_WORDS[reason ?? ''] : undefined
  throw refuse(
    1431,
    `the sign-in provider did not sign you in: ${words ?? `it says ${shown(reason)}`}`,
  )
}

function onlyAssertion(response: XmlElement): XmlElement {
  const all = descendantsOf(response)
  if (all.some(({ element }) => element.localName.startsWith('Encrypted'))) {
    throw refuse(
      1432,
      "the sign-in provider encrypts what it says about you, and encryption is not supported here. Ask the provider's admin to switch the encryption of assertions off for this application; they travel over TLS",
    )
  }
  // By local name in any namespace: whoever reads less exactly must not find another one.
  const found = all.filter(({ element }) => element.localName === 'Assertion')
  const [only] = found
  if (only === undefined || found.length > 1) {
    throw notTrusted(`the response has ${found.length} assertions in place of one`)
  }
  if (!isNamed(only.element, ASSERTION, 'Assertion') || only.parent !== response) {
    throw notTrusted('the assertion is not in its place')
  }
  return only.element
}

/** Whether the response itself is signed. */
function checkSignatures(response: XmlElement, assertion: XmlElement): boolean {
  const found = descendantsOf(response).filter(({ element }) => element.localName === 'Signature')
  const ofAssertion = childrenOf(assertion, SIGNATURE, 'Signature')[0]
  const ofResponse = childrenOf(response, SIGNATURE, 'Signature')[0]
  if (ofAssertion === undefined) {
    throw notTrusted(
      "the assertion is not signed. The provider's admin has to have it sign assertions, not responses alone",
    )
  }
  if (found.length !== (ofResponse === undefined ? 1 : 2)) {
    throw notTrusted('there are signatures in places where none belong')
  }
  checkSignatureShape(ofAssertion, attributeOf(assertion, 'ID'))
  if (ofResponse !== undefined) checkSignatureShape(ofResponse, attributeOf(response, 'ID'))
  return ofResponse !== undefined
}

/** A signature names what it signs by an ID, so no two elements may share one, in any spelling. */
function checkIds(response: XmlElement): void {
  const ids = descendantsOf(response).flatMap(({ element }) =>
    element.attributes
      .filter(({ localName }) => localName.toLowerCase() === 'id')
      .map(({ value }) => value),
  )
  if (new Set(ids).size !== ids.length) throw notTrusted('two of its parts have the same ID')
}

/** Profiles 4.1.4.2: may be left out only where the response is not signed. */
function checkIssuer(response: XmlElement, config: SamlConfig, signed: boolean): void {
  const issuers = childrenOf(response, ASSERTION, 'Issuer')
  if (issuers.length === 0 && !signed) return
  checkIssuers(issuers, config)
}

/** @throws GatewayError Unauthorized */
export function checkIssuers(issuers: XmlElement[], config: SamlConfig): void {
  const issuer = textOf(issuers[0])
  if (issuers.length === 1 && issuer === config.entityId) return
  throw refuse(
    1435,
    `the sign-in is from ${shown(issuer)}, and the gateway expects it from ${shown(config.entityId)}. Sign in again, at that provider`,
  )
}

/** Bindings 3.5.5.2: has to be there where the response is signed. */
function checkDestination(response: XmlElement, config: SamlConfig, signed: boolean): void {
  const destination = attributeOf(response, 'Destination')
  if (destination === undefined && !signed) return
  if (destination !== config.acsUrl) throw elsewhere('response', destination, config.acsUrl)
}

/** @throws GatewayError Unauthorized */
export function checkInResponseTo(inResponseTo: string | undefined, requestId: string): void {
  if (inResponseTo === undefined) {
    throw refuse(
      1436,
      "the sign-in was started at the provider, not here, so nobody can tell whether you wanted it. Start at the gateway, not from the provider's list of applications",
    )
  }
  if (requestId === '' || inResponseTo !== requestId) {
    throw refuse(
      1436,
      'the sign-in does not belong to the one this browser started. Close other tabs with a sign-in, and sign in again',
    )
  }
}

export function elsewhere(what: string, found: string | undefined, expected: string): GatewayError {
  return refuse(
    1434,
    `the provider's ${what} is for ${shown(found)}, and this gateway is ${shown(expected)}. Ask the gateway's operator to compare both with what the provider has for this application`,
  )
}
