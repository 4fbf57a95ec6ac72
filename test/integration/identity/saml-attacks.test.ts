/**
 * SAML responses that are refused. Each is the good one with the one change that its sentence names;
 * what the provider signs is signed anew, so that nothing but that change is wrong.
 */
import { beforeAll, describe, expect, it } from '@jest/globals'

import type { SamlConfig, SamlSignIn } from '../../../lib/identity/saml.ts'
import {
  assertionXml,
  createSamlKeys,
  ENVELOPED,
  EXCLUSIVE,
  HMAC_SHA1,
  responseXml,
  RSA_SHA1,
  type SamlAnswer,
  type SamlKeys,
  SHA1,
  sign,
  type SigningOptions,
} from '../../fakes/saml-idp.ts'
import {
  answer,
  at,
  base64,
  GATEWAY,
  refusal,
  REQUEST,
  samlProvider,
  signedResponse,
  SKEW_SECONDS,
} from './saml-bed.ts'

let keys: SamlKeys
let otherKeys: SamlKeys
let good: string

beforeAll(async () => {
  keys = await createSamlKeys()
  otherKeys = await createSamlKeys()
  good = signedResponse(keys)
})

function finishField(
  field: unknown,
  config: Partial<SamlConfig> = {},
  requestId = REQUEST,
): Promise<SamlSignIn> {
  return samlProvider(keys, config).finish({ SAMLResponse: field as string }, requestId)
}

it('the good response is good', async () => {
  await expect(finishField(base64(good))).resolves.toMatchObject({ nameId: 'ana@corp.example' })
})

describe('a response is refused', () => {
  it.each<[string, (text: string) => string, number, RegExp]>([
    [
      'that is of another kind',
      (text) => text.replaceAll('samlp:Response', 'samlp:LogoutResponse'),
      1430,
      /not a SAML 2.0 response/,
    ],
    [
      'of another namespace',
      (text) => text.replace('SAML:2.0:protocol', 'SAML:3.0:protocol'),
      1430,
      /not a SAML 2.0 response/,
    ],
    ['of another version', (text) => text.replace('Version="2.0"', 'Version="1.1"'), 1430, /2.0/],
    [
      'that says the sign-in failed',
      (text) => text.replace('status:Success', 'status:Responder'),
      1431,
      /it says "Responder"/,
    ],
    [
      'that says it in words of its own',
      (text) => text.replace('status:Success', 'status:&lt;b&gt;ä'),
      1431,
      /it says "<b>\?"$/,
    ],
    [
      'with an encrypted assertion',
      (text) => text.replaceAll('saml:Assertion', 'saml:EncryptedAssertion'),
      1432,
      /encryption is not supported/,
    ],
    [
      'without an assertion',
      (text) => text.replace(/<saml:Assertion.*<\/saml:Assertion>/, ''),
      1433,
      /0 assertions/,
    ],
    [
      'with an assertion that is not signed',
      (text) => text.replace(/<ds:Signature.*<\/ds:Signature>/, ''),
      1433,
      /is not signed/,
    ],
    [
      'with a signed response around an assertion that is not',
      (text) =>
        sign(text.replace(/<ds:Signature.*<\/ds:Signature>/, ''), keys.privateKey, {
          of: 'Response',
        }),
      1433,
      /not responses alone/,
    ],
    [
      'whose own signature is wrong, though that of the assertion is right',
      (text) => sign(text, keys.privateKey, { of: 'Response' }).replace(/IssueInstant="[^"]*"/, ''),
      1433,
      /no key of the provider/,
    ],
    [
      'that is signed, around an assertion by a key that is not known',
      () => sign(signedResponse(otherKeys), keys.privateKey, { of: 'Response' }),
      1433,
      /no key of the provider/,
    ],
    [
      'that is signed with SHA-1, though the assertion is not',
      (text) => sign(text, keys.privateKey, { of: 'Response', algorithm: RSA_SHA1 }),
      1433,
      /rsa-sha1"/,
    ],
    [
      'with another destination',
      (text) => text.replace('Destination="https://gateway.', 'Destination="https://other.'),
      1434,
      /"https:\/\/other.example/,
    ],
    [
      'that is signed and has no destination',
      (text) => sign(text.replace(/ Destination="[^"]*"/, ''), keys.privateKey, { of: 'Response' }),
      1434,
      /is for nothing/,
    ],
    [
      'of another provider',
      (text) => text.replace('>https://idp.example/saml<', '>https://idp.evil/saml<'),
      1435,
      /from "https:\/\/idp.evil\/saml"/,
    ],
    [
      'that nobody asked for',
      (text) => text.replace(` InResponseTo="${REQUEST}"`, ''),
      1436,
      /started at the provider, not here/,
    ],
    [
      'to another request',
      (text) => text.replace(`InResponseTo="${REQUEST}"`, 'InResponseTo="_request-2"'),
      1436,
      /not belong to the one this browser started/,
    ],
  ])('%s', async (_name, change, id, words) => {
    const text = change(good)
    expect(text).not.toBe(good)
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(id, words))
  })

  it('if the browser started none', async () => {
    const text = signedResponse(keys, { inResponseTo: '', subjectInResponseTo: '' })
    await expect(finishField(base64(text), {}, '')).rejects.toMatchObject(refusal(1436, /not here/))
    const nameless = text.replace('<samlp:Response', '<samlp:Response InResponseTo=""')
    await expect(finishField(base64(nameless), {}, '')).rejects.toMatchObject(
      refusal(1436, /this browser/),
    )
  })
})

