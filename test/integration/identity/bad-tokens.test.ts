import { createHmac } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { CompactSign, exportSPKI, importJWK } from 'jose'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { type Authenticator, createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { createKey, type JwksServer, type SigningKey, startJwksServer } from './jwks-server.ts'

const NOW = 1_800_000_000
const ALGORITHMS = {
  rsa: 'RS256',
  twin: 'RS256',
  stranger: 'RS256',
  ec: 'ES256',
  ed: 'EdDSA',
  rs512: 'RS512',
  'for-encryption': 'RS256',
}

let server: JwksServer
let other: JwksServer
let authenticator: Authenticator
const keys = new Map<string, SigningKey>()

beforeAll(async () => {
  server = await startJwksServer()
  other = await startJwksServer()
  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    keys.set(name, await createKey(algorithm, name))
  }
  server.keys = [
    keyOf('rsa').publicJwk,
    keyOf('twin').publicJwk,
    keyOf('ec').publicJwk,
    keyOf('ed').publicJwk,
    keyOf('rs512').publicJwk,
    { ...keyOf('for-encryption').publicJwk, use: 'enc' },
    {
      kty: 'oct',
      kid: 'shared',
      k: Buffer.from('shared secret of 32 bytes length').toString('base64url'),
    },
  ]
  other.keys = [keyOf('stranger').publicJwk]
  authenticator = createAuthenticator(
    [server, other].map(({ issuer, caFile }) => ({
      issuer,
      caFile,
      audience: 'podgate',
      usernameClaim: 'preferred_username',
    })),
    { now: () => NOW * 1000 },
  )
})

afterAll(async () => {
  authenticator.close()
  await server.close()
  await other.close()
})

function keyOf(name: string): SigningKey {
  const key = keys.get(name)
  if (key === undefined) throw new Error(`no key ${name}`)
  return key
}

type Changes = Record<string, unknown>

function goodClaims(): Changes {
  return {
    iss: server.issuer,
    sub: '4711',
    aud: 'podgate',
    exp: NOW + 600,
    iat: NOW - 10,
    preferred_username: 'ana',
    groups: ['dev'],
  }
}

/** A token with one thing changed; `undefined` takes a claim away. */
function token(claims: Changes = {}, header: Changes = {}, key = 'rsa'): Promise<string> {
  const payload = JSON.stringify({ ...goodClaims(), ...claims })
  return new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: 'RS256', kid: 'rsa', typ: 'JWT', ...header })
    .sign(keyOf(key).privateKey)
}

function base64url(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString(
    'base64url',
  )
}

async function withParts(change: (parts: string[]) => string[]): Promise<string> {
  return change((await token()).split('.')).join('.')
}

