import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { type Authenticator, createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { createKey, type JwksServer, type SigningKey, startJwksServer } from './jwks-server.ts'

let server: JwksServer
let first: SigningKey
let second: SigningKey
let nowMs = Date.now()
let problems: string[] = []

beforeAll(async () => {
  server = await startJwksServer()
  first = await createKey('RS256', 'first')
  second = await createKey('RS256', 'second')
})

afterAll(async () => {
  await server.close()
})

beforeEach(() => {
  nowMs = Date.now()
  problems = []
  server.keys = [first.publicJwk]
  server.fetches = { discovery: 0, keys: 0 }
  server.isDown = false
  server.metadata = undefined
})

function open(caFile: string = server.caFile): Authenticator {
  return createAuthenticator(
    [{ issuer: server.issuer, audience: 'podgate', caFile }],
    { now: () => nowMs, onProviderError: (_issuer, message) => problems.push(message) },
    { fetchTimeoutMs: 2_000 },
  )
}

let serial = 0

async function bearer(
  key: SigningKey,
  kid = key.publicJwk.kid ?? '',
  sub = 'ana',
): Promise<string> {
  serial += 1
  const now = Math.floor(nowMs / 1000)
  const token = await new SignJWT({ sub, jti: String(serial) })
    .setProtectedHeader({ alg: 'RS256', kid })
    .setIssuer(server.issuer)
    .setAudience('podgate')
    .setIssuedAt(now)
    .setExpirationTime(now + 7200)
    .sign(key.privateKey)
  return `Bearer ${token}`
}

async function outcome(authenticator: Authenticator, header: string): Promise<string> {
  try {
    return (await authenticator.authenticate(header)).username
  } catch (error) {
    return GatewayError.is(error) ? `${error.reason} ${error.id}` : 'another error'
  }
}

describe('the keys of a provider', () => {
  it('are fetched once for many first requests at the same time', async () => {
    const authenticator = open()
    const header = await bearer(first)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcome(authenticator, header)),
    )
    expect(new Set(outcomes)).toEqual(new Set(['ana']))
    expect(server.fetches).toEqual({ discovery: 1, keys: 1 })
  })

  it('are fetched at most once in 30 s, however many unknown key ids arrive', async () => {
    const authenticator = open()
    await outcome(authenticator, await bearer(first))
    for (const step of [0, 10_000, 10_000]) {
      nowMs += step
      const headers = await Promise.all(
        Array.from({ length: 40 }, (_, index) => bearer(second, `random-${step}-${index}`)),
      )
      await Promise.all(headers.map((header) => outcome(authenticator, header)))
    }
    expect(server.fetches.keys).toBe(1)
    nowMs += 10_001
    await Promise.all(
      ['a', 'b', 'c'].map(async (kid) => outcome(authenticator, await bearer(second, kid))),
    )
    expect(server.fetches.keys).toBe(2)
  })

  it('follow a rotation as soon as a token with the new key arrives', async () => {
    const authenticator = open()
    await outcome(authenticator, await bearer(first))
    server.keys = [second.publicJwk]
    nowMs += 31_000
    expect(await outcome(authenticator, await bearer(second))).toBe('ana')
    expect(await outcome(authenticator, await bearer(first))).toBe('Unauthorized 1404')
  })

  it('that were withdrawn end the tokens already seen after ten minutes', async () => {
    const authenticator = open()
    const header = await bearer(first)
    expect(await outcome(authenticator, header)).toBe('ana')
    server.keys = [second.publicJwk]
    nowMs += 600_001
    // The first request after that still passes and has the keys fetched behind it.
    await outcome(authenticator, header)
    await outcome(authenticator, await bearer(second))
    nowMs += 600_001
    expect(await outcome(authenticator, header)).toBe('Unauthorized 1404')
  })

  it('serve on while the provider is away, but not for more than an hour', async () => {
    const authenticator = open()
    expect(await outcome(authenticator, await bearer(first))).toBe('ana')
    server.isDown = true
    nowMs += 3_500_000
    expect(await outcome(authenticator, await bearer(first))).toBe('ana')
    nowMs += 200_000
    expect(await outcome(authenticator, await bearer(first))).toBe('ServiceUnavailable 1420')
    server.isDown = false
    nowMs += 31_000
    expect(await outcome(authenticator, await bearer(first))).toBe('ana')
  })
})

