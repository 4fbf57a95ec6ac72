import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { matchesGlob } from '../../../lib/policy/glob.ts'

/** The definition itself, exponential: a star takes nothing, or one character and asks again. */
function naive(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  const [head] = pattern
  const rest = pattern.slice(1)
  if (head === '*') return naive(rest, text) || (text !== '' && naive(pattern, text.slice(1)))
  return text !== '' && (head === '?' || head === text[0]) && naive(rest, text.slice(1))
}

function charsOf(set: string[]): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...set), maxLength: 9 })
}

describe('matchesGlob', () => {
  it.each([
    { name: 'takes a plain name as itself', pattern: 'main', text: 'main', want: true },
    { name: 'does not match a part of a name', pattern: 'main', text: 'maintenance', want: false },
    { name: 'does not match the end of a name', pattern: 'main', text: 'domain', want: false },
    { name: 'lets a star be nothing', pattern: 'main*', text: 'main', want: true },
    { name: 'lets a star stand in the middle', pattern: 'a*z', text: 'a-to-z', want: true },
    { name: 'lets a question mark be one character', pattern: 'db-?', text: 'db-1', want: true },
    { name: 'lets it not be none', pattern: 'db-?', text: 'db-', want: false },
    { name: 'matches nothing with an empty pattern', pattern: '', text: 'a', want: false },
    { name: 'takes a dot literally', pattern: 'a.c', text: 'abc', want: false },
  ])('$name', ({ pattern, text, want }) => {
    expect(matchesGlob(pattern, text)).toBe(want)
  })

  it('agrees with the definition', () => {
    fc.assert(
      fc.property(charsOf(['a', 'b', '*', '?']), charsOf(['a', 'b']), (pattern, text) => {
        expect(matchesGlob(pattern, text)).toBe(naive(pattern, text))
      }),
      { numRuns: 2_000 },
    )
  })

  it('takes no exponential time on a pattern made for it', () => {
    const started = process.hrtime.bigint()
    expect(matchesGlob('a*'.repeat(30) + 'b', 'a'.repeat(20_000))).toBe(false)
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(2_000)
  })
})
