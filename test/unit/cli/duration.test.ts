import { describe, expect, it } from '@jest/globals'

import { clockTime, humanDuration, parseDuration } from '../../../lib/cli/duration.ts'

const S = 1000
const M = 60 * S
const H = 60 * M
const D = 24 * H

describe('humanDuration, as kubectl', () => {
  // Rows of apimachinery pkg/util/duration/duration_test.go, and the borders between them.
  it.each([
    { ms: -3 * S, want: '<invalid>' },
    { ms: -1 * S, want: '0s' },
    { ms: 0, want: '0s' },
    { ms: 119 * S, want: '119s' },
    { ms: 2 * M, want: '2m' },
    { ms: 2 * M + 1 * S, want: '2m1s' },
    { ms: 9 * M + 59 * S, want: '9m59s' },
    { ms: 10 * M + 59 * S, want: '10m' },
    { ms: 3 * H - 1 * S, want: '179m' },
    { ms: 3 * H, want: '3h' },
    { ms: 3 * H + 5 * M, want: '3h5m' },
    { ms: 8 * H, want: '8h' },
    { ms: 47 * H + 59 * M, want: '47h' },
    { ms: 2 * D, want: '2d' },
    { ms: 7 * D + 23 * H, want: '7d23h' },
    { ms: 8 * D + 23 * H, want: '8d' },
    { ms: 365 * 2 * D - 1 * H, want: '729d' },
    { ms: 365 * 2 * D, want: '2y' },
    { ms: 365 * 2 * D + 1 * D, want: '2y1d' },
    { ms: 365 * 8 * D + 1 * D, want: '8y' },
  ])('$ms ms is $want', ({ ms, want }) => {
    expect(humanDuration(ms)).toBe(want)
  })
})

describe('parseDuration, as Go', () => {
  it.each([
    { text: '2s', want: 2000 },
    { text: '1m30s', want: 90_000 },
    { text: '500ms', want: 500 },
    { text: '1.5h', want: 5_400_000 },
    { text: '0', want: 0 },
    { text: '0s', want: 0 },
    { text: '2', want: undefined },
    { text: '', want: undefined },
    { text: '-2s', want: undefined },
    { text: '2 s', want: undefined },
    { text: '2d', want: undefined },
    { text: '2sx', want: undefined },
  ])('"$text" is $want', ({ text, want }) => {
    expect(parseDuration(text)).toBe(want)
  })
})

describe('clockTime', () => {
  const now = Date.UTC(2026, 10, 22, 10, 0)
  it('names the day only where it is another', () => {
    expect(clockTime(Date.UTC(2026, 10, 22, 10, 35), now)).toBe('10:35 UTC')
    expect(clockTime(Date.UTC(2026, 10, 23, 0, 5), now)).toBe('2026-11-23 00:05 UTC')
  })
})
