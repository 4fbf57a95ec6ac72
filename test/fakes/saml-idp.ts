/**
 * A SAML 2.0 identity provider: says what it is told to, and signs it, well or badly.
 *
 * Its XML is put together from text on purpose, so that an attack can be written as the change of a
 * text, and so that nothing of ours decides what it looks like.
 */
import { webcrypto } from 'node:crypto'
import { createRequire } from 'node:module'

import 'reflect-metadata'
import { PemConverter, X509CertificateGenerator } from '@peculiar/x509'

interface Signer {
  addReference(reference: {
    xpath: string
    transforms: string[]
    digestAlgorithm: string
    inclusiveNamespacesPrefixList?: string[]
    isEmptyUri?: boolean
  }): void
  computeSignature(
    xml: string,
    options: { prefix: string; location: { reference: string; action: string } },
  ): void
  getSignedXml(): string
  enableHMAC(): void
  createSignedInfo(...of: unknown[]): string
  CanonicalizationAlgorithms: Record<string, new () => Canonicalization>
}

interface Canonicalization {
  getAlgorithmName(): string
}

/** Its own types would make all of `lib.dom` global. */
const { ExclusiveCanonicalization, SignedXml } = createRequire(import.meta.url)('xml-crypto') as {
  ExclusiveCanonicalization: new () => Canonicalization
  SignedXml: new (options: {
    privateKey: string
    publicCert?: string
    signatureAlgorithm: string
    canonicalizationAlgorithm: string
  }) => Signer
}

export const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'
export const RSA_SHA1 = 'http://www.w3.org/2000/09/xmldsig#rsa-sha1'
export const HMAC_SHA1 = 'http://www.w3.org/2000/09/xmldsig#hmac-sha1'
export const SHA256 = 'http://www.w3.org/2001/04/xmlenc#sha256'
export const SHA1 = 'http://www.w3.org/2000/09/xmldsig#sha1'
export const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature'
export const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'

export interface SamlKeys {
  privateKey: string
  certificate: string
}

/** RSA, as providers have it; `bits` for one that is too short. */
export async function createSamlKeys(bits = 2048): Promise<SamlKeys> {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: bits,
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: 'CN=signing',
      notBefore: new Date('2020-01-01T00:00:00Z'),
      notAfter: new Date('2021-01-01T00:00:00Z'),
      signingAlgorithm: algorithm,
      keys,
    },
    webcrypto,
  )
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    privateKey: PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag),
    certificate: certificate.toString('pem'),
  }
}

/** All that one answer says. Values are XML: `&`, `<` and quotes are the caller's business. */
export interface SamlAnswer {
  responseId: string
  assertionId: string
  inResponseTo: string
  /** In the signed part. */
  subjectInResponseTo: string
  issuer: string
  responseIssuer: string
  destination: string
  recipient: string
  /** Of each AudienceRestriction, its audiences. */
  audiences: string[][]
  /** More elements of Conditions. */
  conditions: string
  status: string
  nameId: string
  nameIdFormat: string
  method: string
  notBefore: string
  notOnOrAfter: string
  subjectNotOnOrAfter: string
  authnInstant: string
  sessionNotOnOrAfter: string
  sessionIndex: string
  acr: string
  /** Each with its values. */
  attributes: [name: string, values: string[]][]
  /** More elements at the end of the assertion. */
  more: string
}

/** '' leaves an attribute out. */
function attribute(name: string, value: string): string {
  return value === '' ? '' : ` ${name}="${value}"`
}

export function assertionXml(says: SamlAnswer): string {
  const subject = `<saml:Subject>${
    says.nameId === ''
      ? ''
      : `<saml:NameID${attribute('Format', says.nameIdFormat)}>${says.nameId}</saml:NameID>`
  }<saml:SubjectConfirmation Method="${says.method}"><saml:SubjectConfirmationData${attribute(
    'InResponseTo',
    says.subjectInResponseTo,
  )}${attribute('Recipient', says.recipient)}${attribute(
    'NotOnOrAfter',
    says.subjectNotOnOrAfter,
  )}/></saml:SubjectConfirmation></saml:Subject>`
  const restrictions = says.audiences.map(
    (names) =>
      `<saml:AudienceRestriction>${names
        .map((name) => `<saml:Audience>${name}</saml:Audience>`)
        .join('')}</saml:AudienceRestriction>`,
  )
  const conditions = `<saml:Conditions${attribute('NotBefore', says.notBefore)}${attribute(
    'NotOnOrAfter',
    says.notOnOrAfter,
  )}>${restrictions.join('')}${says.conditions}</saml:Conditions>`
  const statement = `<saml:AuthnStatement${attribute('AuthnInstant', says.authnInstant)}${attribute(
    'SessionNotOnOrAfter',
    says.sessionNotOnOrAfter,
  )}${attribute(
    'SessionIndex',
    says.sessionIndex,
  )}><saml:AuthnContext><saml:AuthnContextClassRef>${says.acr}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`
  const attributes = says.attributes.map(
    ([name, values]) =>
      `<saml:Attribute Name="${name}">${values
        .map(
          (value) =>
            `<saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xsi:type="xs:string">${value}</saml:AttributeValue>`,
        )
        .join('')}</saml:Attribute>`,
  )
  return `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="${says.assertionId}" Version="2.0" IssueInstant="${says.authnInstant}"><saml:Issuer>${says.issuer}</saml:Issuer>${subject}${conditions}${statement}${
    attributes.length === 0
      ? ''
      : `<saml:AttributeStatement>${attributes.join('')}</saml:AttributeStatement>`
  }${says.more}</saml:Assertion>`
}

