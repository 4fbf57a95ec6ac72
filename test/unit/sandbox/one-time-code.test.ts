import { beforeEach, describe, expect, it } from '@jest/globals'

import {
  type CodeCheck,
  createCodeCheck,
  createCodeSecret,
  oneTimeCode,
} from '../../../lib/sandbox/one-time-code.ts'

/** The secret of RFC 6238 appendix B, "12345678901234567890". */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
const START_MS = 1_800_000_000_000

describe('a one-time code', () => {
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('is at %d s what RFC 6238 says', (seconds, code) => {
    expect(oneTimeCode(SECRET, seconds * 1000)).toBe(code)
  })

  it('has a secret nobody can guess, as apps take it', () => {
    const secrets = Array.from({ length: 8 }, createCodeSecret)
    expect(new Set(secrets).size).toBe(8)
    for (const secret of secrets) expect(secret).toMatch(/^[A-Z2-7]{32}$/)
  })
})

describe('the check of a one-time code', () => {
  let nowMs: number
  let check: CodeCheck
  const ana = { name: 'ana', codeSecret: SECRET }

  beforeEach(() => {
    nowMs = START_MS
    check = createCodeCheck(() => nowMs)
  })

  it.each<[string, number, boolean]>([
    ['takes the code of now', 0, true],
    ['takes the code of the step before, for a clock that is late', -30_000, true],
    ['takes the code of the next step, for a clock that is early', 30_000, true],
    ['refuses an older code', -60_000, false],
    ['refuses a code of later', 60_000, false],
  ])('%s', (_name, offsetMs, expected) => {
    expect(check.spend(ana, oneTimeCode(SECRET, nowMs + offsetMs))).toBe(expected)
  })

  it.each(['', '000000', '00000', '0000000', 'abcdef', '１２３４５６'])('refuses "%s"', (code) => {
    expect(check.spend(ana, code)).toBe(false)
  })

  it('refuses a code the second time, and any older one after it', () => {
    const before = oneTimeCode(SECRET, nowMs - 30_000)
    const code = oneTimeCode(SECRET, nowMs)
    expect(check.spend(ana, code)).toBe(true)
    expect(check.spend(ana, code)).toBe(false)
    expect(check.spend(ana, before)).toBe(false)
    nowMs += 30_000
    expect(check.spend(ana, code)).toBe(false)
    expect(check.spend(ana, oneTimeCode(SECRET, nowMs))).toBe(true)
  })

  it('keeps people apart', () => {
    const code = oneTimeCode(SECRET, nowMs)
    expect(check.spend(ana, code)).toBe(true)
    expect(check.spend({ name: 'bo', codeSecret: createCodeSecret() }, code)).toBe(false)
    expect(check.spend({ name: 'cy', codeSecret: SECRET }, code)).toBe(true)
  })
})