async function signedWithPublicKey(): Promise<string> {
  const jwk = keyOf('rsa').publicJwk
  const publicKey = await importJWK(jwk, 'RS256', { extractable: true })
  const pem = ArrayBuffer.isView(publicKey) ? '' : await exportSPKI(publicKey)
  const input = `${base64url({ alg: 'HS256', kid: 'rsa' })}.${base64url(goodClaims())}`
  return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`
}

function signedWithSharedKey(): string {
  const input = `${base64url({ alg: 'HS256', kid: 'shared' })}.${base64url(goodClaims())}`
  const secret = 'shared secret of 32 bytes length'
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

async function refusal(header: string | undefined): Promise<GatewayError> {
  try {
    const user = await authenticator.authenticate(header)
    throw new Error(`let in as ${JSON.stringify(user)}`)
  } catch (error) {
    if (GatewayError.is(error)) return error
    throw error
  }
}

describe('a token with nothing wrong', () => {
  it.each<[string, () => Promise<string>]>([
    ['signed with RS256', () => token()],
    ['signed with ES256', () => token({}, { alg: 'ES256', kid: 'ec' }, 'ec')],
    ['signed with EdDSA', () => token({}, { alg: 'EdDSA', kid: 'ed' }, 'ed')],
    ['without typ', () => token({}, { typ: undefined })],
    [
      'with several audiences and the right azp',
      () => token({ aud: ['x', 'podgate'], azp: 'podgate' }),
    ],
    ['that ended 60 s ago', () => token({ exp: NOW - 60 })],
    ['that begins in 60 s', () => token({ nbf: NOW + 60 })],
    ['issued in 60 s', () => token({ iat: NOW + 60 })],
  ])('passes: %s', async (_name, make) => {
    const user = await authenticator.authenticate(`Bearer ${await make()}`)
    expect(user).toMatchObject({ username: 'ana', uid: '4711', groups: ['dev'], extra: {} })
    expect(user.issuer).toBe(server.issuer)
  })

  it('carries its end', async () => {
    const user = await authenticator.authenticate(`bearer ${await token()}`)
    expect(user.expiresAt).toBe((NOW + 600) * 1000)
  })
})

describe('a token with one thing wrong', () => {
  it.each<[string, number, () => Promise<string> | string]>([
    ['an audience of another client', 1407, () => token({ aud: 'other' })],
    ['no audience', 1407, () => token({ aud: undefined })],
    ['an empty list of audiences', 1407, () => token({ aud: [] })],
    ['an audience that only starts like ours', 1407, () => token({ aud: 'podgate2' })],
    ['an audience that is a number', 1407, () => token({ aud: 7 })],
    ['a list of audiences with a number', 1407, () => token({ aud: ['podgate', 7] })],
    ['several audiences and no azp', 1407, () => token({ aud: ['podgate', 'x'] })],
    [
      'several audiences and the azp of another',
      1407,
      () => token({ aud: ['podgate', 'x'], azp: 'x' }),
    ],
    ['an unknown issuer', 1403, () => token({ iss: 'https://evil.example' })],
    ['the issuer with a slash at its end', 1403, () => token({ iss: `${server.issuer}/` })],
    ['the issuer in a list', 1403, () => token({ iss: [server.issuer] })],
    ['no issuer', 1403, () => token({ iss: undefined })],
    ['the issuer over http', 1403, () => token({ iss: server.issuer.replace('https', 'http') })],
    ['the issuer of the neighbour', 1404, () => token({ iss: other.issuer })],
    ['an end 61 s ago', 1405, () => token({ exp: NOW - 61 })],
    ['no end', 1402, () => token({ exp: undefined })],
    ['an end that is a text', 1402, () => token({ exp: String(NOW + 600) })],
    ['a negative end', 1402, () => token({ exp: -1 })],
    ['an end beyond all dates', 1402, () => token({ exp: 1e300 })],
    ['a beginning in 61 s', 1406, () => token({ nbf: NOW + 61 })],
    ['a beginning that is a text', 1402, () => token({ nbf: 'now' })],
    ['a time of issue in 61 s', 1406, () => token({ iat: NOW + 61 })],
    ['no time of issue', 1402, () => token({ iat: undefined })],
    ['the key of a stranger', 1404, () => token({}, {}, 'stranger')],
    ['an unknown key id', 1404, () => token({}, { kid: 'unknown' })],
    ['a key id that is a path', 1404, () => token({}, { kid: '../../../dev/null' })],
    ['a key id that is a number', 1404, () => token({}, { kid: 7 })],
    ['no key id, where several keys fit', 1404, () => token({}, { kid: undefined })],
    [
      'a key meant for encryption',
      1404,
      () => token({}, { kid: 'for-encryption' }, 'for-encryption'),
    ],
    [
      'the key of a stranger in its header (jwk)',
      1404,
      () => token({}, { jwk: keyOf('stranger').publicJwk }, 'stranger'),
    ],
    [
      'an address of keys in its header (jku)',
      1404,
      () => token({}, { jku: `${other.issuer}/keys` }, 'stranger'),
    ],
    [
      'an address of a certificate in its header (x5u)',
      1404,
      () => token({}, { x5u: `${other.issuer}/cert` }, 'stranger'),
    ],
    [
      'algorithm none',
      1404,
      () => withParts(([, payload = '']) => [base64url({ alg: 'none' }), payload, '']),
    ],
    [
      'algorithm None, capitalised',
      1404,
      () => withParts(([, payload = '']) => [base64url({ alg: 'None' }), payload, '']),
    ],
    ['HS256 with the public key as the secret', 1404, signedWithPublicKey],
    ['HS256 with a shared key from the key set', 1404, signedWithSharedKey],
    [
      'an algorithm that is not allowed, its key published',
      1404,
      () => token({}, { alg: 'RS512', kid: 'rs512' }, 'rs512'),
    ],
    [
      'the algorithm of another key',
      1404,
      () =>
        withParts(([, payload = '', signature = '']) => [
          base64url({ alg: 'ES256', kid: 'rsa' }),
          payload,
          signature,
        ]),
    ],
    [
      'a payload changed after signing',
      1404,
      () =>
        withParts(([header = '', , signature = '']) => [
          header,
          base64url({ ...goodClaims(), groups: ['admins'] }),
          signature,
        ]),
    ],
    [
      'a signature cut short',
      1404,
      () =>
        withParts(([header = '', payload = '', signature = '']) => [
          header,
          payload,
          signature.slice(0, -4),
        ]),
    ],
    ['no signature', 1404, () => withParts(([header = '', payload = '']) => [header, payload, ''])],
    ['two parts only', 1402, () => withParts((parts) => parts.slice(0, 2))],
    ['five parts (encrypted)', 1402, () => withParts((parts) => [...parts, 'a', 'b'])],
    [
      'a payload that is no JSON',
      1402,
      () =>
        withParts(([header = '', , signature = '']) => [header, base64url('claims'), signature]),
    ],
    [
      'a payload that is a list',
      1402,
      () => withParts(([header = '', , signature = '']) => [header, base64url([]), signature]),
    ],
    [
      'a payload that is not UTF-8',
      1402,
      () =>
        withParts(([header = '', , signature = '']) => [
          header,
          Buffer.from([0xff, 0xfe]).toString('base64url'),
          signature,
        ]),
    ],
    [
      'a header that is no JSON',
      1402,
      () =>
        withParts(([, payload = '', signature = '']) => [base64url('header'), payload, signature]),
    ],
    ['a critical extension', 1402, () => critical()],
    ['the type of an access token', 1402, () => token({}, { typ: 'at+jwt' })],
    ['the type of a logout token', 1402, () => token({}, { typ: 'logout+jwt' })],
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
    ['groups left out, said otherwise', 1409, () => token({ groups: undefined, hasgroups: true })],
  ])('is refused: %s [%i]', async (_name, id, make) => {
    const error = await refusal(`Bearer ${await make()}`)
    expect({ reason: error.reason, id: error.id }).toEqual({ reason: 'Unauthorized', id })
    expect(JSON.stringify(error.toStatus()).length).toBeLessThanOrEqual(1000)
  })

  it('never asks the address a header names', () => {
    expect(other.fetches.keys).toBeLessThanOrEqual(1)
  })
})

function critical(): Promise<string> {
  const payload = new TextEncoder().encode(JSON.stringify(goodClaims()))
  return new CompactSign(payload)
    .setProtectedHeader({ alg: 'RS256', kid: 'rsa', crit: ['b64'], b64: true })
    .sign(keyOf('rsa').privateKey, { crit: { b64: true } })
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
  ])('is refused: %s [%i]', async (_name, id, header) => {
    expect((await refusal(header)).id).toBe(id)
  })
})
