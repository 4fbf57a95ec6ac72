import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { formatDuration, parseDuration } from '../../../lib/policy/duration.ts'

describe('parseDuration', () => {
  it.each([
    { name: 'reads seconds', text: '90s', want: 90_000 },
    { name: 'reads minutes', text: '5m', want: 300_000 },
    { name: 'adds up parts', text: '1h30m', want: 5_400_000 },
    { name: 'adds up parts in any order', text: '1s1h', want: 3_601_000 },
    { name: 'reads zero', text: '0s', want: 0 },
    { name: 'refuses a bare number', text: '5', want: undefined },
    { name: 'refuses an unknown unit', text: '5d', want: undefined },
    { name: 'refuses fractions', text: '1.5h', want: undefined },
    { name: 'refuses a sign', text: '-5m', want: undefined },
    { name: 'refuses spaces', text: '5m ', want: undefined },
    { name: 'refuses nothing', text: '', want: undefined },
    { name: 'refuses what no number can hold', text: '9999999999999h', want: undefined },
  ])('$name', ({ text, want }) => {
    expect(parseDuration(text)).toBe(want)
  })
})

describe('formatDuration', () => {
  it.each([
    { name: 'writes hours, minutes and seconds', ms: 3_661_000, want: '1h1m1s' },
    { name: 'leaves out what is zero', ms: 3_600_000, want: '1h' },
    { name: 'rounds up, so that a deadline is never shown too early', ms: 1_001, want: '2s' },
    { name: 'writes nothing left as 0s', ms: 0, want: '0s' },
    { name: 'writes the past as 0s', ms: -5, want: '0s' },
  ])('$name', ({ ms, want }) => {
    expect(formatDuration(ms)).toBe(want)
  })

  it('is read back as the same time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 86_400 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds * 1_000))).toBe(seconds * 1_000)
      }),
    )
  })
})
