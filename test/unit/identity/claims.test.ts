import { describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { type Claims, checkTokenClaims, personFromClaims } from '../../../lib/identity/claims.ts'
import { type OidcConfig, type Person, withDefaults } from '../../../lib/identity/user.ts'

const ISSUER = 'https://id.example'

function settings(changes: Partial<OidcConfig> = {}): ReturnType<typeof withDefaults> {
  return withDefaults({ issuer: ISSUER, audience: 'podgate', ...changes })
}

describe('the user of a set of claims', () => {
  it.each<[string, Claims, Partial<OidcConfig>, Partial<Person>]>([
    [
      'is the subject, without groups, if nothing is configured or said',
      { sub: '4711' },
      {},
      { username: '4711', groups: [] },
    ],
    [
      'takes name and groups from the configured claims',
      { sub: '4711', email: 'ana@corp.example', roles: ['dev', 'ops'] },
      { usernameClaim: 'email', groupsClaim: 'roles' },
      { username: 'ana@corp.example', groups: ['dev', 'ops'] },
    ],
    [
      'carries the prefixes of its issuer',
      { sub: 'ana', groups: ['dev'] },
      { usernamePrefix: 'corp:', groupsPrefix: 'corp-' },
      { username: 'corp:ana', groups: ['corp-dev'] },
    ],
    [
      'may carry a name of the system behind a prefix, where it is harmless',
      { sub: 'system:admin', groups: ['system:masters'] },
      { usernamePrefix: 'corp:', groupsPrefix: 'corp:' },
      { username: 'corp:system:admin', groups: ['corp:system:masters'] },
    ],
    [
      'has one group where the claim is one text',
      { sub: 'ana', groups: 'dev' },
      {},
      { username: 'ana', groups: ['dev'] },
    ],
    [
      'has a group once, however often it is named',
      { sub: 'ana', groups: ['dev', 'ops', 'dev'] },
      {},
      { username: 'ana', groups: ['dev', 'ops'] },
    ],
    [
      'may have spaces inside its names',
      { sub: 'Ana Lima', groups: ['Team Red'] },
      {},
      { username: 'Ana Lima', groups: ['Team Red'] },
    ],
    [
      'has the uid and the extras that the configuration names',
      { sub: 'ana', oid: 'o-1', dept: 'sales', costs: [7, 'x'], empty: null },
      { uidClaim: 'oid', extraClaims: { 'corp/dept': 'dept', costs: 'costs', none: 'empty' } },
      {
        username: 'ana',
        groups: [],
        uid: 'o-1',
        extra: { 'corp/dept': ['sales'], costs: ['7', 'x'] },
      },
    ],
    [
      'says when and how they signed in',
      { sub: 'ana', auth_time: 1_800_000_000, acr: 'mfa', amr: ['pwd', 'otp'] },
      {},
      {
        username: 'ana',
        groups: [],
        signIn: { at: 1_800_000_000_000, acr: 'mfa', amr: ['pwd', 'otp'] },
      },
    ],
    [
      'says nothing of a sign-in that cannot be read',
      { sub: 'ana', auth_time: 'now', acr: 1, amr: 'otp' },
      {},
      { username: 'ana', groups: [] },
    ],
    ['has a name of one letter', { sub: 'a', groups: ['b'] }, {}, { username: 'a', groups: ['b'] }],
  ])('%s', (_name, claims, changes, want) => {
    const person = personFromClaims(claims, settings(changes))
    expect(person).toEqual({
      uid: claims['sub'],
      extra: {},
      issuer: ISSUER,
      signIn: { amr: [] },
      ...want,
    })
  })

  it.each<[string, Claims, Partial<OidcConfig>, RegExp]>([
    [
      'an address nobody confirmed',
      { sub: '1', email: 'a@b', email_verified: false },
      { usernameClaim: 'email' },
      /not verified/,
    ],
    [
      'a prefix that makes it one of the system',
      { sub: 'admin' },
      { usernamePrefix: 'system:' },
      /belong to Kubernetes/,
    ],
    [
      'a group prefix that makes it one of the system',
      { sub: 'a', groups: ['masters'] },
      { groupsPrefix: 'system:' },
      /belong to Kubernetes/,
    ],
    ['System: in capitals', { sub: 'SYSTEM:admin' }, {}, /belong to Kubernetes/],
    [
      'a prefix alone, the name being empty',
      { sub: '' },
      { usernamePrefix: 'corp:' },
      /no usable claim/,
    ],
    ['a tab behind its name', { sub: 'ana\t' }, {}, /printable ASCII/],
    ['a DEL in its name', { sub: 'an\u007fa' }, {}, /printable ASCII/],
    ['an accent that a header would garble', { sub: 'José' }, {}, /printable ASCII/],
    ['a name beyond Latin', { sub: '愛' }, {}, /printable ASCII/],
    [
      'an extra that is no text',
      { sub: 'a', x: [{}] },
      { extraClaims: { x: 'x' } },
      /neither a text nor a list/,
    ],
    [
      'an extra with a line break',
      { sub: 'a', x: 'a\nb' },
      { extraClaims: { x: 'x' } },
      /printable ASCII/,
    ],
    [
      'a name of the prototype as its claim',
      { sub: 'a' },
      { usernameClaim: 'constructor' },
      /no usable claim/,
    ],
  ])('does not come into being with %s', (_name, claims, changes, message) => {
    expect(() => personFromClaims(claims, settings(changes))).toThrow(message)
  })

  it('is told apart by its issuer, the subject being the same', () => {
    const one = personFromClaims({ sub: '1' }, settings({ usernamePrefix: 'a:' }))
    const two = personFromClaims({ sub: '1' }, settings({ usernamePrefix: 'b:' }))
    expect(one.username).not.toBe(two.username)
  })
})

describe('a refusal', () => {
  it.each<[string, Claims]>([
    ['a name of 100 KB', { sub: `${'x'.repeat(100_000)}\n` }],
    ['a name of line breaks', { sub: '\r\n'.repeat(1_000) }],
    ['a name of emoji', { sub: '🦫'.repeat(1_000) }],
  ])('stays short and printable for %s', (_name, claims) => {
    try {
      personFromClaims(claims, settings())
      throw new Error('was let in')
    } catch (error) {
      if (!GatewayError.is(error)) throw error
      const text = JSON.stringify(error.toStatus())
      expect(text.length).toBeLessThanOrEqual(1000)
      expect(text).toMatch(/^[ -~]+$/)
    }
  })

  it('of an ended token says since when', () => {
    const claims = { iss: ISSUER, aud: 'podgate', iat: 1_800_000_000, exp: 1_800_000_600 }
    expect(() => checkTokenClaims(claims, settings(), 1_800_010_000_000)).toThrow(
      'sign-in expired at 2027-01-15 08:10 UTC',
    )
  })
})
