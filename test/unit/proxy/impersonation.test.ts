import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { parseImpersonation } from '../../../lib/proxy/impersonation.ts'

describe('whom a client asks to act as', () => {
  it.each([
    ['nobody', ['Accept', '*/*', 'X-Impersonate-User', 'cy'], undefined],
    ['nobody, with underscores', ['Impersonate_User', 'cy'], undefined],
    ['a user', ['Impersonate-User', 'cy'], { user: 'cy', groups: [], extra: {} }],
    ['in any case', ['iMPERSONATE-uSER', 'Cy'], { user: 'Cy', groups: [], extra: {} }],
    [
      'a user in groups, one line each and each once',
      ['Impersonate-Group', 'a', 'impersonate-user', 'cy', 'IMPERSONATE-GROUP', 'b, c'],
      { user: 'cy', groups: ['a', 'b, c'], extra: {} },
    ],
    [
      'the same group twice',
      ['Impersonate-User', 'cy', 'Impersonate-Group', 'a', 'Impersonate-Group', 'a'],
      { user: 'cy', groups: ['a'], extra: {} },
    ],
    [
      'a uid and extras, their keys decoded and in lower case',
      `Impersonate-User cy Impersonate-Uid 7 Impersonate-Extra-Podgate.dev%2FSession s-1 impersonate-extra-podgate.dev%2fsession s-2`.split(
        ' ',
      ),
      { user: 'cy', groups: [], uid: '7', extra: { 'podgate.dev/session': ['s-1', 's-2'] } },
    ],
    [
      'an extra with the name of a thing that objects have',
      ['Impersonate-User', 'cy', 'Impersonate-Extra-constructor', 'x'],
      { user: 'cy', groups: [], extra: { constructor: ['x'] } },
    ],
  ])('%s', (_name, headers, want) => {
    expect(parseImpersonation(headers)).toEqual(want)
  })
})

describe('what makes no sense is refused with 400:', () => {
  const CY = ['Impersonate-User', 'cy']
  it.each([
    ['a group of nobody', ['Impersonate-Group', 'a']],
    ['a uid of nobody', ['Impersonate-Uid', '7']],
    ['an extra of nobody', ['Impersonate-Extra-a', 'b']],
    ['an empty user', ['Impersonate-User', '']],
    ['an empty group', [...CY, 'Impersonate-Group', '']],
    ['two users', [...CY, 'impersonate-user', 'bo']],
    ['the same user twice', [...CY, ...CY]],
    ['two uids', [...CY, 'Impersonate-Uid', '7', 'Impersonate-Uid', '8']],
    ['a header nobody knows', [...CY, 'Impersonate-Groups', 'a']],
    ['no name behind the prefix', [...CY, 'Impersonate-', 'a']],
    ['an extra without a key', [...CY, 'Impersonate-Extra-', 'a']],
    ['a key that is badly escaped', [...CY, 'Impersonate-Extra-a%2', 'b']],
    ['a key that is no UTF-8', [...CY, 'Impersonate-Extra-%ff', 'b']],
    ['letters beyond ASCII', ['Impersonate-User', 'cÿ']],
    ['blanks around a name', ['Impersonate-User', 'cy ']],
    [
      'more groups than anybody is in',
      [...CY, ...Array.from({ length: 17 }, (_, n) => ['Impersonate-Group', `g${n}`]).flat()],
    ],
  ])('%s', (_name, headers) => {
    expect(() => parseImpersonation(headers)).toThrow(
      expect.objectContaining({ reason: 'BadRequest', id: 1048 }),
    )
  })
})

it('whatever the headers are: nobody, somebody with a name, or a refusal', () => {
  const name = fc.oneof(
    fc.constantFrom('Impersonate-User', 'impersonate-group', 'Impersonate-Extra-%2f', 'Accept'),
    fc.string().map((end) => `Impersonate-${end}`),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string()), { maxLength: 8 }), (lines) => {
      const isAsked = lines.some(([header]) => /^impersonate-/i.test(header))
      try {
        const ask = parseImpersonation(lines.flat())
        expect(ask === undefined).toBe(!isAsked)
        if (ask !== undefined) expect(ask.user).toMatch(/^[!-~]/)
      } catch (error) {
        expect(GatewayError.is(error) && error.id === 1048 && isAsked).toBe(true)
      }
    }),
  )
})
