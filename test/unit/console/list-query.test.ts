import { describe, expect, it } from '@jest/globals'

import { encodeContinue, parseListQuery } from '../../../lib/console/list-query.ts'

const after = { startedAt: new Date('2026-11-22T10:00:00.123Z'), id: 's-1' }
const token = encodeContinue({ startedAt: after.startedAt, _id: after.id })

describe('the query of the session list', () => {
  const good: [string, Record<string, unknown>, object][] = [
    ['nothing', {}, { limit: 100 }],
    ['empty values', { user: '', namespace: '', continue: '', limit: '' }, { limit: 100 }],
    [
      'everything',
      { user: 'ana', namespace: 'shop', pod: 'web-0', limit: '500', continue: token },
      { username: 'ana', namespace: 'shop', pod: 'web-0', limit: 500, after },
    ],
    ['the least limit', { limit: '1' }, { limit: 1 }],
    [
      'words that look like operators, as plain values',
      { user: '{"$ne":1}', pod: '$where' },
      { username: '{"$ne":1}', pod: '$where', limit: 100 },
    ],
  ]
  it.each(good)('takes %s', (_name, query, want) => {
    expect(parseListQuery(query)).toEqual(want)
  })

  const bad: [string, Record<string, unknown>, string][] = [
    ['an operator in brackets', { 'user[$ne]': 'x' }, '"user[$ne]"'],
    ['an object', { user: { $ne: 'x' } }, 'user may be given once'],
    ['a repeated parameter', { pod: ['a', 'b'] }, 'pod may be given once'],
    ['an unknown parameter', { constructor: 'x' }, '"constructor"'],
    ['a limit of none', { limit: '0' }, 'limit must be'],
    ['a limit beyond 500', { limit: '501' }, 'limit must be'],
    ['a limit that is no number', { limit: '1e2' }, 'limit must be'],
    ['a negative limit', { limit: '-1' }, 'limit must be'],
    ['an endless value', { user: 'x'.repeat(1025) }, 'user is too long'],
    ['a made-up token', { continue: 'xyz' }, 'continue is not a token'],
    [
      'a token with a strange id',
      { continue: Buffer.from('1/../..').toString('base64url') },
      'continue is not a token',
    ],
  ]
  it.each(bad)('refuses %s and says which', (_name, query, words) => {
    expect(() => parseListQuery(query)).toThrow(
      expect.objectContaining({ reason: 'BadRequest', message: expect.stringContaining(words) }),
    )
  })
})
