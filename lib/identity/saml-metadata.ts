/**
 * What a SAML provider says about itself in its metadata file (saml-metadata-2.0-os). PURE.
 *
 * The file is the operator's, and trusted like the rest of the configuration: a signature of its
 * own and `validUntil` are not looked at.
 */
import { readCertificates } from './saml-signature.ts'
import { METADATA, PROTOCOL, shown, SIGNATURE } from './saml-terms.ts'
import {
  attributeOf,
  childrenOf,
  descendantsOf,
  isNamed,
  parseXml,
  type XmlElement,
} from './xml.ts'

const REDIRECT = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'

export interface IdpMetadata {
  entityId: string
  singleSignOnUrl: string
  certificates: string[]
}

/** @throws TypeError or SyntaxError, in words for the operator */
export function parseIdpMetadata(xml: string): IdpMetadata {
  // Saved files may begin with a byte order mark or an empty line.
  const root = parseXml(xml.trimStart(), { comments: true })
  if (isNamed(root, METADATA, 'EntitiesDescriptor')) {
    throw new TypeError('the metadata is of several providers; save the EntityDescriptor of one')
  }
  const entityId = attributeOf(root, 'entityID') ?? ''
  if (!isNamed(root, METADATA, 'EntityDescriptor') || entityId === '') {
    throw new TypeError('the file is not the SAML metadata of a provider')
  }
  const [provider, ...others] = childrenOf(root, METADATA, 'IDPSSODescriptor').filter((role) =>
    (attributeOf(role, 'protocolSupportEnumeration') ?? '').split(/\s+/).includes(PROTOCOL),
  )
  if (provider === undefined || others.length > 0) {
    throw new TypeError(
      `${shown(entityId)} is not described as one identity provider for SAML 2.0 (IDPSSODescriptor)`,
    )
  }
  return {
    entityId,
    singleSignOnUrl: singleSignOnUrl(provider),
    certificates: readCertificates(signingCertificates(provider)),
  }
}

function singleSignOnUrl(provider: XmlElement): string {
  const location = childrenOf(provider, METADATA, 'SingleSignOnService')
    .filter((service) => attributeOf(service, 'Binding') === REDIRECT)
    .map((service) => attributeOf(service, 'Location') ?? '')[0]
  if (location === undefined || !URL.canParse(location) || !location.startsWith('https://')) {
    throw new TypeError(
      'the metadata has no SingleSignOnService with the HTTP-Redirect binding and an https address',
    )
  }
  return location
}

function signingCertificates(provider: XmlElement): string[] {
  const keys = childrenOf(provider, METADATA, 'KeyDescriptor').filter(
    (key) => (attributeOf(key, 'use') ?? 'signing') === 'signing',
  )
  const data = keys
    .flatMap(descendantsOf)
    .filter(({ element }) => isNamed(element, SIGNATURE, 'X509Data'))
  return data.map(({ element }) => {
    const [certificate, ...chain] = childrenOf(element, SIGNATURE, 'X509Certificate')
    // Which one of a chain signs is not said, and to trust an authority's key as well is too much.
    if (certificate === undefined || chain.length > 0) {
      throw new TypeError('a key in the metadata has not one certificate; configure it by itself')
    }
    return `-----BEGIN CERTIFICATE-----\n${certificate.text.trim()}\n-----END CERTIFICATE-----`
  })
}