describe('a provider that cannot be used', () => {
  it('is tried again: a gateway may start before its provider', async () => {
    server.isDown = true
    const authenticator = open()
    const header = await bearer(first)
    expect(await outcome(authenticator, header)).toBe('ServiceUnavailable 1420')
    expect(await outcome(authenticator, header)).toBe('ServiceUnavailable 1420')
    expect(problems).toHaveLength(1)
    server.isDown = false
    nowMs += 2_001
    expect(await outcome(authenticator, header)).toBe('ana')
  })

  it.each<[string, () => unknown, RegExp]>([
    [
      'calls itself otherwise',
      () => ({ issuer: 'https://x', jwks_uri: `${server.issuer}/keys` }),
      /calls itself/,
    ],
    [
      'has its keys at an http address',
      () => ({ issuer: server.issuer, jwks_uri: 'http://127.0.0.1/keys' }),
      /no https address/,
    ],
    ['names no keys', () => ({ issuer: server.issuer }), /no https address/],
    ['answers with a list', () => [], /not a JSON object/],
    [
      'answers with too much',
      () => ({ issuer: server.issuer, padding: 'x'.repeat(1_100_000) }),
      /more than/,
    ],
  ])('lets nobody in: it %s', async (_name, metadata, problem) => {
    server.metadata = metadata() as Record<string, unknown>
    expect(await outcome(open(), await bearer(first))).toBe('ServiceUnavailable 1420')
    expect(problems.join()).toMatch(problem)
  })

  it('lets nobody in: its certificate is of another authority', async () => {
    const other = await startJwksServer()
    expect(await outcome(open(other.caFile), await bearer(first))).toBe('ServiceUnavailable 1420')
    await other.close()
    expect(server.fetches.discovery).toBe(0)
  })

  it('lets nobody in: the file with its authority is missing', async () => {
    expect(await outcome(open('/nowhere/ca.pem'), await bearer(first))).toBe(
      'ServiceUnavailable 1420',
    )
    expect(problems.join()).toMatch(/ENOENT/)
  })
})

describe('a token already seen', () => {
  it('is not shared: changing what one caller got changes nothing for the next', async () => {
    const authenticator = open()
    const header = await bearer(first)
    const user = await authenticator.authenticate(header)
    user.groups.push('system:masters')
    user.username = 'root'
    expect(await authenticator.authenticate(header)).toMatchObject({ username: 'ana', groups: [] })
  })

  it('stands for its own person only, also when requests interleave', async () => {
    const authenticator = open()
    const people = Array.from({ length: 20 }, (_, index) => `person-${index}`)
    const headers = await Promise.all(people.map((name) => bearer(first, 'first', name)))
    const twice = [...headers, ...headers.toReversed()]
    const names = await Promise.all(twice.map((header) => outcome(authenticator, header)))
    expect(names).toEqual([...people, ...people.toReversed()])
  })

  it('is refused at its end', async () => {
    const authenticator = open()
    const header = await bearer(first)
    expect(await outcome(authenticator, header)).toBe('ana')
    nowMs += 7_261_000
    expect(await outcome(authenticator, header)).toBe('Unauthorized 1405')
  })
})

describe('a config that is not safe', () => {
  it.each<[string, { issuer?: string; algorithms?: string[] }[]]>([
    ['a shared secret as the proof', [{ algorithms: ['RS256', 'HS256'] }]],
    ['no proof at all', [{ algorithms: ['none'] }]],
    ['a provider over http', [{ issuer: 'http://127.0.0.1:1' }]],
    ['one provider twice', [{}, {}]],
  ])('is not started with: %s', (_name, changes) => {
    const configs = changes.map((change) => ({
      issuer: server.issuer,
      audience: 'podgate',
      ...change,
    }))
    expect(() => createAuthenticator(configs)).toThrow(/oidc/)
  })
})
