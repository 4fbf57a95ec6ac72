import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  digestOf,
  isToken,
  isWellFormed,
  loginOfRefresh,
  newKey,
  newLetterBox,
  newLoginId,
  newToken,
  openLetter,
  openText,
  postLetter,
  publicIdOf,
  sealText,
  unwrapKey,
  wrapKey,
  type TokenKind,
} from '../../../lib/identity/gateway-token.ts'

const KINDS: TokenKind[] = ['access', 'code', 'device', 'browser']

describe('a token of the gateway', () => {
  it.each(KINDS)('%s is new each time, and known by its prefix', (kind) => {
    const tokens = new Set(Array.from({ length: 100 }, () => newToken(kind)))
    expect(tokens.size).toBe(100)
    for (const token of tokens) {
      expect(KINDS.filter((other) => isToken(other, token))).toEqual([kind])
      expect(isWellFormed(kind, token)).toBe(true)
      // As a header carries it, and as it can be picked by a double click.
      expect(token).toMatch(/^podgate_[a-z]{2}_[\w-]{43}$/)
    }
  })

  it('for renewing names its sign-in', () => {
    const login = newLoginId()
    const token = newToken('refresh', login)
    expect(isWellFormed('refresh', token)).toBe(true)
    expect(loginOfRefresh(token)).toBe(login)
  })

  it.each([
    ['nothing', 'access', ''],
    ['the prefix alone', 'access', 'podgate_at_'],
    ['one character less', 'access', `podgate_at_${'a'.repeat(42)}`],
    ['one character more', 'access', `podgate_at_${'a'.repeat(44)}`],
    ['another alphabet', 'access', `podgate_at_${'+'.repeat(43)}`],
    ['a line break', 'access', `podgate_at_${'a'.repeat(43)}\n`],
    ['another kind', 'access', newToken('code')],
    ['a refresh token without a sign-in', 'refresh', `podgate_rt_${'a'.repeat(43)}`],
    ['a refresh token of two sign-ins', 'refresh', `podgate_rt_l-x.l-y.${'a'.repeat(43)}`],
    ['an operator for a sign-in', 'refresh', `podgate_rt_{"$ne":1}.${'a'.repeat(43)}`],
  ] as const)('is not well formed: %s', (_name, kind, text) => {
    expect(isWellFormed(kind, text)).toBe(false)
  })

  it('has a name that says nothing of it, nor of what the store keeps', () => {
    const token = newToken('access')
    const id = publicIdOf(token)
    expect(id).toMatch(/^t-[\w-]{22}$/)
    expect(publicIdOf(token)).toBe(id)
    expect(token).not.toContain(id.slice(2))
    expect(digestOf(token)).not.toContain(id.slice(2, 12))
  })
})

describe('the key of a sign-in', () => {
  it('opens with the token it was wrapped for, and with no other', () => {
    const key = newKey()
    const token = newToken('access')
    const wrapped = wrapKey(token, key)
    expect(unwrapKey(token, wrapped)).toEqual(key)
    expect(() => unwrapKey(newToken('access'), wrapped)).toThrow()
    // What the store has beside it does not help.
    expect(() => unwrapKey(digestOf(token), wrapped)).toThrow()
  })

  it('keeps every text, and notices every changed bit', () => {
    const key = newKey()
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), fc.nat(7), (text, at, bit) => {
        const sealed = sealText(key, text)
        expect(openText(key, sealed)).toBe(text)
        const index = at % sealed.length
        sealed[index] = (sealed[index] ?? 0) ^ (1 << bit)
        expect(() => openText(key, sealed)).toThrow()
      }),
      { numRuns: 200 },
    )
  })

  it('seals the same text to something else each time', () => {
    const key = newKey()
    expect(sealText(key, 'x').equals(sealText(key, 'x'))).toBe(false)
  })

  it.each([0, 11, 12, 27])('does not open what was cut to %i bytes', (length) => {
    const key = newKey()
    expect(() => openText(key, sealText(key, 'text').subarray(0, length))).toThrow()
  })
})

describe('a letter box', () => {
  it('opens with the device code alone', () => {
    const code = newToken('device')
    const box = newLetterBox(code)
    const letter = postLetter(box.publicKey, 'a secret')
    expect(openLetter(code, box, letter)).toBe('a secret')
    expect(() => openLetter(newToken('device'), box, letter)).toThrow()
    expect(() => openLetter(code, newLetterBox(code), letter)).toThrow()
    expect(letter.toString('latin1')).not.toContain('a secret')
  })
})
