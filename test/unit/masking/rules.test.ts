import { describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { compileMaskRules, createMasker, mergeMaskSpecs } from '../../../lib/masking/masker.ts'
import { ibanLengths } from './reference.ts'
import { bytesOf, maskText, rulesFor } from './whole.ts'

function refusal(spec: Parameters<typeof compileMaskRules>[0]): GatewayError {
  try {
    compileMaskRules(spec)
  } catch (error) {
    if (GatewayError.is(error)) return error
    throw error
  }
  throw new Error('was not refused')
}

const OK = { name: 'ok', pattern: 'a' }

describe('compileMaskRules refuses', () => {
  it.each([
    {
      name: 'an unknown detector',
      spec: { detectors: ['Email', 'email'] },
      want: 'masking.detectors[1]: "email" is no detector; use one of Email, Phone, CreditCard, Iban, IpAddress',
    },
    {
      name: 'look-ahead',
      spec: { patterns: [OK, { name: 'b', pattern: '(?=x)y' }] },
      want: /^masking\.patterns\[1\]\.pattern: .*no look-ahead or look-behind: match the neighbours/,
    },
    {
      name: 'look-behind',
      spec: { patterns: [{ name: 'b', pattern: '(?<!x)y' }] },
      want: /^masking\.patterns\[0\]\.pattern: .*no look-ahead or look-behind/,
    },
    {
      name: 'a back-reference',
      spec: { patterns: [{ name: 'b', pattern: '(a)\\1' }] },
      want: /^masking\.patterns\[0\]\.pattern: .*no back-references: write out/,
    },
    {
      name: 'an open group',
      spec: { patterns: [{ name: 'b', pattern: '(a' }] },
      want: /^masking\.patterns\[0\]\.pattern: .*the syntax is RE2/,
    },
    {
      name: 'an empty pattern',
      spec: { patterns: [{ name: 'b', pattern: '' }] },
      want: /patterns\[0\]\.pattern: is empty/,
    },
    {
      name: 'an empty name',
      spec: { patterns: [{ name: '', pattern: 'a' }] },
      want: /patterns\[0\]\.name: is empty/,
    },
    {
      name: "a detector's name",
      spec: { patterns: [{ name: 'Iban', pattern: 'a' }] },
      want: /patterns\[0\]\.name: "Iban" is a detector's name/,
    },
    {
      name: 'an endless pattern',
      spec: { patterns: [{ name: 'b', pattern: 'a'.repeat(1001) }] },
      want: /patterns\[0\]\.pattern: is longer than 1000 characters/,
    },
    {
      name: 'a huge repetition',
      spec: { patterns: [{ name: 'b', pattern: '(a{1000}){1000}' }] },
      want: /patterns\[0\]\.pattern: /,
    },
  ])('$name', ({ spec, want }) => {
    const error = refusal(spec)
    expect(error.reason).toBe('Invalid')
    expect(error.message).toMatch(want)
    expect(error.causes[0]?.field).toBe(error.message.split(':')[0])
  })

  it('an unknown mode', () => {
    const spec = JSON.parse('{"mode":"Label"}') as Parameters<typeof compileMaskRules>[0]
    expect(refusal(spec).message).toBe('masking.mode: "Label" is not known; use Redact')
  })
})

describe('the rules of several policies', () => {
  it('mask what any of them masks', () => {
    const merged = mergeMaskSpecs([
      { detectors: ['Email'], patterns: [OK], mode: 'Redact' },
      { detectors: ['IpAddress', 'Email'], patterns: [OK, { name: 'ok', pattern: 'b' }] },
      {},
    ])
    expect(merged).toEqual({
      detectors: ['Email', 'IpAddress'],
      patterns: [OK, { name: 'ok', pattern: 'b' }],
      mode: 'Redact',
    })
    expect(maskText(compileMaskRules(merged), 'x@example.com 10.0.0.1 ab +4930123456')).toBe(
      '************* ******** ** +4930123456',
    )
  })
})

describe('without any rule', () => {
  it('chunks pass as they are', () => {
    const masker = createMasker(compileMaskRules({}))
    const chunk = bytesOf('ana@example.com')
    expect(masker.push(chunk)[0]).toBe(chunk)
    expect(masker.end()).toEqual([])
    expect(masker.heldBytes).toBe(0)
  })
})

describe('the IBAN table', () => {
  it.each(Object.entries(ibanLengths()))(
    'takes %s with %i characters, and no others',
    (country, length) => {
      const rules = rulesFor(['Iban'])
      const masked = [length - 1, length, length + 1].map((size) =>
        candidates(country, size).some((text) => maskText(rules, text).includes('*')),
      )
      expect(masked).toEqual([false, true, false])
    },
  )
})

/** IBANs of `size` characters with right check digits, in every structure the registry uses. */
function candidates(country: string, size: number): string[] {
  const n = size - 4
  const shapes = [0, 1, 2, 4].flatMap((letters) => {
    const bban = 'A'.repeat(letters) + '7'.repeat(n - letters)
    return [bban, `${bban.slice(0, -2)}A7`, `${bban.slice(0, -3)}AAA`]
  })
  return shapes.map((bban) => {
    const digits = `${bban}${country}00`.replaceAll(/[A-Z]/g, (letter) =>
      String(letter.charCodeAt(0) - 55),
    )
    const check = 98n - (BigInt(digits) % 97n)
    return `${country}${check.toString().padStart(2, '0')}${bban}`
  })
}
