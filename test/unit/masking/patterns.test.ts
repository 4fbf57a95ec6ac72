import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { createMasker } from '../../../lib/masking/masker.ts'
import { bytesOf, maskCut, maskText, rulesFor, textOf, wholeMask } from './whole.ts'

function withPattern(pattern: string): ReturnType<typeof rulesFor> {
  return rulesFor([], [{ name: 'it', pattern }])
}

describe('a policy pattern', () => {
  it.each([
    {
      name: 'masks what it matches',
      pattern: 'CUST-[0-9]{6}',
      text: 'a CUST-123456 b',
      want: 'a *********** b',
    },
    { name: 'masks several on a line', pattern: '[0-9]+', text: '1 22 x333', want: '* ** x***' },
    {
      name: 'stays within a line',
      pattern: 'a[^x]*b',
      text: 'a1\n2b a-b\r\nab',
      want: 'a1\n2b ***\r\n**',
    },
    {
      name: 'knows the line start',
      pattern: '^ab',
      text: 'ab ab\nab\r\nxab',
      want: '** ab\n**\r\nxab',
    },
    {
      name: 'knows the line end',
      pattern: 'ab$',
      text: 'ab ab\nab\r\nabx',
      want: 'ab **\n**\r\nabx',
    },
    { name: 'ignores empty matches', pattern: 'x*', text: 'axxb', want: 'a**b' },
    { name: 'knows characters', pattern: 'M.ller', text: 'Frau Müller da', want: 'Frau ****** da' },
    {
      name: 'takes two cells for a wide character',
      pattern: '名.',
      text: 'x名前y',
      want: 'x****y',
    },
    { name: 'takes none for a combining mark', pattern: 'e.x', text: 'ae\u0301xb', want: 'a**b' },
    { name: 'knows flags', pattern: '(?i)secret', text: 'SeCrEt', want: '******' },
  ])('$name', ({ pattern, text, want }) => {
    const rules = withPattern(pattern)
    expect(maskText(rules, text)).toBe(want)
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(textOf(maskCut(createMasker(rules), bytesOf(text), [cut]))).toBe(want)
    }
  })

  it('masks invalid UTF-8 byte by byte and leaves the rest exact', () => {
    const input = Uint8Array.from([0x61, 0xff, 0xc3, 0x62, 0xe6, 0x97, 0x63, 0x80, 0x0a, 0xfe])
    const { output } = wholeMask(withPattern('b.+c'), input)
    expect(Array.from(output)).toEqual([0x61, 0xff, 0xc3, 0x2a, 0x2a, 0x2a, 0x2a, 0x80, 0x0a, 0xfe])
  })

  it('counts by name, and shares a name between patterns', () => {
    const rules = rulesFor(
      ['Email'],
      [
        { name: 'id', pattern: 'A[0-9]+' },
        { name: 'id', pattern: 'B[0-9]+' },
        { name: 'other', pattern: 'C' },
      ],
    )
    const { counts } = wholeMask(rules, bytesOf('A1 B2 C a@example.com\nA3'))
    expect(Object.fromEntries(counts)).toEqual({ id: 3, other: 1, Email: 1 })
  })

  it('finds matches of up to 1 KiB anywhere in a line that does not end', () => {
    const secret = `<${'s'.repeat(1022)}>`
    for (const before of [0, 1, 1000, 1023, 1024, 2047, 2048, 2049, 5000]) {
      const text = 'x'.repeat(before) + secret + 'y'.repeat(3000)
      const want = 'x'.repeat(before) + '*'.repeat(1024) + 'y'.repeat(3000)
      expect(maskText(withPattern('<s+>'), text)).toBe(want)
    }
  })

  it('does not take a place in a long line for its start', () => {
    const text = 'ab'.repeat(4000)
    expect(maskText(withPattern('^ab'), text)).toBe(`**${text.slice(2)}`)
    expect(maskText(withPattern('\\bab'), text)).toBe(`**${text.slice(2)}`)
  })

  it('gives the same for every cut, in short, long and broken lines', () => {
    const rules = rulesFor(
      ['Email', 'IpAddress'],
      [
        { name: 'digits', pattern: '[0-9]{3,}' },
        { name: 'word', pattern: '\\bgeheim\\p{L}*' },
        { name: 'rest', pattern: 'ü.*$' },
      ],
    )
    const part = fc.constantFrom(
      'abc ',
      '12345',
      'geheimnis ',
      'a@example.com ',
      '\n',
      '\r\n',
      '漢字',
      '\ud83d\ude00',
      ' ü',
      'x'.repeat(700),
      '7'.repeat(900),
    )
    const raw = fc.array(fc.oneof(part.map(bytesOf), fc.uint8Array({ maxLength: 4 })), {
      maxLength: 30,
    })
    const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })
    fc.assert(
      fc.property(raw, fractions, (parts, where) => {
        const input = Uint8Array.from(parts.flatMap((bytes) => Array.from(bytes)))
        const want = wholeMask(rules, input).output
        const cuts = where.map((fraction) => Math.floor(fraction * input.length))
        const got = maskCut(createMasker(rules), input, cuts)
        expect(Buffer.compare(got, want)).toBe(0)
      }),
      { numRuns: 800 },
    )
  }, 60_000)
})
