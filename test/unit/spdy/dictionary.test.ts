import { createHash } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'

import { DICTIONARY, DICTIONARY_ID } from '../../../lib/spdy/dictionary.ts'

describe('the SPDY/3 dictionary', () => {
  it('is the published one, byte for byte', () => {
    expect(DICTIONARY).toHaveLength(1423)
    expect(createHash('sha256').update(DICTIONARY).digest('hex')).toBe(
      '51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02',
    )
  })

  it('has the Adler-32 that a compressed stream names', () => {
    let a = 1n
    let b = 0n
    for (const byte of DICTIONARY) {
      a = (a + BigInt(byte)) % 65_521n
      b = (b + a) % 65_521n
    }
    expect(b * 65_536n + a).toBe(0xe3c6a7c2n)
    expect(DICTIONARY_ID).toBe(0xe3c6a7c2)
  })
})
