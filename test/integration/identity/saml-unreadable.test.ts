/** What is refused before anybody looks whether it is signed: it cannot be read in one way only. */
import { deflateRawSync } from 'node:zlib'

import { beforeAll, describe, expect, it } from '@jest/globals'

import type { SamlSignIn } from '../../../lib/identity/saml.ts'
import { createSamlKeys, type SamlKeys } from '../../fakes/saml-idp.ts'
import { base64, refusal, REQUEST, samlProvider, signedResponse } from './saml-bed.ts'

let keys: SamlKeys
let good: string

beforeAll(async () => {
  keys = await createSamlKeys()
  good = signedResponse(keys)
})

function finishField(field: unknown): Promise<SamlSignIn> {
  return samlProvider(keys).finish({ SAMLResponse: field as string }, REQUEST)
}

it('the good response is read', async () => {
  await expect(finishField(base64(good))).resolves.toMatchObject({ nameId: 'ana@corp.example' })
})

describe('what comes with the form is not read', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['if it is not there', () => undefined, /it is missing/],
    ['if it is there twice', () => [base64(good), base64(good)], /it is missing/],
    ['if it is empty', () => '', /not base64/],
    ['if something follows the base64', () => `${base64(good)}!`, /not base64/],
    ['if something follows the end of the base64', () => 'PGE+PA==PGE+PA==', /not base64/],
    ['if its base64 is cut', () => base64(good).slice(0, -3), /not base64/],
    ['if it is the XML itself', () => good, /not base64/],
    ['if it is deflated', () => deflateRawSync(good).toString('base64'), /not UTF-8/],
    [
      'if it is small, and would inflate to much',
      () => deflateRawSync(Buffer.alloc(50_000_000, 'a')).toString('base64'),
      /not UTF-8/,
    ],
    [
      'if it is in another encoding',
      () => Buffer.from(good.replace('ana@', 'ána@'), 'latin1').toString('base64'),
      /not UTF-8/,
    ],
    ['if it is UTF-16', () => Buffer.from(good, 'utf16le').toString('base64'), /does not allow/],
    ['if it has more than 256 KiB', () => base64(`${good}${' '.repeat(262_144)}`), /larger than/],
    ['if it is too large to be decoded', () => 'A'.repeat(800_000), /too large/],
  ])('%s', async (_name, field, words) => {
    await expect(finishField(field())).rejects.toMatchObject(refusal(1430, words))
  })
})

describe('XML is not read', () => {
  const name = 'ana@corp.example'
  const entity = '<!DOCTYPE r [<!ENTITY n "root@corp.example">]>'
  it.each<[string, (text: string) => string, RegExp]>([
    ['with a comment in the name', (text) => text.replace('corp.', 'corp.<!---->'), /a comment/],
    ['with a CDATA section', (text) => text.replace(name, `<![CDATA[${name}]]>`), /CDATA/],
    ['with an instruction', (text) => text.replace(name, `<?x ${name}?>`), /instructions/],
    ['with a document type', (text) => `<!DOCTYPE r>${text}`, /document type/],
    ['with one in small letters', (text) => `<!doctype r>${text}`, /document type/],
    ['with an entity', (text) => `${entity}${text.replace(name, '&n;')}`, /document type/],
    [
      'with an entity from elsewhere',
      (text) => `<!DOCTYPE r SYSTEM "file:///etc/passwd">${text}`,
      /document type/,
    ],
    ['with an entity that nobody declares', (text) => text.replace(name, '&n;'), /well-formed/],
    [
      'with a declared encoding that is not UTF-8',
      (text) => `<?xml version="1.0" encoding="ISO-8859-1"?>${text}`,
      /encoding/,
    ],
    [
      'with a prefix nobody declares',
      (text) => text.replace('<samlp:Status', '<x:y/>$&'),
      /prefix/,
    ],
    [
      'with an attribute without quotes',
      (text) => text.replace('Version="2.0"', 'Version=2.0'),
      /well-formed/,
    ],
    ['with an attribute twice', (text) => text.replace(' ID=', ' ID="_x" ID='), /well-formed/],
    [
      'with an element that does not end',
      (text) => text.replace('<samlp:Status', '<y>$&'),
      /well-formed/,
    ],
    ['with a second root', (text) => `${text}<x/>`, /well-formed/],
    ['with text before the root', (text) => `x${text}`, /text around/],
    ['with text behind the root', (text) => `${text}x`, /text around/],
    ['with a control character', (text) => text.replace('corp.', 'corp.\0'), /does not allow/],
    [
      'with elements nested too deeply',
      (text) => text.replace('<samlp:Status', `${'<y>'.repeat(64)}${'</y>'.repeat(64)}$&`),
      /nested too deeply/,
    ],
    [
      'with too many elements',
      (text) => text.replace('<samlp:Status', `${'<y/>'.repeat(1_025)}$&`),
      /too many elements/,
    ],
    [
      'with too many elements of different names',
      (text) =>
        text.replace(
          '<samlp:Status',
          `${Array.from({ length: 200 }, (_, index) => `<y${index}/>`).join('')}$&`,
        ),
      /too many elements/,
    ],
    [
      'with too many elements in several places',
      (text) => text.replace('<samlp:Status', `${`<y>${'<z/>'.repeat(1000)}</y>`.repeat(3)}$&`),
      /too many elements/,
    ],
    [
      'with too many attributes',
      (text) =>
        text.replace(
          '<samlp:Status',
          `<y ${Array.from({ length: 5000 }, (_, index) => `a${index}=""`).join(' ')}/>$&`,
        ),
      /too many elements or attributes/,
    ],
  ])('%s', async (_name, change, words) => {
    const text = change(good)
    expect(text).not.toBe(good)
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(1430, words))
  })

  it('with a comment in the name, even where that was signed', async () => {
    const text = signedResponse(keys, { nameId: 'ana@corp.example<!---->.evil.example' })
    await expect(finishField(base64(text))).rejects.toMatchObject(refusal(1430, /a comment/))
  })
})
