/**
 * Sign-in with SAML 2.0: the Web Browser SSO Profile, started here, answered by form post.
 *
 * The response goes through four hands, each with a file of its own: xml.ts (may it be parsed),
 * saml-envelope.ts (has it the one shape that is allowed), saml-signature.ts (who signed it; from
 * here on only the signed bytes are read) and saml-assertion.ts with saml-person.ts (what it says).
 */
import { randomBytes } from 'node:crypto'

import { SAML } from '@node-saml/node-saml'

import { errorText, type GatewayError } from '../errors/gateway-error.ts'
import { checkAssertion, signedAssertion, type Validity } from './saml-assertion.ts'
import { checkEnvelope } from './saml-envelope.ts'
import { personFromAssertion } from './saml-person.ts'
import { readCertificates, verifySignature } from './saml-signature.ts'
import { refuse, type SamlConfig, type SamlSignIn } from './saml-terms.ts'
import type { SpentIds } from './spent-ids.ts'
import { MAX_XML_BYTES, parseXml, type XmlElement } from './xml.ts'

export type { SamlConfig, SamlSignIn } from './saml-terms.ts'

/** Base64 of the largest response, and as much again for its line breaks. */
const MAX_FORM_CHARACTERS = 2 * Math.ceil(MAX_XML_BYTES / 3) * 4
/** A request is remembered as answered for this long at least: longer than any sign-in may take. */
const REQUEST_MEMORY_MS = 86_400_000

export interface SamlStart {
  /** Comes back with the response as it is; 80 bytes at most (Bindings 3.4.3). */
  relayState: string
  /** The person has to sign in anew. Whether they did says `signIn.at`. */
  forceAuthn?: boolean
  /** How the person has to sign in: one of these. Which one they used says `signIn.acr`. */
  acr?: string[]
}

export interface SamlProvider {
  /** What the provider's admin can import: our entity id and where to send responses. */
  metadata(): string
  start(options: SamlStart): Promise<{ url: string; requestId: string }>
  /**
   * @param requestId of the sign-in that the browser's cookie names
   * @throws GatewayError Unauthorized, in words for the person in the browser
   */
  finish(form: { SAMLResponse: string }, requestId: string): Promise<SamlSignIn>
}

export interface SamlDeps {
  now(): number
  spent: Pick<SpentIds, 'spend'>
}

/** @throws TypeError for the operator: a certificate that cannot be used */
export function createSamlProvider(given: SamlConfig, deps: SamlDeps): SamlProvider {
  const config = { ...given, certificates: readCertificates(given.certificates) }
  return {
    metadata: () => libraryFor(config, {}).generateServiceProviderMetadata(null),
    start: async ({ relayState, forceAuthn = false, acr = [] }) => {
      const requestId = `_${randomBytes(20).toString('hex')}`
      const library = libraryFor(config, {
        forceAuthn,
        authnContext: acr,
        disableRequestedAuthnContext: acr.length === 0,
        generateUniqueId: () => requestId,
      })
      return { url: await library.getAuthorizeUrlAsync(relayState, undefined, {}), requestId }
    },
    finish: async ({ SAMLResponse }, requestId) => {
      const text = decode(SAMLResponse)
      const { responseSigned } = checkEnvelope(parseResponse(text), config, requestId)
      const signed = await verifySignature(text, config, responseSigned)
      const assertion = signedAssertion(parseResponse(signed))
      const validity = checkAssertion(assertion, config, { requestId, now: deps.now() })
      const { person, nameId } = personFromAssertion(assertion, config, validity)
      await spend(validity, requestId, config, deps)
      const { endsAt, sessionIndex } = validity
      return {
        person,
        nameId,
        ...(endsAt === undefined ? {} : { endsAt }),
        ...(sessionIndex === undefined ? {} : { sessionIndex }),
      }
    },
  }
}

/** For what the gateway says itself; what it is told goes through verifySignature. */
function libraryFor(
  config: SamlConfig,
  options: Partial<ConstructorParameters<typeof SAML>[0]>,
): SAML {
  return new SAML({
    issuer: config.spEntityId,
    callbackUrl: config.acsUrl,
    entryPoint: config.singleSignOnUrl,
    idpCert: [...config.certificates],
    // Whatever form of name the provider is set up to send: its admin chooses.
    identifierFormat: null,
    ...options,
  })
}

/** The form field is plain base64: nothing is inflated, so nothing can grow. */
function decode(field: unknown): string {
  if (typeof field !== 'string' || field.length > MAX_FORM_CHARACTERS) {
    throw unreadable(typeof field === 'string' ? 'it is too large' : 'it is missing')
  }
  const base64 = field.replace(/[\t\n\r ]+/g, '')
  // Node's decoder skips what is not base64, and stops at the first "=".
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw unreadable('it is not base64')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'))
  } catch (error) {
    throw unreadable('it is not UTF-8', error)
  }
}

function parseResponse(text: string): XmlElement {
  try {
    return parseXml(text)
  } catch (error) {
    throw unreadable(errorText(error), error)
  }
}

function unreadable(why: string, cause?: unknown): GatewayError {
  return refuse(
    1430,
    `what the sign-in provider sent cannot be read: ${why}. Sign in again; if it stays like this, tell the gateway's operator`,
    cause,
  )
}

/** Last of all, so that nobody can use up what was not theirs. */
async function spend(
  validity: Validity,
  requestId: string,
  config: SamlConfig,
  { now, spent }: SamlDeps,
): Promise<void> {
  const requestUntil = Math.max(validity.until, now() + REQUEST_MEMORY_MS)
  const first =
    (await spent.spend(`saml-request/${config.entityId}/${requestId}`, new Date(requestUntil))) &&
    (await spent.spend(
      `saml-assertion/${config.entityId}/${validity.id}`,
      new Date(validity.until),
    ))
  if (!first) {
    throw refuse(1439, 'this sign-in was used already; each one counts once. Sign in again')
  }
}
