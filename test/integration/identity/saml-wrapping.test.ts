/**
 * XML signature wrapping: a response the provider has signed is taken apart and put together anew,
 * with somebody else's name where a careless reader looks (Somorovsky et al., "On Breaking SAML",
 * USENIX Security 2012; XSW1 to XSW8 as they are numbered there and in SAML Raider).
 *
 * Each is told twice: what the gateway says to it, and that even without the gateway's rules about
 * the shape of a response, what the signature check gives back never has the wrong name in it.
 */
import { beforeAll, describe, expect, it } from '@jest/globals'

import { verifySignature } from '../../../lib/identity/saml-signature.ts'
import { createSamlKeys, type SamlKeys, sign } from '../../fakes/saml-idp.ts'
import {
  base64,
  refusal,
  REQUEST,
  samlConfig,
  samlProvider,
  SUCCESS,
  signedResponse,
} from './saml-bed.ts'

const DENIED =
  '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode>'

let keys: SamlKeys
/** With a signed assertion; with a signed response around one; a signed refusal without one. */
let good: string
let bothSigned: string
let denial: string

beforeAll(async () => {
  keys = await createSamlKeys()
  good = signedResponse(keys)
  bothSigned = sign(good, keys.privateKey, { of: 'Response' })
  const empty = good.replace(assertionOf(good), '')
  denial = sign(empty.replace(SUCCESS, DENIED), keys.privateKey, { of: 'Response' })
})

function elementOf(text: string, name: string): string {
  const start = text.indexOf(`<${name}`)
  return text.slice(start, text.indexOf(`</${name}>`, start) + name.length + 3)
}

const assertionOf = (text: string): string => elementOf(text, 'saml:Assertion')
/** The first: of the response where that is signed, else of the assertion. */
const signatureOf = (text: string): string => elementOf(text, 'ds:Signature')
const unsigned = (text: string): string => text.replace(signatureOf(text), '')

/** The same with another name and another ID. */
function forged(text: string): string {
  return text
    .replaceAll('ana@corp.example', 'root@corp.example')
    .replace('ID="_assertion-1"', 'ID="_assertion-2"')
    .replace('ID="_response-1"', 'ID="_response-2"')
}

/** With `more` as the last child of the element. */
function inside(element: string, more: string): string {
  const end = element.lastIndexOf('</')
  return `${element.slice(0, end)}${more}${element.slice(end)}`
}

const object = (content: string): string => `<ds:Object>${content}</ds:Object>`
const extensions = (content: string): string => `<samlp:Extensions>${content}</samlp:Extensions>`

/** The good response with something else in the place of its assertion. */
function withAssertion(change: (assertion: string) => string): string {
  return good.replace(assertionOf(good), change(assertionOf(good)))
}

/** A forged response around the signature of the good one, which is kept in `place`. */
function forgedResponse(place: (signature: string, original: string) => string): string {
  const signature = signatureOf(bothSigned)
  return forged(bothSigned).replace(signature, place(signature, unsigned(bothSigned)))
}

