/**
 * The signature of a SAML assertion. node-saml and xml-crypto verify it; this file limits what they
 * are given (algorithms, transforms, shape), and takes back nothing but the bytes that were signed.
 */
import { X509Certificate } from 'node:crypto'

import { type Profile, SAML } from '@node-saml/node-saml'

import { notTrusted, type SamlConfig, shown, SIGNATURE } from './saml-terms.ts'
import { attributeOf, isNamed, type XmlElement } from './xml.ts'

const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature'
/** Without SHA-1; and without HMAC, whose "secret" would be the certificate that everybody knows. */
const SIGNATURE_ALGORITHMS = [
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
]
const DIGEST_ALGORITHMS = [
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512',
]
const MIN_RSA_BITS = 2048
const MAX_PARAMETER = 256
/** As providers write them; without quotes, since the library puts them into an XPath. */
const ID = /^[A-Za-z_][\w.-]{0,255}$/

/**
 * Core 5.4: one reference, to the element that the signature is in, with the two transforms. The
 * parts come in one order only and without `Object`, since the library looks for some of them
 * anywhere below the signature and takes the first. What `KeyInfo` holds is never used: a key that
 * a message brings along proves nothing.
 *
 * @throws GatewayError Unauthorized
 */
export function checkSignatureShape(signature: XmlElement, signedId: string | undefined): void {
  const [info] = partsOf(withoutKeyInfo(signature), ['SignedInfo', 'SignatureValue'])
  const [canonicalization, method, reference] = partsOf(info, [
    'CanonicalizationMethod',
    'SignatureMethod',
    'Reference',
  ])
  const [transforms, digest] = partsOf(reference, ['Transforms', 'DigestMethod', 'DigestValue'])
  const [first, second] = partsOf(transforms, ['Transform', 'Transform'])
  checkAlgorithm(canonicalization, [EXCLUSIVE])
  checkAlgorithm(method, SIGNATURE_ALGORITHMS)
  checkAlgorithm(first, [ENVELOPED])
  checkAlgorithm(second, [EXCLUSIVE])
  checkAlgorithm(digest, DIGEST_ALGORITHMS)
  if (signedId === undefined || !ID.test(signedId)) {
    throw notTrusted('a signed part has no ID, or one that cannot be used')
  }
  if (attributeOf(reference, 'URI') !== `#${signedId}`) {
    throw notTrusted('a signature is not about the part that it stands in')
  }
}

function withoutKeyInfo(signature: XmlElement): XmlElement {
  const last = signature.children.at(-1)
  return last !== undefined && isNamed(last, SIGNATURE, 'KeyInfo')
    ? { ...signature, children: signature.children.slice(0, -1) }
    : signature
}

/** The children, which have to be these and no others. */
function partsOf<const Names extends readonly string[]>(
  element: XmlElement,
  names: Names,
): { [Index in keyof Names]: XmlElement } {
  const { children } = element
  if (
    children.length !== names.length ||
    !children.every((child, index) => isNamed(child, SIGNATURE, names[index] ?? ''))
  ) {
    throw notTrusted('a signature has other parts than it should have')
  }
  return children as { [Index in keyof Names]: XmlElement }
}

function checkAlgorithm(element: XmlElement, allowed: readonly string[]): void {
  const algorithm = attributeOf(element, 'Algorithm')
  // The library looks for algorithms at any depth, and takes the first: none may lie in another.
  const [parameter, ...more] = element.children
  const name = parameter?.localName ?? 'InclusiveNamespaces'
  if (name !== 'InclusiveNamespaces' || more.length > 0 || (parameter?.children.length ?? 0) > 0) {
    throw notTrusted('a signature has an algorithm with parts that it should not have')
  }
  // Prefixes of namespaces that are signed although nothing uses them; each costs time.
  const parameters = element.children.flatMap(({ attributes }) => attributes)
  if (parameters.some(({ value }) => value.length > MAX_PARAMETER)) {
    throw notTrusted('a signature has a parameter that is too long')
  }
  if (algorithm === undefined || !allowed.includes(algorithm)) {
    throw notTrusted(
      `it is signed with ${shown(algorithm)}, and only RSA with SHA-256 or SHA-512 and exclusive canonicalization are accepted`,
    )
  }
}

/** What a signature of the provider covers, as it was signed; the library's own reading is cut off. */
class SignedBytes extends SAML {
  protected override getSignedAssertion(signedXml: string): Promise<string> {
    return Promise.resolve(signedXml)
  }

  /** Its own one parses the bytes again, with another parser, and checks by a clock of its own. */
  protected override processValidlySignedAssertionAsync(
    signedXml: string,
  ): Promise<{ profile: Profile; loggedOut: boolean }> {
    const profile: Profile = { issuer: '', nameID: '', nameIDFormat: '', signedXml }
    return Promise.resolve({ profile, loggedOut: false })
  }
}

/**
 * The canonical form of the assertion, or of the response where that is signed as well, byte for
 * byte as the digest was taken of it. `text` has passed checkSignatureShape.
 *
 * @throws GatewayError Unauthorized
 */
export async function verifySignature(
  text: string,
  config: Pick<SamlConfig, 'certificates' | 'spEntityId' | 'acsUrl'>,
  responseSigned: boolean,
): Promise<string> {
  const library = new SignedBytes({
    issuer: config.spEntityId,
    callbackUrl: config.acsUrl,
    idpCert: [...config.certificates],
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: responseSigned,
  })
  try {
    const { profile } = await library.validatePostResponseAsync({
      SAMLResponse: Buffer.from(text).toString('base64'),
    })
    if (typeof profile?.['signedXml'] === 'string') return profile['signedXml']
  } catch (error) {
    throw notTrusted('no key of the provider that the gateway knows made the signature', error)
  }
  throw notTrusted('nothing in it is signed')
}

/**
 * Each certificate in these texts, as PEM of its own. That one has expired does not matter, as in
 * SAML metadata in general: which keys are trusted is the operator's list.
 *
 * @throws TypeError for the operator
 */
export function readCertificates(texts: readonly string[]): string[] {
  const certificates = texts.flatMap((text) => {
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)
    if (blocks === null) throw new TypeError('a signing certificate is not PEM')
    return blocks.map(readCertificate)
  })
  if (certificates.length === 0) throw new TypeError('there is no signing certificate')
  return certificates
}

function readCertificate(pem: string): string {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch (error) {
    throw new TypeError('a signing certificate cannot be read', { cause: error })
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new TypeError(
      `the signing certificate of "${certificate.subject}" has no RSA key of ${MIN_RSA_BITS} bits or more; other keys are not supported`,
    )
  }
  return certificate.toString()
}
