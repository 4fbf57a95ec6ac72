import { beforeAll, describe, expect, it } from '@jest/globals'

import { parseIdpMetadata } from '../../../lib/identity/saml-metadata.ts'
import { createSamlKeys, idpMetadataXml } from '../../fakes/saml-idp.ts'

const IDP = 'https://idp.example/saml'
const SSO = 'https://idp.example/sso'

let certificates: string[]
let good: string

beforeAll(async () => {
  certificates = await Promise.all(
    [createSamlKeys(), createSamlKeys()].map(async (keys) => (await keys).certificate),
  )
  good = idpMetadataXml(IDP, SSO, certificates)
})

const bare = (pem: string): string => pem.replace(/-----[A-Z ]+-----|\s/g, '')

describe('the metadata of a provider', () => {
  it('say its name, its address and its certificates', () => {
    const { certificates: found, ...rest } = parseIdpMetadata(good)
    expect(rest).toEqual({ entityId: IDP, singleSignOnUrl: SSO })
    expect(found.map(bare)).toEqual(certificates.map(bare))
  })

  it.each<[string, (text: string) => string, number]>([
    ['a certificate in several lines', (text) => text.replace(/(MII.{60})/g, '\n$1\n'), 2],
    ['a byte order mark', (text) => `\uFEFF${text}`, 2],
    ['an empty line before all else', (text) => `\r\n${text}`, 2],
    ['a key for all uses', (text) => text.replace(' use="signing"', ''), 2],
    ['a key that is not for signing', (text) => text.replace('"signing"', '"encryption"'), 1],
    [
      'another role of the same provider',
      (text) =>
        text.replace(
          '</md:EntityDescriptor>',
          '<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/>$&',
        ),
      2,
    ],
  ])('may have %s', (_name, change, count) => {
    const text = change(good)
    expect(text).not.toBe(good)
    expect(parseIdpMetadata(text)).toMatchObject({ entityId: IDP, singleSignOnUrl: SSO })
    expect(parseIdpMetadata(text).certificates).toHaveLength(count)
  })

  it.each<[string, (text: string) => string, RegExp]>([
    ['no XML', () => 'entityId: x', /text around|well-formed/],
    ['a document type', (text) => text.replace('<md:Entity', '<!DOCTYPE r>$&'), /DOCTYPE/],
    ['too large', (text) => `${text}${' '.repeat(262_144)}`, /larger/],
    ['a federation', (text) => text.replaceAll('EntityDesc', 'EntitiesDesc'), /several providers/],
    ['of something else', (text) => text.replaceAll('EntityDesc', 'Desc'), /not the SAML metadata/],
    ['without a name', (text) => text.replace(/entityID="[^"]*"/, ''), /not the SAML metadata/],
    ['of an application', (text) => text.replaceAll('IDPSSO', 'SPSSO'), /not described as one/],
    ['of SAML 1.1', (text) => text.replace('SAML:2.0:protocol', 'SAML:1.1:protocol'), /SAML 2.0/],
    ['without the binding', (text) => text.replace('HTTP-Redirect', 'SOAP'), /HTTP-Redirect/],
    [
      'with a plain http address',
      (text) => text.replaceAll('"https://idp.example/sso', '"http://idp.example/sso'),
      /https address/,
    ],
    ['without keys', (text) => text.replaceAll('"signing"', '"encryption"'), /no signing cert/],
    ['with a damaged key', (text) => text.replace('MII', 'XII'), /cannot be read/],
    [
      'with a chain of certificates',
      (text) => text.replace(/<ds:X509Certificate>.*?<\/ds:X509Certificate>/, '$&$&'),
      /has not one certificate/,
    ],
  ])('cannot be used if they are %s', (_name, change, words) => {
    const text = change(good)
    expect(text).not.toBe(good)
    expect(() => parseIdpMetadata(text)).toThrow(words)
  })
})
