/** SAML sign-ins as they should be: each differs from the plain one in what its sentence says. */
import { inflateRawSync } from 'node:zlib'

import { beforeAll, describe, expect, it } from '@jest/globals'

import { createAuthority } from '../../../lib/cluster/pki.ts'
import { createSamlProvider, type SamlConfig, type SamlSignIn } from '../../../lib/identity/saml.ts'
import {
  assertionXml,
  createSamlKeys,
  responseXml,
  type SamlAnswer,
  type SamlKeys,
  sign,
  type SigningOptions,
} from '../../fakes/saml-idp.ts'
import {
  ACS,
  answer,
  at,
  base64,
  createSpentRecord,
  GATEWAY,
  IDP,
  NOW,
  PASSWORD,
  REQUEST,
  samlConfig,
  samlProvider,
  signedResponse,
  SKEW_SECONDS,
} from './saml-bed.ts'

const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'
const SHA512 = 'http://www.w3.org/2001/04/xmlenc#sha512'
const RSA_SHA512 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512'

const ANA = {
  person: {
    username: 'ana@corp.example',
    groups: ['dev', 'ops'],
    extra: {},
    issuer: IDP,
    signIn: { at: NOW - 10_000, acr: PASSWORD, amr: [] },
  },
  nameId: 'ana@corp.example',
  sessionIndex: '_session-1',
}

let keys: SamlKeys
let newKeys: SamlKeys

beforeAll(async () => {
  keys = await createSamlKeys()
  newKeys = await createSamlKeys()
})

function finish(text: string, changes: Partial<SamlConfig> = {}): Promise<SamlSignIn> {
  return samlProvider(keys, changes).finish({ SAMLResponse: base64(text) }, REQUEST)
}

describe('a SAML sign-in says', () => {
  it.each<[string, Partial<SamlAnswer>, Partial<SamlConfig>, object]>([
    ['who signed in, when and how', {}, {}, ANA],
    ['a name with spaces inside', { nameId: 'Ana Lima' }, {}, { username: 'Ana Lima' }],
    ['a name with an escaped character', { nameId: 'r&amp;d' }, {}, { username: 'r&d' }],
    [
      'a name with the prefix of its provider, where one of the system is harmless',
      { nameId: 'system:admin' },
      { usernamePrefix: 'corp:' },
      { username: 'corp:system:admin' },
    ],
    [
      'the name that the configured attribute has',
      { attributes: [['login', ['ana']]] },
      { usernameAttribute: 'login' },
      { username: 'ana', groups: [] },
    ],
    [
      'a uid, where the NameID is made to last',
      { nameId: 'u-4711', nameIdFormat: PERSISTENT },
      {},
      { username: 'u-4711', uid: 'u-4711' },
    ],
    ['no groups, where there is no such attribute', { attributes: [] }, {}, { groups: [] }],
    ['one group', { attributes: [['groups', ['dev']]] }, {}, { groups: ['dev'] }],
    [
      'each group once, from all attributes of the name, with the prefix',
      {
        attributes: [
          ['groups', ['dev', 'Team Red', 'dev']],
          ['roles', ['admin']],
          ['groups', ['ops']],
        ],
      },
      { groupsPrefix: 'corp:' },
      { groups: ['corp:dev', 'corp:Team Red', 'corp:ops'] },
    ],
    [
      'the extras that are configured and said',
      { attributes: [['https://corp.example/dept', ['sales', 'R&amp;D']]] },
      { extraAttributes: { dept: 'https://corp.example/dept', cost: 'cost' } },
      { extra: { dept: ['sales', 'R&D'] } },
    ],
    [
      'nothing by attributes with elements inside, if nobody asks for them',
      { attributes: [['targetedId', ['<saml:NameID>x</saml:NameID>']]] },
      {},
      { groups: [] },
    ],
    [
      'nothing about how, where the provider does not',
      { acr: '' },
      {},
      { signIn: { at: NOW - 10_000, amr: [] } },
    ],
  ])('%s', async (_name, changes, config, expected) => {
    const signIn = await finish(signedResponse(keys, changes), config)
    if (expected === ANA) expect(signIn).toEqual(ANA)
    else expect(signIn.person).toMatchObject(expected)
  })

  it('when the session of the provider ends', async () => {
    const text = signedResponse(keys, { sessionNotOnOrAfter: at(3600), sessionIndex: '' })
    expect(await finish(text)).toEqual({
      person: ANA.person,
      nameId: ANA.nameId,
      endsAt: NOW + 3_600_000,
    })
  })

  it('no group for a value that is nil', async () => {
    const assertion = assertionXml(answer({ attributes: [['groups', ['']]] })).replace(
      'xsi:type="xs:string"',
      'xsi:nil="true"',
    )
    const text = sign(responseXml(answer(), assertion), keys.privateKey)
    expect((await finish(text)).person.groups).toEqual([])
  })

  it('a thousand groups', async () => {
    const groups = Array.from({ length: 1000 }, (_, index) => `group-${index}`)
    const text = signedResponse(keys, { attributes: [['groups', groups]] })
    expect((await finish(text)).person.groups).toHaveLength(1000)
  })
})