export function responseXml(says: SamlAnswer, assertion: string = assertionXml(says)): string {
  return `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="${says.responseId}" Version="2.0" IssueInstant="${says.authnInstant}"${attribute(
    'InResponseTo',
    says.inResponseTo,
  )}${attribute('Destination', says.destination)}>${
    says.responseIssuer === ''
      ? ''
      : `<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">${says.responseIssuer}</saml:Issuer>`
  }<samlp:Status>${says.status}</samlp:Status>${assertion}</samlp:Response>`
}

export interface SigningOptions {
  of?: 'Assertion' | 'Response'
  algorithm?: string
  digest?: string
  canonicalization?: string
  transforms?: string[]
  /** Prefixes whose namespaces are part of what is signed, as some providers have it. */
  prefixes?: string[]
  /** Put into KeyInfo. */
  certificate?: string
  /** Of the signature's own elements; '' for none. */
  prefix?: string
  /** `URI=""`, which means all of the document. */
  emptyUri?: boolean
  /** The true method lies inside of CanonicalizationMethod; where it belongs stands RSA with SHA-256. */
  nestedMethod?: boolean
}

/** So that a signature with a forbidden algorithm is right in all else. */
function canonicalizationNamed(name: string): new () => Canonicalization {
  return class extends ExclusiveCanonicalization {
    override getAlgorithmName(): string {
      return name
    }
  }
}

function nestMethod(signer: Signer): void {
  const create = signer.createSignedInfo.bind(signer)
  signer.createSignedInfo = (...of) =>
    create(...of).replace(
      /<(ds:CanonicalizationMethod) ([^>]*?)\/?>(?:<\/ds:CanonicalizationMethod>)?(<ds:SignatureMethod [^>]*?\/>)/,
      (_all, name, attributes, method) =>
        `<${name} ${attributes}>${method}</${name}><ds:SignatureMethod Algorithm="${RSA_SHA256}"/>`,
    )
}

/** The signature stands where the schema wants it: behind the Issuer. */
export function sign(xml: string, privateKey: string, options: SigningOptions = {}): string {
  const signer = new SignedXml({
    privateKey,
    signatureAlgorithm: options.algorithm ?? RSA_SHA256,
    canonicalizationAlgorithm: options.canonicalization ?? EXCLUSIVE,
    ...(options.certificate === undefined ? {} : { publicCert: options.certificate }),
  })
  if (options.algorithm === HMAC_SHA1) signer.enableHMAC()
  if (options.nestedMethod === true) nestMethod(signer)
  for (const name of [options.canonicalization ?? EXCLUSIVE, ...(options.transforms ?? [])]) {
    signer.CanonicalizationAlgorithms[name] ??= canonicalizationNamed(name)
  }
  const xpath = `//*[local-name()='${options.of ?? 'Assertion'}']`
  signer.addReference({
    xpath,
    transforms: options.transforms ?? [ENVELOPED, EXCLUSIVE],
    digestAlgorithm: options.digest ?? SHA256,
    ...(options.prefixes === undefined ? {} : { inclusiveNamespacesPrefixList: options.prefixes }),
    ...(options.emptyUri === undefined ? {} : { isEmptyUri: options.emptyUri }),
  })
  signer.computeSignature(xml, {
    prefix: options.prefix ?? 'ds',
    location: { reference: `${xpath}/*[local-name()='Issuer']`, action: 'after' },
  })
  return signer.getSignedXml()
}

export function idpMetadataXml(
  entityId: string,
  singleSignOnUrl: string,
  certificates: readonly string[],
): string {
  const keys = certificates.map(
    (pem) =>
      `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>${pem.replace(
        /-----[A-Z ]+-----|\s/g,
        '',
      )}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`,
  )
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- as an admin would save it -->
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entityId}">
  <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    ${keys.join('\n    ')}
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="${singleSignOnUrl}/post"/>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${singleSignOnUrl}"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
`
}
