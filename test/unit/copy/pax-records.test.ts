import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { parsePaxRecords } from '../../../lib/copy/pax-records.ts'
import { isTarViolation } from '../../../lib/copy/tar-violation.ts'

function read(text: string | Uint8Array): [string, string][] | 'a violation' {
  try {
    return [...parsePaxRecords(Buffer.from(text))]
  } catch (error) {
    if (isTarViolation(error)) return 'a violation'
    throw error
  }
}

describe('the records of a PAX header', () => {
  it.each([
    ['none', '', []],
    ['one', '12 path=abc\n', [['path', 'abc']]],
    ['a key twice: the last counts', '8 a=one\n8 a=two\n', [['a', 'two']]],
    ['an equals sign in a value', '8 a=b=c\n', [['a', 'b=c']]],
    // Found by fuzzing: a rest without a space once went round for ever.
    ['a rest without a space', '8 a=one\nrest', 'a violation'],
    ['no space at all', 'rest\n', 'a violation'],
    ['a length of nothing', '0 a=one\n', 'a violation'],
    ['a length too long', '99 a=one\n', 'a violation'],
    ['no line break at the end', '8 a=one ', 'a violation'],
    ['no key', '7 =one\n', 'a violation'],
  ])('%s', (_what, text, want) => {
    expect(read(text)).toEqual(want)
  })

  it('any bytes come to an end', () => {
    const digits = fc.constantFrom(...Buffer.from('0123456789 =\nab'))
    const bytes = fc.array(fc.oneof(digits, fc.integer({ min: 0, max: 255 })), { maxLength: 60 })
    fc.assert(
      fc.property(bytes, (body) => {
        read(Uint8Array.from(body))
      }),
    )
  })
})