describe('a signature is refused', () => {
  const XSLT = 'http://www.w3.org/TR/1999/REC-xslt-19991116'
  const XPATH = 'http://www.w3.org/TR/1999/REC-xpath-19991116'
  const INCLUSIVE = 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315'
  it.each<[string, () => [key: string, options: SigningOptions], RegExp]>([
    ['by a key that is not known', () => [otherKeys.privateKey, {}], /no key of the provider/],
    [
      'by such a key, though it brings its certificate along',
      () => [otherKeys.privateKey, { certificate: otherKeys.certificate }],
      /no key of the provider/,
    ],
    ['with SHA-1', () => [keys.privateKey, { algorithm: RSA_SHA1 }], /rsa-sha1"/],
    ['with a digest by SHA-1', () => [keys.privateKey, { digest: SHA1 }], /sha1"/],
    [
      'with an HMAC whose secret is the public certificate',
      () => [keys.certificate, { algorithm: HMAC_SHA1 }],
      /hmac-sha1"/,
    ],
    ['with an XSLT', () => [keys.privateKey, { transforms: [ENVELOPED, XSLT] }], /xslt/],
    ['with an XPath', () => [keys.privateKey, { transforms: [ENVELOPED, XPATH] }], /xpath/],
    [
      'with three transforms',
      () => [keys.privateKey, { transforms: [ENVELOPED, EXCLUSIVE, EXCLUSIVE] }],
      /other parts/,
    ],
    [
      'with another transform in the place of the first',
      () => [keys.privateKey, { transforms: [EXCLUSIVE, EXCLUSIVE] }],
      /xml-exc-c14n#", and only/,
    ],
    [
      'that says SHA-1 in a place where the library looks first, and SHA-256 where it belongs',
      () => [keys.privateKey, { algorithm: RSA_SHA1, nestedMethod: true }],
      /parts that it should not have/,
    ],
    [
      'with a list of prefixes that is too long',
      () => [keys.privateKey, { prefixes: Array.from({ length: 129 }, () => 'x') }],
      /too long/,
    ],
    ['with one transform', () => [keys.privateKey, { transforms: [ENVELOPED] }], /other parts/],
    [
      'with inclusive canonicalization',
      () => [keys.privateKey, { transforms: [ENVELOPED, INCLUSIVE] }],
      /xml-c14n-20010315"/,
    ],
    [
      'with comments as part of what is signed',
      () => [keys.privateKey, { transforms: [ENVELOPED, `${EXCLUSIVE}WithComments`] }],
      /WithComments"/,
    ],
    [
      'that is canonicalized in another way itself',
      () => [keys.privateKey, { canonicalization: `${EXCLUSIVE}WithComments` }],
      /WithComments"/,
    ],
    ['of the whole document', () => [keys.privateKey, { emptyUri: true }], /not about the part/],
  ])('%s', async (_name, how, words) => {
    const text = sign(responseXml(answer()), ...how())
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(1433, words))
  })
})

describe('an assertion is refused', () => {
  it.each<[string, Partial<SamlAnswer>, number, RegExp]>([
    ['for another application', { audiences: [['https://other.example']] }, 1434, /other.example/],
    ['for no application', { audiences: [] }, 1434, /is for nothing/],
    [
      'that also has to be for another one',
      { audiences: [[GATEWAY], ['https://other.example']] },
      1434,
      /for "https:\/\/other.example", and/,
    ],
    ['for another recipient', { recipient: 'https://other.example/acs' }, 1434, /other.example/],
    ['for no recipient', { recipient: '' }, 1434, /is for nothing/],
    ['by another provider', { issuer: 'https://idp.evil/saml' }, 1435, /idp.evil/],
    ['by nobody', { issuer: '' }, 1435, /from ""/],
    ['that nobody asked for', { subjectInResponseTo: '' }, 1436, /started at the provider/],
    ['to another request', { subjectInResponseTo: '_request-2' }, 1436, /this browser started/],
    ['that is over', { notOnOrAfter: at(-SKEW_SECONDS) }, 1437, /was valid until 2026-03-01 11:59/],
    ['whose bearer is over', { subjectNotOnOrAfter: at(-SKEW_SECONDS) }, 1437, /was valid until/],
    ['whose session is over', { sessionNotOnOrAfter: at(-SKEW_SECONDS) }, 1437, /valid until/],
    ['that has not begun', { notBefore: at(SKEW_SECONDS + 1) }, 1437, /valid from .* 12:01:01 UTC/],
    ['of a sign-in to come', { authnInstant: at(SKEW_SECONDS + 1) }, 1437, /a sign-in at/],
    ['without an end', { subjectNotOnOrAfter: '' }, 1438, /until when/],
    [
      'with an end that is no time',
      { notOnOrAfter: 'never' },
      1438,
      /is "never", which is no time/,
    ],
    ['with an end in local time', { notOnOrAfter: '2026-03-01T12:05:00' }, 1438, /no time in UTC/],
    ['with a zone', { notOnOrAfter: '2026-03-01T12:05:00+02:00' }, 1438, /no time in UTC/],
    ['that does not say when', { authnInstant: '' }, 1438, /when you signed in/],
    ['with a condition nobody knows', { conditions: '<saml:Condition/>' }, 1438, /a condition/],
    ['whose holder has to prove a key', { method: 'urn:holder-of-key' }, 1438, /\(bearer\)/],
    ['with an encrypted attribute', { more: '<saml:EncryptedAttribute/>' }, 1432, /encryption/],
    [
      'with advice that is an assertion',
      { more: '<saml:Advice><saml:Assertion/></saml:Advice>' },
      1433,
      /2 assertions/,
    ],
    ['with an ID that has a quote', { assertionId: "_a'b" }, 1433, /cannot be used/],
    ['with the ID of the response', { responseId: '_assertion-1' }, 1433, /the same ID/],
    ['without a name', { nameId: '' }, 1438, /no NameID/],
    ['with an element in the name', { nameId: 'ana<saml:x/>' }, 1438, /no NameID/],
    [
      'with a name for once only',
      { nameIdFormat: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient' },
      1438,
      /changes each time/,
    ],
    ['of somebody of the system', { nameId: 'system:admin' }, 1408, /belong to Kubernetes/],
    ['with a space around the name', { nameId: ' ana' }, 1408, /white space around/],
    ['with a line break in the name', { nameId: 'ana&#10;x' }, 1408, /only printable ASCII/],
    ['with another alphabet', { nameId: 'аna' }, 1408, /only printable ASCII/],
    [
      'with a group of the system',
      { attributes: [['groups', ['dev', 'system:masters']]] },
      1408,
      /the group "system:masters" is refused/,
    ],
    ['with an empty group', { attributes: [['groups', ['']]] }, 1438, /"groups" that is empty/],
    [
      'with an element in a group',
      { attributes: [['groups', ['dev<b>ops</b>']]] },
      1438,
      /no text/,
    ],
    [
      'with a link in place of the groups',
      { attributes: [['http://schemas.microsoft.com/claims/groups.link', ['https://x']]] },
      1409,
      /too many/,
    ],
  ])('%s', async (_name, changes, id, words) => {
    const text = signedResponse(keys, changes)
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(id, words))
  })

  const statement = /<saml:AuthnStatement.*<\/saml:AuthnStatement>/
  it.each<[string, (assertion: string) => string, number, RegExp]>([
    [
      'of another version',
      (text) => text.replace('Version="2.0"', 'Version="1.1"'),
      1438,
      /SAML 2.0/,
    ],
    [
      'without conditions',
      (text) => text.replace(/<saml:Cond.*Conditions>/, ''),
      1438,
      /no Conditions/,
    ],
    ['with no sign-in', (text) => text.replace(statement, ''), 1438, /no AuthnStatement/],
    [
      'with two sign-ins',
      (text) => text.replace(statement, '$&$&'),
      1438,
      /more than one AuthnStat/,
    ],
    [
      'about two people',
      (text) => text.replace(/<saml:NameID.*NameID>/, '$&$&'),
      1438,
      /no NameID/,
    ],
    [
      'with two bearers',
      (text) => text.replace(/<saml:SubjectConfirmation .*SubjectConfirmation>/, '$&$&'),
      1438,
      /in one way/,
    ],
    [
      'whose bearer has not begun',
      (text) => text.replace('Data ', `Data NotBefore="${at(SKEW_SECONDS + 1)}" `),
      1437,
      /is valid from/,
    ],
  ])('%s', async (_name, change, id, words) => {
    const assertion = change(assertionXml(answer()))
    const text = sign(responseXml(answer(), assertion), keys.privateKey)
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(id, words))
  })

  it.each<[string, Partial<SamlConfig>, Partial<SamlAnswer>, number, RegExp]>([
    [
      'of a sign-in that is too long ago',
      { maxAuthenticationAgeSeconds: 3600 },
      { authnInstant: at(-3601 - SKEW_SECONDS) },
      1437,
      /too long ago/,
    ],
    [
      'without the attribute that names a user',
      { usernameAttribute: 'login' },
      {},
      1438,
      /"login"/,
    ],
    [
      'with two names',
      { usernameAttribute: 'login' },
      { attributes: [['login', ['ana', 'root']]] },
      1438,
      /with one value/,
    ],
    [
      'with an extra that no header can carry',
      { extraAttributes: { dept: 'dept' } },
      { attributes: [['dept', ['a&#10;b']]] },
      1408,
      /attribute "dept"/,
    ],
  ])('%s, if so configured', async (_name, config, changes, id, words) => {
    const text = signedResponse(keys, changes)
    await expect(finishField(base64(text), config)).rejects.toMatchObject(refusal(id, words))
  })
})
