import { describe, expect, it } from '@jest/globals'

import { readLogoutToken } from '../../../lib/identity/logout-token.ts'

const NOW = 1_800_000_000_000
const RULES = { issuer: 'https://idp.test', clientId: 'gate', clockSkewSeconds: 60 }
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }
const GOOD = {
  iss: 'https://idp.test',
  aud: 'gate',
  iat: NOW / 1000,
  jti: 'j-1',
  sub: 'ana',
  sid: 's-1',
  events: EVENTS,
}

describe('a logout token', () => {
  it.each([
    ['names a person and a session', GOOD, { id: 'j-1', subject: 'ana', providerSession: 's-1' }],
    ['names a person alone', { ...GOOD, sid: undefined }, { id: 'j-1', subject: 'ana' }],
    ['names a session alone', { ...GOOD, sub: undefined }, { id: 'j-1', providerSession: 's-1' }],
    ['is for us among others', { ...GOOD, aud: ['x', 'gate'] }, { id: 'j-1' }],
    ['is five minutes old', { ...GOOD, iat: NOW / 1000 - 360 }, { id: 'j-1' }],
    ['comes from a clock that is ahead', { ...GOOD, iat: NOW / 1000 + 60 }, { id: 'j-1' }],
  ])('%s', (_name, claims, want) => {
    expect(readLogoutToken(claims, RULES, NOW)).toMatchObject(want)
  })

  it.each([
    ['another provider', { iss: 'https://other' }],
    ['another client', { aud: 'other' }],
    ['no client', { aud: undefined }],
    ['no event: it would be an ID token', { events: undefined }],
    ['another event', { events: { 'http://schemas.openid.net/event/other': {} } }],
    ['an event that is no object', { events: { [Object.keys(EVENTS)[0] ?? '']: true } }],
    ['events in a list', { events: [EVENTS] }],
    ['a nonce: it could be an ID token', { nonce: 'n' }],
    ['nobody', { sub: undefined, sid: undefined }],
    ['an empty person', { sub: '' }],
    ['an operator for a session', { sid: { $ne: null } }],
    ['no id', { jti: undefined }],
    ['no time', { iat: undefined }],
    ['a time in words', { iat: 'now' }],
    ['too old', { iat: NOW / 1000 - 361 }],
    ['from the future', { iat: NOW / 1000 + 61 }],
    ['expired', { exp: NOW / 1000 - 61 }],
  ])('is refused with %s', (_name, wrong) => {
    expect(() => readLogoutToken({ ...GOOD, ...wrong }, RULES, NOW)).toThrow(
      expect.objectContaining({ reason: 'BadRequest', id: 1418 }),
    )
  })
})
