/**
 * Tokens with one thing wrong in what they say. Rules: OpenID Connect Core 3.1.3.7, RFC 7519,
 * RFC 8725. How they are signed is in bad-signatures.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { base64url, NOW, type Changes, TokenBed } from './token-bed.ts'

let bed: TokenBed

beforeAll(async () => {
  bed = await TokenBed.start()
})

afterAll(async () => {
  await bed.close()
})

const token = async (claims?: Changes): Promise<string> => await bed.token(claims)

/** The good claims with something written behind them by hand. */
async function written(end: string): Promise<string> {
  return await bed.signed(`${JSON.stringify(bed.goodClaims()).slice(0, -1)},${end}}`)
}

describe('a token with nothing wrong', () => {
  it.each<[string, () => Promise<string>]>([
    ['as it is', () => token()],
    ['with our audience alone in a list', () => token({ aud: ['podgate'] })],
    ['with the right azp', () => token({ azp: 'podgate' })],
    [
      'with several audiences and the right azp',
      () => token({ aud: ['x', 'podgate'], azp: 'podgate' }),
    ],
    ['that ended 60 s ago', () => token({ exp: NOW - 60 })],
    ['that begins in 60 s', () => token({ nbf: NOW + 60 })],
    ['issued in 60 s', () => token({ iat: NOW + 60 })],
    // RFC 7519 section 2: a NumericDate may have a fraction.
    ['with times in fractions of seconds', () => token({ exp: NOW + 1.5, iat: NOW - 1.5 })],
    ['with a nonce, which is for who has signed in to check', () => token({ nonce: 'n' })],
    ['with white space in its JSON', () => bed.signed(JSON.stringify(bed.goodClaims(), null, 2))],
    ['with one name in two objects', () => token({ a: { sub: 1 }, b: [{ sub: 2 }, { sub: 3 }] })],
    ['with a text that looks like JSON', () => token({ a: '{"sub":1,"sub":2}', b: '\\","sub' })],
    ['with other claims of other sources', () => token({ _claim_names: { photo: 'src1' } })],
    ['with groups that are all there', () => token({ hasgroups: false })],
  ])('passes: %s', async (_name, make) => {
    const user = await bed.authenticator.authenticate(`Bearer ${await make()}`)
    expect(user).toMatchObject({ username: 'ana', uid: '4711', groups: ['dev'], extra: {} })
    expect(user.issuer).toBe(bed.server.issuer)
  })

  it('carries its end', async () => {
    const user = await bed.authenticator.authenticate(`bearer ${await token()}`)
    expect(user.expiresAt).toBe((NOW + 600) * 1000)
  })
})

