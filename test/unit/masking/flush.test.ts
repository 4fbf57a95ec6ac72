import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { createMasker } from '../../../lib/masking/masker.ts'
import { CREDIT_CARD, EMAIL, IBAN, IP_ADDRESS, LOG_LINES, PHONE } from './vectors.ts'
import { ALL_DETECTORS, bytesOf, concat, rulesFor, stripped, textOf, wholeMask } from './whole.ts'

const RULES = rulesFor(ALL_DETECTORS)
const PATTERN_RULES = rulesFor([], [{ name: 'customer', pattern: 'CUST-[0-9]{6}' }])
const STAR = 0x2a

/** Pushes text; `|` is a flush. Gives what came out of each step, parted by `|`. */
function steps(rules: typeof RULES, script: string): string {
  const masker = createMasker(rules)
  const out = script.split('|').map((text, k) => {
    const flushed = k === 0 ? [] : masker.flush()
    return [concat(flushed), concat(masker.push(bytesOf(text)))].map(textOf).join('')
  })
  return `${out.join('|')}${textOf(concat(masker.end()))}`
}

describe('flush gives out what is held', () => {
  it.each([
    { name: 'a word that could begin an address', script: 'ana| ', want: '|ana ' },
    {
      name: 'and masks the rest of it when it comes',
      script: 'ana|@example.com\n',
      want: '|ana************\n',
    },
    {
      name: 'in the middle of the domain',
      script: 'ana@exam|ple.com\n',
      want: '|ana@exam*******\n',
    },
    {
      name: 'masked, when it is a match already',
      script: 'ana@example.com|',
      want: '|***************',
    },
    {
      name: 'masked, and so is what still belongs to it',
      script: 'ana@example.co|m\n',
      want: '|***************\n',
    },
    {
      name: 'in the middle of a card',
      script: '4111 1111 |1111 1111\n',
      want: '|4111 1111 *********\n',
    },
    {
      name: 'in the middle of an IBAN',
      script: 'DE89 3704 0044| 0532 0130 00\n',
      want: '|DE89 3704 0044*************\n',
    },
    { name: 'after a digit of an address', script: '10.2.|3.4\n', want: '|10.2.***\n' },
    { name: 'letter by letter', script: 'a|n|a|@|x|.|i|o| ', want: '|a|n|a|@|x|.|i|* ' },
    { name: 'no more than once', script: 'ana||| x', want: '|ana||  x'.replace('  ', ' ') },
  ])('$name', ({ script, want }) => {
    expect(steps(RULES, script)).toBe(want)
  })

  it('in the middle of what a pattern matches', () => {
    expect(steps(PATTERN_RULES, 'id CUST-12|3456 x\n')).toBe('|id CUST-12**** x\n')
  })
})

describe('a match that only a flush and the end saw', () => {
  it('is counted once', () => {
    const masker = createMasker(RULES)
    masker.push(bytesOf('ana@example.com'))
    masker.flush()
    expect(masker.counts.get('Email')).toBeUndefined()
    masker.flush()
    expect(masker.end()).toEqual([])
    expect(masker.counts.get('Email')).toBe(1)
  })
})

describe('with flushes anywhere', () => {
  const samples = [...EMAIL, ...PHONE, ...CREDIT_CARD, ...IBAN, ...IP_ADDRESS].map(stripped)
  // Stars of its own would be taken for masked bytes, other than ASCII changes the width.
  const text = fc
    .array(fc.constantFrom(...samples, ...LOG_LINES), { maxLength: 12 })
    .map((parts) => parts.join(' ').replaceAll(/[^\0-\x7f]|\*/g, '~'))

  it('every byte of a match that a flush did not give out before is masked', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }), (whole, sizes) => {
        const input = bytesOf(whole)
        const want = wholeMask(RULES, input).output
        const masker = createMasker(RULES)
        const out: Uint8Array[] = []
        const released = new Uint8Array(input.length)
        let emitted = 0
        for (let at = 0, k = 0; at < input.length; k += 1) {
          const size = 1 + (sizes[k % sizes.length] ?? 0)
          const pushed = masker.push(input.subarray(at, at + size))
          at += size
          out.push(...pushed)
          emitted += concat(pushed).length
          if (k % 3 === 0) continue
          const flushed = concat(masker.flush())
          expect(masker.heldBytes).toBe(0)
          released.fill(1, emitted, emitted + flushed.length)
          emitted += flushed.length
          out.push(flushed)
        }
        out.push(...masker.end())
        const got = concat(out)
        expect(got.length).toBe(input.length)
        for (let i = 0; i < got.length; i += 1) {
          if (got[i] === want[i] || got[i] === STAR) continue
          // Differs from the mask of the whole only where a flush gave it out unmasked.
          expect([i, released[i], got[i]]).toEqual([i, 1, input[i]])
        }
        for (let i = 0; i < got.length; i += 1) {
          // And a star that the whole has not comes from a flush too: it was a match until then.
          if (got[i] !== want[i] && got[i] === STAR) expect([i, released[i]]).toEqual([i, 1])
        }
      }),
      { numRuns: 600 },
    )
  }, 60_000)
})
