/**
 * Tokens with one thing wrong in how they are signed. Rules: RFC 8725, RFC 7515, RFC 7518. What they
 * say is in bad-tokens.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { base64url, SHARED_SECRET, type Changes, TokenBed } from './token-bed.ts'

let bed: TokenBed

beforeAll(async () => {
  bed = await TokenBed.start()
})

afterAll(async () => {
  await bed.close()
})

const token = async (claims?: Changes, header?: Changes, key?: string): Promise<string> =>
  await bed.token(claims, header, key)

const P256_ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'

function asDer(signature: Buffer): Uint8Array {
  const integer = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x02, bytes.length + 1, 0]), bytes])
  const both = Buffer.concat([signature.subarray(0, 32), signature.subarray(32)].map(integer))
  return Buffer.concat([Buffer.from([0x30, both.length]), both])
}

/** Its header says ES256, its key and its signature are of P-384. */
async function onOtherCurve(): Promise<string> {
  const [, payload = '', signature = ''] = (
    await token({}, { alg: 'ES384', kid: 'p384' }, 'p384')
  ).split('.')
  return [base64url({ alg: 'ES256', kid: 'p384' }), payload, signature].join('.')
}

async function signatureOfAnother(): Promise<string> {
  const [, , signature = ''] = (await token({ preferred_username: 'bo' })).split('.')
  return await bed.withParts(([header = '', payload = '']) => [header, payload, signature])
}

function critical(): Promise<string> {
  return bed.signedAs('{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":true}')
}

describe('a token with nothing wrong', () => {
  it.each<[string, () => Promise<string>]>([
    ['signed with RS256', () => token()],
    ['signed with ES256', () => token({}, { alg: 'ES256', kid: 'ec' }, 'ec')],
    ['signed with EdDSA', () => token({}, { alg: 'EdDSA', kid: 'ed' }, 'ed')],
    ['without typ', () => token({}, { typ: undefined })],
    ['with its type in full', () => token({}, { typ: 'application/jwt' })],
    ['signed over a header written by hand', () => bed.signedAs('{"alg":"RS256","kid":"rsa"}')],
    ['with the address of keys, which nobody follows', () => token({}, { jku: bed.other.issuer })],
  ])('passes: %s', async (_name, make) => {
    const user = await bed.authenticator.authenticate(`Bearer ${await make()}`)
    expect(user).toMatchObject({ username: 'ana', uid: '4711', groups: ['dev'] })
  })
})