const ATTACKS: [string, () => string, number, RegExp][] = [
  [
    'XSW1: the signed response inside the signature of a forged one',
    () => forgedResponse((signature, original) => inside(signature, original)),
    1433,
    /2 assertions/,
  ],
  [
    'XSW2: the signed response beside the signature of a forged one',
    () => forgedResponse((signature, original) => `${original}${signature}`),
    1433,
    /2 assertions/,
  ],
  [
    'XSW3: a forged assertion before the signed one',
    () => withAssertion((signed) => `${forged(unsigned(signed))}${signed}`),
    1433,
    /2 assertions/,
  ],
  [
    'XSW3 the other way round: behind it',
    () => withAssertion((signed) => `${signed}${forged(unsigned(signed))}`),
    1433,
    /2 assertions/,
  ],
  [
    'XSW4: the signed assertion inside a forged one',
    () => withAssertion((signed) => inside(forged(unsigned(signed)), signed)),
    1433,
    /2 assertions/,
  ],
  [
    'XSW5: a forged assertion with the signature, the signed one at the end',
    () => withAssertion((signed) => `${forged(signed)}${unsigned(signed)}`),
    1433,
    /2 assertions/,
  ],
  [
    'XSW6: a forged assertion with the signature, and the signed one in that',
    () =>
      withAssertion((signed) => {
        const signature = signatureOf(signed)
        return forged(signed).replace(signature, inside(signature, unsigned(signed)))
      }),
    1433,
    /2 assertions/,
  ],
  [
    'XSW7: a forged assertion in Extensions',
    () => withAssertion((signed) => `${extensions(forged(unsigned(signed)))}${signed}`),
    1433,
    /2 assertions/,
  ],
  [
    'XSW8: a forged assertion with the signature, and the signed one in an Object of that',
    () =>
      withAssertion((signed) => {
        const signature = signatureOf(signed)
        return forged(signed).replace(signature, inside(signature, object(unsigned(signed))))
      }),
    1433,
    /2 assertions/,
  ],
  [
    'a forged assertion in place, the signed one under another name in Extensions',
    () =>
      withAssertion(
        (signed) =>
          `${extensions(signed.replaceAll('saml:Assertion', 'saml:Advice'))}${forged(unsigned(signed))}`,
      ),
    1433,
    /is not signed/,
  ],
  [
    'a forged assertion with the signature, the signed one elsewhere under another name',
    () =>
      withAssertion(
        (signed) =>
          `${extensions(unsigned(signed).replaceAll('saml:Assertion', 'saml:Advice'))}${signed.replace('ana@', 'root@')}`,
      ),
    1433,
    /two of its parts have the same ID/,
  ],
  [
    'the same, with the ID spelled in another way',
    () =>
      withAssertion(
        (signed) =>
          `${extensions('<samlp:Part Id="_assertion-1"/>')}${signed.replace('ana@', 'root@')}`,
      ),
    1433,
    /two of its parts have the same ID/,
  ],
  [
    'a signed refusal with a forged assertion inside the Object of its signature',
    () =>
      denial.replace(
        signatureOf(denial),
        inside(signatureOf(denial), object(forged(unsigned(assertionOf(good))))),
      ),
    1431,
    /could not confirm who you are/,
  ],
  [
    'a signed refusal that says success, with the forged assertion in its place',
    () => inside(denial.replace(DENIED, SUCCESS), forged(unsigned(assertionOf(good)))),
    1433,
    /is not signed/,
  ],
  [
    'a signed response without an assertion, with a forged one inside the Object of its signature',
    () => {
      const none = good.replace(assertionOf(good), '')
      const signed = sign(none, keys.privateKey, { of: 'Response' })
      const content = object(forged(unsigned(assertionOf(good))))
      return signed.replace(signatureOf(signed), inside(signatureOf(signed), content))
    },
    1433,
    /not in its place/,
  ],
  [
    'another name in the signed assertion',
    () => good.replace('ana@', 'root@'),
    1433,
    /no key of the provider/,
  ],
  [
    'another name in what a signed response has inside, the assertion signed by somebody else',
    () => bothSigned.replace('ana@', 'root@'),
    1433,
    /no key of the provider/,
  ],
  [
    'another name inside the signature, where nothing is signed',
    () =>
      good.replace(
        signatureOf(good),
        inside(signatureOf(good), object('<saml:NameID>root@corp.example</saml:NameID>')),
      ),
    1433,
    /a signature has other parts/,
  ],
  [
    'an assertion of another namespace',
    () =>
      withAssertion((signed) =>
        forged(signed).replace('oasis:names:tc:SAML:2.0:assertion', 'example:assertion'),
      ),
    1433,
    /not in its place/,
  ],
  [
    'a signature of another namespace',
    () => good.replace('http://www.w3.org/2000/09/xmldsig#"', 'http://www.example/xmldsig#"'),
    1433,
    /is not signed/,
  ],
  [
    'the signature twice',
    () => good.replace(signatureOf(good), (signature) => `${signature}${signature}`),
    1433,
    /signatures in places where none belong/,
  ],
  [
    'a second signature in the KeyInfo of the first',
    () =>
      good.replace(
        signatureOf(good),
        inside(signatureOf(good), `<ds:KeyInfo>${signatureOf(good)}</ds:KeyInfo>`),
      ),
    1433,
    /signatures in places where none belong/,
  ],
  [
    'a second SignedInfo in the signature',
    () =>
      good.replace(signatureOf(good), inside(signatureOf(good), elementOf(good, 'ds:SignedInfo'))),
    1433,
    /a signature has other parts/,
  ],
  [
    'a second DigestValue in its reference',
    () => good.replace('<ds:DigestValue>', '<ds:DigestValue>AAAA</ds:DigestValue><ds:DigestValue>'),
    1433,
    /a signature has other parts/,
  ],
]

describe('XML signature wrapping', () => {
  it('starts from responses that are good', async () => {
    for (const text of [good, bothSigned]) {
      const signIn = await samlProvider(keys).finish({ SAMLResponse: base64(text) }, REQUEST)
      expect(signIn.nameId).toBe('ana@corp.example')
    }
  })

  it.each(ATTACKS)('%s', async (_name, attack, id, words) => {
    const text = attack()
    expect([good, bothSigned, denial]).not.toContain(text)
    const finished = samlProvider(keys).finish({ SAMLResponse: base64(text) }, REQUEST)
    await expect(finished).rejects.toMatchObject(refusal(id, words))
  })

  it.each(ATTACKS)('past the rules about shape: %s', async (_name, attack) => {
    const text = attack()
    const config = samlConfig([keys.certificate])
    const signed = await verifySignature(text, config, false).catch(() => 'refused')
    expect(signed).not.toContain('root@')
  })
})