describe('a SAML response is good', () => {
  it.each<[string, (text: string) => string, () => SigningOptions]>([
    ['with SHA-512', (text) => text, () => ({ algorithm: RSA_SHA512, digest: SHA512 })],
    [
      'with a list of prefixes in its transform',
      (text) => text,
      () => ({ prefixes: ['xs', 'xsi'] }),
    ],
    ['with its certificate inside', (text) => text, () => ({ certificate: keys.certificate })],
    ['without prefixes', withoutPrefixes, () => ({ prefix: '' })],
    ['in several lines', (text) => text.replaceAll('><', '>\n  <'), () => ({})],
    [
      'behind an XML declaration',
      (text) => `<?xml version="1.0" encoding="UTF-8"?>\n${text}`,
      () => ({}),
    ],
    ['without a destination', (text) => text.replace(/ Destination="[^"]*"/, ''), () => ({})],
    [
      'without an issuer of its own',
      (text) => text.replace(/<saml:Issuer xmlns.*?<\/saml:Issuer>/, ''),
      () => ({}),
    ],
  ])('%s', async (_name, change, options) => {
    const text = sign(change(responseXml(answer())), keys.privateKey, options())
    expect(await finish(text)).toEqual(ANA)
  })

  it('where the response is signed as well as the assertion', async () => {
    const text = sign(signedResponse(keys), keys.privateKey, { of: 'Response' })
    expect(text.match(/<ds:Signature /g)).toHaveLength(2)
    expect(await finish(text)).toEqual(ANA)
  })

  it('in base64 with line breaks', async () => {
    const lines = base64(signedResponse(keys)).match(/.{1,76}/g) ?? []
    const signIn = await samlProvider(keys).finish({ SAMLResponse: lines.join('\r\n') }, REQUEST)
    expect(signIn).toEqual(ANA)
  })

  it.each<[string, () => SamlKeys]>([
    ['old', () => keys],
    ['new', () => newKeys],
  ])('with the %s key during a rotation', async (_name, signer) => {
    const both = `${newKeys.certificate}\n${keys.certificate}`
    const text = signedResponse(signer())
    expect(await finish(text, { certificates: [both] })).toEqual(ANA)
    expect(
      await finish(text, { certificates: both.split(/(?<=-----END CERTIFICATE-----)\n/) }),
    ).toEqual(ANA)
  })

  it.each<[string, Partial<SamlAnswer>]>([
    [
      'just not over',
      { notOnOrAfter: at(1 - SKEW_SECONDS), subjectNotOnOrAfter: at(1 - SKEW_SECONDS) },
    ],
    ['just begun', { notBefore: at(SKEW_SECONDS) }],
    ['without a time of its own in the conditions', { notBefore: '', notOnOrAfter: '' }],
    ['with a second audience', { audiences: [['https://other.example', GATEWAY]] }],
    ['with conditions that are met by its single use', { conditions: '<saml:OneTimeUse/>' }],
    ['with times to the tenth of a microsecond', { notOnOrAfter: '2026-03-01T12:00:00.1234567Z' }],
  ])('%s', async (_name, changes) => {
    expect(await finish(signedResponse(keys, changes))).toEqual(ANA)
  })

  it('after an authentication that is just not too old', async () => {
    const text = signedResponse(keys, { authnInstant: at(-3600 - SKEW_SECONDS) })
    const { person } = await finish(text, { maxAuthenticationAgeSeconds: 3600 })
    expect(person.signIn.at).toBe(NOW - (3600 + SKEW_SECONDS) * 1000)
  })

  it('once, and what it spends is kept for as long as it could be used', async () => {
    const spent = createSpentRecord()
    const provider = samlProvider(keys, {}, spent)
    await provider.finish({ SAMLResponse: base64(signedResponse(keys)) }, REQUEST)
    const until = NOW + (300 + SKEW_SECONDS) * 1000
    expect(spent.untils.get(`saml-assertion/${IDP}/_assertion-1`)?.getTime()).toBe(until)
    expect(spent.untils.get(`saml-request/${IDP}/${REQUEST}`)?.getTime()).toBeGreaterThan(until)
    expect(spent.untils.size).toBe(2)
  })
})

describe('a sign-in starts', () => {
  async function requestOf(options: { forceAuthn?: boolean; acr?: string[] }) {
    const started = await samlProvider(keys).start({ relayState: 'state-1', ...options })
    const url = new URL(started.url)
    const request = url.searchParams.get('SAMLRequest') ?? ''
    return { ...started, url, xml: inflateRawSync(Buffer.from(request, 'base64')).toString() }
  }

  it('at the address of the provider, with what the gateway is called', async () => {
    const { url, xml, requestId } = await requestOf({})
    expect(`${url.origin}${url.pathname}`).toBe('https://idp.example/sso')
    expect(url.searchParams.get('tenant')).toBe('7')
    expect(url.searchParams.get('RelayState')).toBe('state-1')
    expect(xml).toContain(`ID="${requestId}"`)
    expect(xml).toContain(`AssertionConsumerServiceURL="${ACS}"`)
    expect(xml).toContain(`>${GATEWAY}</saml:Issuer>`)
    expect(xml).not.toMatch(/ForceAuthn|RequestedAuthnContext|Format=/)
  })

  it('anew, and in the ways that are asked for', async () => {
    const { xml } = await requestOf({ forceAuthn: true, acr: ['urn:mfa', 'urn:key'] })
    expect(xml).toContain('ForceAuthn="true"')
    expect(xml).toMatch(/Comparison="exact".*>urn:mfa<.*>urn:key</)
  })

  it('with another id each time, long enough not to be guessed', async () => {
    const ids = await Promise.all([requestOf({}), requestOf({})])
    expect(new Set(ids.map(({ requestId }) => requestId)).size).toBe(2)
    expect(ids[0].requestId).toMatch(/^_[0-9a-f]{40}$/)
  })

  it('and ends with the answer to it', async () => {
    const provider = samlProvider(keys)
    const { requestId } = await provider.start({ relayState: 'x' })
    const text = signedResponse(keys, { inResponseTo: requestId, subjectInResponseTo: requestId })
    const signIn = await provider.finish({ SAMLResponse: base64(text) }, requestId)
    expect(signIn).toEqual(ANA)
  })
})

describe('a SAML provider', () => {
  it('has metadata that name the gateway and where responses go', () => {
    const metadata = samlProvider(keys).metadata()
    expect(metadata).toContain(`entityID="${GATEWAY}"`)
    expect(metadata).toContain(`Location="${ACS}"`)
    expect(metadata).toContain('WantAssertionsSigned="true"')
  })

  it.each<[string, () => Promise<string[]>, RegExp]>([
    ['no certificate', () => Promise.resolve([]), /there is no signing certificate/],
    ['none that is PEM', () => Promise.resolve(['MIIB']), /not PEM/],
    [
      'a damaged one',
      () => Promise.resolve(['-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----']),
      /cannot be read/,
    ],
    [
      'a key of another kind',
      async () => [(await createAuthority('signing')).certificate],
      /no RSA key/,
    ],
    [
      'a key that is too short',
      async () => [(await createSamlKeys(1024)).certificate],
      /no RSA key of 2048 bits/,
    ],
  ])('cannot be made with %s', async (_name, certificates, words) => {
    const config = samlConfig(await certificates())
    const deps = { now: () => NOW, spent: createSpentRecord() }
    expect(() => createSamlProvider(config, deps)).toThrow(words)
  })
})

/** As Microsoft's providers write it. */
function withoutPrefixes(text: string): string {
  return text
    .replace(/<saml:Issuer xmlns.*?<\/saml:Issuer>/, '')
    .replaceAll('<saml:', '<')
    .replaceAll('</saml:', '</')
    .replaceAll('xmlns:saml=', 'xmlns=')
}