describe('a token with one thing wrong', () => {
  it.each<[string, number, () => Promise<string> | string]>([
    ['an audience of another client', 1407, () => token({ aud: 'other' })],
    ['no audience', 1407, () => token({ aud: undefined })],
    ['an empty list of audiences', 1407, () => token({ aud: [] })],
    ['an audience that only starts like ours', 1407, () => token({ aud: 'podgate2' })],
    ['an audience that is an object', 1407, () => token({ aud: { podgate: true } })],
    ['an audience that is null', 1407, () => token({ aud: null })],
    ['an audience in capitals', 1407, () => token({ aud: 'Podgate' })],
    ['lists of audiences in a list', 1407, () => token({ aud: [['podgate']] })],
    ['two audiences in one text', 1407, () => token({ aud: 'podgate other' })],
    ['an audience that is a number', 1407, () => token({ aud: 7 })],
    ['a list of audiences with a number', 1407, () => token({ aud: ['podgate', 7] })],
    ['several audiences and no azp', 1407, () => token({ aud: ['podgate', 'x'] })],
    [
      'several audiences and the azp of another',
      1407,
      () => token({ aud: ['podgate', 'x'], azp: 'x' }),
    ],
    ['one audience and the azp of another', 1407, () => token({ azp: 'x' })],
    ['an azp in a list', 1407, () => token({ azp: ['podgate'] })],
    ['an azp that is empty', 1407, () => token({ azp: '' })],
    ['an azp that is null', 1407, () => token({ azp: null })],
    ['an unknown issuer', 1403, () => token({ iss: 'https://evil.example' })],
    ['the issuer with a slash at its end', 1403, () => token({ iss: `${bed.server.issuer}/` })],
    ['the issuer in a list', 1403, () => token({ iss: [bed.server.issuer] })],
    ['the issuer in an object', 1403, () => token({ iss: { iss: bed.server.issuer } })],
    ['the issuer with a space behind it', 1403, () => token({ iss: `${bed.server.issuer} ` })],
    [
      'the issuer with more of an address',
      1403,
      () => token({ iss: `${bed.server.issuer}.evil.example` }),
    ],
    ['no issuer', 1403, () => token({ iss: undefined })],
    [
      'the issuer over http',
      1403,
      () => token({ iss: bed.server.issuer.replace('https', 'http') }),
    ],
    ['the issuer of the neighbour', 1404, () => token({ iss: bed.other.issuer })],
    ['an end 61 s ago', 1405, () => token({ exp: NOW - 61 })],
    ['no end', 1402, () => token({ exp: undefined })],
    ['an end that is a text', 1402, () => token({ exp: String(NOW + 600) })],
    ['an end 60.5 s ago', 1405, () => token({ exp: NOW - 60.5 })],
    ['an end in milliseconds', 1402, () => token({ exp: (NOW + 600) * 1000 })],
    ['an end that is null', 1402, () => token({ exp: null })],
    ['an end in a list', 1402, () => token({ exp: [NOW + 600] })],
    ['an end that is a date', 1402, () => token({ exp: '2027-01-15T08:10:00Z' })],
    ['a beginning of infinity', 1402, () => written('"nbf":1e999')],
    ['a negative end', 1402, () => token({ exp: -1 })],
    ['an end beyond all dates', 1402, () => token({ exp: 1e300 })],
    ['a beginning in 61 s', 1406, () => token({ nbf: NOW + 61 })],
    ['a beginning that is a text', 1402, () => token({ nbf: 'now' })],
    ['a time of issue in 61 s', 1406, () => token({ iat: NOW + 61 })],
    ['a time of issue that is a text', 1402, () => token({ iat: String(NOW) })],
    ['a beginning that is null', 1402, () => token({ nbf: null })],
    ['no time of issue', 1402, () => token({ iat: undefined })],
    ['two parts only', 1402, () => bed.withParts((parts) => parts.slice(0, 2))],
    ['four parts', 1402, () => bed.withParts((parts) => [...parts, 'a'])],
    [
      'five parts, as one that is encrypted (JWE)',
      1402,
      () => bed.withParts((parts) => [...parts, 'a', 'b']),
    ],
    ['a dot behind it', 1402, () => bed.withParts((parts) => [...parts, ''])],
    ['a dot before it', 1402, () => bed.withParts((parts) => ['', ...parts])],
    ['padding in its base64url', 1402, async () => `${await token()}==`],
    [
      'base64 that is not for addresses',
      1402,
      () =>
        bed.withParts(([header = '', payload = '', signature = '']) => [
          header,
          payload,
          Buffer.from(signature, 'base64url').toString('base64'),
        ]),
    ],
    [
      'a signature written in a second way',
      1402,
      () =>
        bed.withParts(([header = '', payload = '', signature = '']) => [
          header,
          payload,
          rewritten(signature),
        ]),
    ],
    ['another token in it (nested)', 1402, async () => await bed.signed(await token())],
    [
      'a logout in it',
      1402,
      () => token({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
    ],
    ['a claim that stands twice', 1402, () => written('"groups":["admins"]')],
    [
      'a claim that stands twice, once in escapes',
      1402,
      () => written(String.raw`"gr\u006fups":["admins"]`),
    ],
    ['a claim that stands twice, deep inside', 1402, () => written('"a":[{"b":{"c":1,"c":2}}]')],
    [
      'a mark of byte order before its claims',
      1402,
      () => bed.signed(`\uFEFF${JSON.stringify(bed.goodClaims())}`),
    ],
    ['an empty payload', 1402, () => bed.signed('')],
    ['a payload of null', 1402, () => bed.signed('null')],
    [
      'a payload that is no JSON',
      1402,
      () =>
        bed.withParts(([header = '', , signature = '']) => [
          header,
          base64url('claims'),
          signature,
        ]),
    ],
    [
      'a payload that is a list',
      1402,
      () => bed.withParts(([header = '', , signature = '']) => [header, base64url([]), signature]),
    ],
    [
      'a payload that is not UTF-8',
      1402,
      () =>
        bed.withParts(([header = '', , signature = '']) => [
          header,
          Buffer.from([0xff, 0xfe]).toString('base64url'),
          signature,
        ]),
    ],
    [
      'a header that is no JSON',
      1402,
      () =>
        bed.withParts(([, payload = '', signature = '']) => [
          base64url('header'),
          payload,
          signature,
        ]),
    ],
    ['no user name', 1408, () => token({ preferred_username: undefined })],
    ['an empty user name', 1408, () => token({ preferred_username: '' })],
    ['a user name in a list', 1408, () => token({ preferred_username: ['ana'] })],
    ['a user name of the system', 1408, () => token({ preferred_username: 'system:admin' })],
    [
      'a user name with a line break',
      1408,
      () => token({ preferred_username: 'ana\r\nImpersonate-Group: x' }),
    ],
    [
      'a user name with a space before it',
      1408,
      () => token({ preferred_username: ' system:admin' }),
    ],
    ['a user name in Cyrillic letters', 1408, () => token({ preferred_username: 'аna' })],
    [
      'a user name of the system in capitals',
      1408,
      () => token({ preferred_username: 'SYSTEM:admin' }),
    ],
    [
      'a user name of the system in wide letters',
      1408,
      () => token({ preferred_username: 'ｓｙｓｔｅｍ:admin' }),
    ],
    [
      'a user name with a letter of no width',
      1408,
      () => token({ preferred_username: 'a\u200bna' }),
    ],
    [
      'a user name that turns the line around',
      1408,
      () => token({ preferred_username: 'ana\u202e' }),
    ],
    ['a user name that is a number', 1408, () => token({ preferred_username: 4711 })],
    ['a user name that is null', 1408, () => token({ preferred_username: null })],
    [
      'a service account for a user name',
      1408,
      () => token({ preferred_username: 'system:serviceaccount:kube-system:x' }),
    ],
    ['a subject that is a number', 1408, () => token({ sub: 4711 })],
    ['a subject with a line break', 1408, () => token({ sub: '4711\nx' })],
    ['no subject', 1408, () => token({ sub: undefined })],
    ['the group of masters', 1408, () => token({ groups: ['dev', 'system:masters'] })],
    ['the group of masters behind a space', 1408, () => token({ groups: [' system:masters'] })],
    ['a group with a NUL', 1408, () => token({ groups: ['dev\0'] })],
    ['an empty group', 1408, () => token({ groups: [''] })],
    ['a group that is an object', 1408, () => token({ groups: [{ name: 'dev' }] })],
    [
      'groups left out for their number',
      1409,
      () => token({ groups: undefined, _claim_names: { groups: 'src1' } }),
    ],
    ['the group of masters alone in a text', 1408, () => token({ groups: 'system:masters' })],
    ['a group in letters outside ASCII', 1408, () => token({ groups: ['dév'] })],
    ['a group that is a number', 1408, () => token({ groups: [7] })],
    ['groups that are an object', 1408, () => token({ groups: { dev: true } })],
    ['groups left out, said otherwise', 1409, () => token({ groups: undefined, hasgroups: true })],
    [
      'groups left out, said in a text',
      1409,
      () => token({ groups: undefined, hasgroups: 'true' }),
    ],
    [
      'groups left out, said in a third way',
      1409,
      () => token({ groups: undefined, 'groups:src1': 'x' }),
    ],
    [
      'some groups there and others left out',
      1409,
      () => token({ _claim_names: { groups: 'src1' } }),
    ],
  ])('is refused: %s [%i]', async (_name, id, make) => {
    const error = await bed.refusal(`Bearer ${await make()}`)
    expect({ reason: error.reason, id: error.id }).toEqual({ reason: 'Unauthorized', id })
    expect(JSON.stringify(error.toStatus()).length).toBeLessThanOrEqual(1000)
  })
})

/** The same bytes: the last letter of a signature of 256 bytes has two bits to spare. */
function rewritten(signature: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = letters.indexOf(signature.at(-1) ?? '')
  return signature.slice(0, -1) + letters.charAt(last + 1)
}

describe('a request without a usable token', () => {
  it.each<[string, number, string | undefined]>([
    ['no header', 1401, undefined],
    ['an empty header', 1401, ''],
    ['a password', 1401, `Basic ${Buffer.from('ana:secret').toString('base64')}`],
    ['the word Bearer alone', 1401, 'Bearer'],
    ['Bearer and a space', 1401, 'Bearer '],
    ['two tokens', 1401, 'Bearer a.b.c d.e.f'],
    ['no JWT', 1402, 'Bearer abcdef'],
    ['a token longer than any', 1402, `Bearer ${'a'.repeat(33_000)}`],
    ['a token of 1 MB', 1402, `Bearer ${'a.'.repeat(500_000)}`],
    ['dots alone', 1402, 'Bearer ..'],
    ['four dots', 1402, 'Bearer ....'],
    ['a comma and a second token', 1401, 'Bearer a.b.c, Bearer d.e.f'],
  ])('is refused: %s [%i]', async (_name, id, header) => {
    expect((await bed.refusal(header)).id).toBe(id)
  })
})
