import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { createMasker } from '../../../lib/masking/masker.ts'
import { seeded } from '../../fixtures/log-text.ts'
import { phones } from './phone-reference.ts'
import { cards, emails, ibans, ipv4s, ipv6s, starsOver } from './reference.ts'
import { CREDIT_CARD, EMAIL, IBAN, IP_ADDRESS, LOG_LINES, PHONE } from './vectors.ts'
import { ALL_DETECTORS, bytesOf, maskCut, rulesFor, stripped, textOf, wholeMask } from './whole.ts'

const SAMPLES = [...EMAIL, ...PHONE, ...CREDIT_CARD, ...IBAN, ...IP_ADDRESS].map(stripped)
const PATTERNS = [
  { name: 'customer', pattern: 'CUST-[0-9]{6}' },
  { name: 'word', pattern: '\\bgeheim\\p{L}*' },
]
const RULES = rulesFor(ALL_DETECTORS)
const RULES_AND_PATTERNS = rulesFor(ALL_DETECTORS, PATTERNS)

/** Bytes that detectors care about, so that random text is full of near misses. */
const NOISE = '0123456789abcdefABCDEF@@..::--  ++()/_%\\\u001b[;m\n\r\tnux\u00fc\u6771zZ,"'

const soup = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...SAMPLES) },
      { weight: 1, arbitrary: fc.constantFrom(...LOG_LINES, 'CUST-123456', 'geheimnisvoll') },
      {
        weight: 4,
        arbitrary: fc.string({ unit: fc.constantFrom(...Array.from(NOISE)), maxLength: 12 }),
      },
    ),
    { maxLength: 24 },
  )
  .chain((parts) =>
    fc
      .array(fc.constantFrom('', '', ' ', '\n', '"', '-', ':', '.'), {
        minLength: parts.length,
        maxLength: parts.length,
      })
      .map((joints) => parts.map((part, k) => part + (joints[k] ?? '')).join('')),
  )

const weights = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

function cutsOf(size: number, fractions: readonly number[]): number[] {
  return fractions.map((fraction) => Math.floor(fraction * size))
}

describe('however the stream is cut, the output is the same', () => {
  it.each(SAMPLES.map((sample) => [sample]))('at every place of %s', (sample) => {
    for (const rules of [RULES, RULES_AND_PATTERNS]) {
      const input = bytesOf(`id 7 ${sample} x\n`)
      const want = textOf(wholeMask(rules, input).output)
      for (let cut = 0; cut <= input.length; cut += 1) {
        expect(textOf(maskCut(createMasker(rules), input, [cut]))).toBe(want)
      }
      const everywhere = Array.from({ length: input.length }, (_, cut) => cut)
      expect(textOf(maskCut(createMasker(rules), input, everywhere))).toBe(want)
    }
  })

  it('at every place of all samples run together', () => {
    const input = bytesOf(SAMPLES.join(' '))
    const want = textOf(wholeMask(RULES_AND_PATTERNS, input).output)
    for (let cut = 0; cut <= input.length; cut += 1) {
      expect(textOf(maskCut(createMasker(RULES_AND_PATTERNS), input, [cut]))).toBe(want)
    }
  }, 60_000)

  it('at random places of random text', () => {
    fc.assert(
      fc.property(soup, weights, fc.boolean(), (text, fractions, patterns) => {
        const rules = patterns ? RULES_AND_PATTERNS : RULES
        const input = bytesOf(text)
        const whole = wholeMask(rules, input)
        const masker = createMasker(rules)
        const output = maskCut(masker, input, cutsOf(input.length, fractions))
        expect(textOf(output)).toBe(textOf(whole.output))
        expect(new Map(masker.counts)).toEqual(new Map(whole.counts))
      }),
      { numRuns: 1500 },
    )
  }, 60_000)

  it('at random places, and the input may be written over', () => {
    fc.assert(
      fc.property(fc.array(soup, { minLength: 20, maxLength: 60 }), weights, (texts, fractions) => {
        const input = bytesOf(texts.join('\n'))
        const whole = wholeMask(RULES, input)
        const masker = createMasker(RULES, { inPlace: true })
        const output = maskCut(masker, input.slice(), cutsOf(input.length, fractions))
        expect(textOf(output)).toBe(textOf(whole.output))
        expect(new Map(masker.counts)).toEqual(new Map(whole.counts))
      }),
      { numRuns: 300 },
    )
  }, 60_000)

  it('at random places of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), weights, (input, fractions) => {
        const want = wholeMask(RULES, input).output
        const got = maskCut(createMasker(RULES), input, cutsOf(input.length, fractions))
        expect(Buffer.compare(got, want)).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('wherever in a large slice a match begins', () => {
    const filler = 'lorem ipsum '.repeat(2000)
    // The automaton reads two bytes at a time, in two lanes that meet after 8 KiB.
    const around = [0, 500, 8192, 16_384].flatMap((border) =>
      Array.from({ length: 41 }, (_, k) => border - 32 + k).filter((at) => at >= 0),
    )
    for (const sample of SAMPLES) {
      const line = `\n${sample}\n`
      const masked = textOf(wholeMask(RULES, bytesOf(line)).output)
      const wrong = around.filter((at) => {
        const before = filler.slice(0, at)
        const after = filler.slice(at)
        const got = textOf(wholeMask(RULES, bytesOf(before + line + after)).output)
        return got !== before + masked + after
      })
      expect({ sample, wrong }).toEqual({ sample, wrong: [] })
    }
  }, 60_000)

  it('byte by byte and in large slices of near misses', () => {
    const random = seeded(7)
    const pieces: string[] = []
    for (let size = 0; size < 60_000;) {
      const near = Array.from({ length: 20 }, () => NOISE[Math.floor(random() * NOISE.length)])
      const sample = SAMPLES[Math.floor(random() * SAMPLES.length)] ?? ''
      const piece = near.join('') + (random() < 0.5 ? sample : '')
      pieces.push(piece)
      size += piece.length
    }
    const input = bytesOf(pieces.join(''))
    const want = wholeMask(RULES, input).output
    for (const step of [1, 7, 63, 500, 1025, 16_384, 20_000]) {
      const cuts = Array.from({ length: Math.ceil(input.length / step) }, (_, k) => k * step)
      expect(Buffer.compare(maskCut(createMasker(RULES), input, cuts), want)).toBe(0)
    }
  }, 60_000)
})

describe('a second opinion agrees on random ASCII text', () => {
  const ascii = soup.map((text) => text.replaceAll(/[^\0-\x7f]/g, '~'))
  it.each([
    ['Email', emails],
    ['Phone', phones],
    ['CreditCard', cards],
    ['Iban', ibans],
    ['IpAddress', (text: string) => [...ipv4s(text), ...ipv6s(text)]],
  ] as const)(
    'about %s',
    (detector, reference) => {
      const rules = rulesFor([detector])
      fc.assert(
        fc.property(ascii, weights, (text, fractions) => {
          const input = bytesOf(text)
          const got = maskCut(createMasker(rules), input, cutsOf(input.length, fractions))
          expect(textOf(got)).toBe(starsOver(text, reference(text)))
        }),
        { numRuns: 1500 },
      )
    },
    60_000,
  )
})