describe('a token with one thing wrong', () => {
  it.each<[string, number, () => Promise<string> | string]>([
    ['the key of a stranger', 1404, () => token({}, {}, 'stranger')],
    ['an unknown key id', 1404, () => token({}, { kid: 'unknown' })],
    ['a key id that is a path', 1404, () => token({}, { kid: '../../../dev/null' })],
    ['a key id that is an address', 1404, () => token({}, { kid: `${bed.other.issuer}/keys` })],
    ['a key id that is a query', 1404, () => token({}, { kid: "' OR 1=1 --" })],
    ['a key id that every object has', 1404, () => token({}, { kid: '__proto__' })],
    ['a key id of 20,000 letters', 1404, () => token({}, { kid: 'k'.repeat(20_000) })],
    ['a key id that is empty', 1404, () => token({}, { kid: '' })],
    ['a key id that is null', 1404, () => token({}, { kid: null })],
    ['a key id in a list', 1404, () => token({}, { kid: ['rsa'] })],
    ['a key id in capitals', 1404, () => token({}, { kid: 'RSA' })],
    ['a key id that is a number', 1404, () => token({}, { kid: 7 })],
    ['no key id, where several keys fit', 1404, () => token({}, { kid: undefined })],
    [
      'a key meant for encryption',
      1404,
      () => token({}, { kid: 'for-encryption' }, 'for-encryption'),
    ],
    ['a key that may sign only', 1404, () => token({}, { kid: 'for-signing' }, 'for-signing')],
    ['a key that may do nothing', 1404, () => token({}, { kid: 'for-nothing' }, 'for-nothing')],
    [
      'a key that is published with its private half',
      1404,
      () => token({}, { kid: 'private' }, 'private'),
    ],
    ['a key of 1,024 bits', 1404, () => bed.signedAs('{"alg":"RS256","kid":"short"}', 'short')],
    ['a key on another curve', 1404, () => token({}, { alg: 'ES384', kid: 'p384' }, 'p384')],
    ['a key on another curve than its algorithm has', 1404, async () => onOtherCurve()],
    ['a certificate in its header (x5c)', 1404, () => token({}, { x5c: ['MIIB'] }, 'stranger')],
    [
      'a digest of a certificate in its header (x5t)',
      1404,
      () => token({}, { x5t: 'YQ', kid: undefined }, 'stranger'),
    ],
    [
      'the key of a stranger in its header (jwk)',
      1404,
      () => token({}, { jwk: bed.key('stranger').publicJwk }, 'stranger'),
    ],
    [
      'an address of keys in its header (jku)',
      1404,
      () => token({}, { jku: `${bed.other.issuer}/keys` }, 'stranger'),
    ],
    [
      'an address of a certificate in its header (x5u)',
      1404,
      () => token({}, { x5u: `${bed.other.issuer}/cert` }, 'stranger'),
    ],
    [
      'algorithm none',
      1404,
      () => bed.withParts(([, payload = '']) => [base64url({ alg: 'none' }), payload, '']),
    ],
    [
      'algorithm None, capitalised',
      1404,
      () => bed.withParts(([, payload = '']) => [base64url({ alg: 'None' }), payload, '']),
    ],
    ['algorithm none, and a signature', 1404, () => bed.signedAs('{"alg":"none","kid":"rsa"}')],
    [
      'an algorithm with a space before it',
      1404,
      () => bed.signedAs('{"alg":" RS256","kid":"rsa"}'),
    ],
    ['an algorithm in small letters', 1404, () => bed.signedAs('{"alg":"rs256","kid":"rsa"}')],
    [
      'an algorithm that every object has',
      1404,
      () => bed.signedAs('{"alg":"constructor","kid":"rsa"}'),
    ],
    ['no algorithm', 1402, () => bed.signedAs('{"kid":"rsa"}')],
    ['an empty algorithm', 1402, () => bed.signedAs('{"alg":"","kid":"rsa"}')],
    ['algorithms in a list', 1402, () => bed.signedAs('{"alg":["RS256"],"kid":"rsa"}')],
    [
      'an algorithm that stands twice',
      1402,
      () => bed.signedAs('{"alg":"none","alg":"RS256","kid":"rsa"}'),
    ],
    [
      'an algorithm to encrypt',
      1404,
      () => bed.signedAs('{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}'),
    ],
    [
      'HS256 with the public key as text, a space before it',
      1404,
      async () => bed.hmac(` ${await bed.publicKeyAsPem()}`, 'rsa'),
    ],
    [
      'HS256 with the public key as the secret',
      1404,
      async () => bed.hmac(await bed.publicKeyAsPem(), 'rsa'),
    ],
    ['HS256 with a shared key from the key set', 1404, () => bed.hmac(SHARED_SECRET, 'shared')],
    [
      'an algorithm that is not allowed, its key published',
      1404,
      () => token({}, { alg: 'RS512', kid: 'rs512' }, 'rs512'),
    ],
    [
      'the algorithm of another key',
      1404,
      () =>
        bed.withParts(([, payload = '', signature = '']) => [
          base64url({ alg: 'ES256', kid: 'rsa' }),
          payload,
          signature,
        ]),
    ],
    [
      'a payload changed after signing',
      1404,
      () =>
        bed.withParts(([header = '', , signature = '']) => [
          header,
          base64url({ ...bed.goodClaims(), groups: ['admins'] }),
          signature,
        ]),
    ],
    [
      'a signature cut short',
      1404,
      () =>
        bed.withParts(([header = '', payload = '', signature = '']) => [
          header,
          payload,
          Buffer.from(signature, 'base64url').subarray(3).toString('base64url'),
        ]),
    ],
    [
      'a signature of zeros (CVE-2022-21449)',
      1404,
      () => bed.withSignature(() => new Uint8Array(64)),
    ],
    [
      'a signature of the order of the curve',
      1404,
      () => bed.withSignature(() => Buffer.from(P256_ORDER.repeat(2), 'hex')),
    ],
    ['a signature as certificates have it (DER)', 1404, () => bed.withSignature(asDer)],
    [
      'a signature and a byte more',
      1404,
      () => bed.withSignature((bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
    ],
    ['the signature of another token', 1404, () => signatureOfAnother()],
    [
      'no signature',
      1404,
      () => bed.withParts(([header = '', payload = '']) => [header, payload, '']),
    ],
    ['a critical extension', 1402, () => critical()],
    [
      'a critical extension that nobody knows',
      1402,
      () => bed.signedAs('{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}'),
    ],
    [
      'a list of critical extensions that is empty',
      1402,
      () => bed.signedAs('{"alg":"RS256","kid":"rsa","crit":[]}'),
    ],
    [
      'critical extensions of null',
      1402,
      () => bed.signedAs('{"alg":"RS256","kid":"rsa","crit":null}'),
    ],
    [
      'a payload that is not encoded (b64)',
      1402,
      () => bed.signedAs('{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}'),
    ],
    [
      'the same without being critical',
      1402,
      () => bed.signedAs('{"alg":"RS256","kid":"rsa","b64":false}'),
    ],
    [
      'the type of an access token, written in full',
      1402,
      () => token({}, { typ: 'application/at+jwt' }),
    ],
    ['the type of a security event', 1402, () => token({}, { typ: 'secevent+jwt' })],
    ['the type of a proof of possession', 1402, () => token({}, { typ: 'dpop+jwt' })],
    ['an empty type', 1402, () => token({}, { typ: '' })],
    ['a type that is a number', 1402, () => bed.signedAs('{"alg":"RS256","kid":"rsa","typ":7}')],
    ['the type of an access token', 1402, () => token({}, { typ: 'at+jwt' })],
    ['the type of a logout token', 1402, () => token({}, { typ: 'logout+jwt' })],
  ])('is refused: %s [%i]', async (_name, id, make) => {
    const error = await bed.refusal(`Bearer ${await make()}`)
    expect({ reason: error.reason, id: error.id }).toEqual({ reason: 'Unauthorized', id })
    expect(JSON.stringify(error.toStatus()).length).toBeLessThanOrEqual(1000)
  })

  it('never asks the address a header names', () => {
    expect(bed.other.fetches.keys).toBeLessThanOrEqual(1)
  })
})

/** n - s: the second signature of everybody who has the first one. */
function otherS(signature: Buffer): Uint8Array {
  const s = BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const other = (BigInt(`0x${P256_ORDER}`) - s).toString(16).padStart(64, '0')
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(other, 'hex')])
}

it('a second signature of one token is the same credential: it is revoked with the first', async () => {
  let second = ''
  const first = await bed.withSignature((signature) => {
    second = Buffer.from(otherS(signature)).toString('base64url')
    return signature
  })
  const twin = first.replace(/[^.]*$/, second)
  const [one, two] = await Promise.all(
    [first, twin].map(async (text) => await bed.authenticator.authenticate(`Bearer ${text}`)),
  )
  expect(twin).not.toBe(first)
  expect(two?.credential).toEqual(one?.credential)
})
