import { describe, expect, it } from '@jest/globals'

import { CREDIT_CARD, EMAIL, IBAN, IP_ADDRESS, LOG_LINES, PHONE } from './vectors.ts'
import {
  ALL_DETECTORS,
  maskText,
  starred,
  stripped,
  wholeMask,
  rulesFor,
  bytesOf,
} from './whole.ts'

const SAMPLES = {
  Email: EMAIL,
  Phone: PHONE,
  CreditCard: CREDIT_CARD,
  Iban: IBAN,
  IpAddress: IP_ADDRESS,
}

const ROWS = Object.entries(SAMPLES).flatMap(([detector, samples]) =>
  samples.map((sample) => ({ detector, sample })),
)

describe('each detector alone', () => {
  it.each(ROWS)('$detector masks $sample', ({ detector, sample }) => {
    expect(maskText(rulesFor([detector]), stripped(sample))).toBe(starred(sample))
  })

  it.each(ROWS)('$detector finds $sample again inside a long log', ({ detector, sample }) => {
    const before = `${LOG_LINES.join('\n')}\n`
    const text = before + stripped(sample) + '\n' + before
    const want = before + starred(sample) + '\n' + before
    expect(maskText(rulesFor([detector]), text)).toBe(want)
  })

  it('counts each match once, under its detector', () => {
    const { counts } = wholeMask(
      rulesFor(ALL_DETECTORS),
      bytesOf('a@example.com 10.0.0.1 b@example.com\n'),
    )
    expect([...counts]).toEqual([
      ['Email', 2],
      ['IpAddress', 1],
    ])
  })
})

describe('log lines without personal data', () => {
  it.each(LOG_LINES.map((line) => [line]))('pass unchanged: %s', (line) => {
    expect(maskText(rulesFor(ALL_DETECTORS), line)).toBe(line)
  })

  it('pass unchanged all together', () => {
    const text = `${LOG_LINES.join('\n')}\n`.repeat(20)
    expect(maskText(rulesFor(ALL_DETECTORS), text)).toBe(text)
  })
})
