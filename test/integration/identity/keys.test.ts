/** How fresh the keys of a provider are: the rules of lib/identity/provider-keys.ts, as a clock sees them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { type Authenticator, createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { startJwksServer } from './jwks-server.ts'
import { HOUR, KeysBed, MINUTE, outcome, SECOND } from './keys-bed.ts'

let bed: KeysBed

beforeAll(async () => {
  bed = await KeysBed.start()
})

afterAll(async () => {
  await bed.close()
})

beforeEach(() => {
  bed.reset()
})

afterEach(() => {
  bed.stop()
})

const NOT_BY_US = 'Unauthorized 1404'

/** Asked for, answered and taken: who has an unknown key waits for what is under way. */
async function renewal(authenticator: Authenticator, fetches: number): Promise<void> {
  await eventually('a renewal', () => bed.server.fetches.keys === fetches)
  await outcome(authenticator, bed.forged('unknown'))
}

describe('a new key', () => {
  it('is known with its first tokens, by one fetch for 500 of them', async () => {
    const authenticator = bed.open()
    await outcome(authenticator, await bed.bearer())
    bed.publish(bed.first, bed.second)
    bed.clock.advance(30 * SECOND)
    const headers = await Promise.all(Array.from({ length: 500 }, () => bed.bearer(bed.second)))
    const outcomes = await Promise.all(headers.map((header) => outcome(authenticator, header)))
    expect(new Set(outcomes)).toEqual(new Set(['ana']))
    expect(bed.server.fetches.keys).toBe(2)
  })

  it('is known after 30 s at the latest, also where the keys were fetched right before it came', async () => {
    const authenticator = bed.open()
    await outcome(authenticator, await bed.bearer())
    bed.publish(bed.second)
    bed.clock.advance(29 * SECOND)
    expect(await outcome(authenticator, await bed.bearer(bed.second))).toBe(NOT_BY_US)
    bed.clock.advance(1 * SECOND)
    expect(await outcome(authenticator, await bed.bearer(bed.second))).toBe('ana')
    expect(await outcome(authenticator, await bed.bearer(bed.first))).toBe(NOT_BY_US)
  })

  it.each([
    ['is named as the old one was', 'first'],
    ['has no name, nor has its token', null],
  ])('is known also where it %s', async (_name, kid) => {
    const authenticator = bed.open()
    await outcome(authenticator, await bed.bearer())
    const { kid: _kid, ...nameless } = bed.second.publicJwk
    bed.server.keys = [kid === null ? nameless : { ...nameless, kid }]
    bed.clock.advance(30 * SECOND)
    const token = await bed.bearer(bed.second, kid)
    expect(await outcome(authenticator, token)).toBe('ana')
  })
})

describe('the keys are fetched', () => {
  it('once for many first requests at the same time', async () => {
    const authenticator = bed.open()
    const header = await bed.bearer()
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => outcome(authenticator, header)),
    )
    expect(new Set(outcomes)).toEqual(new Set(['ana']))
    expect(bed.server.fetches).toEqual({ discovery: 1, keys: 1 })
  })

  it('not before somebody needs them, and then every two minutes, also when nobody asks', async () => {
    const authenticator = bed.open()
    bed.clock.advance(1 * HOUR)
    expect(bed.server.fetches.keys).toBe(0)
    await outcome(authenticator, await bed.bearer())
    for (const fetches of [2, 3, 4]) {
      bed.clock.advance(2 * MINUTE)
      await renewal(authenticator, fetches)
    }
    authenticator.close()
    expect(bed.clock.pending).toBe(0)
  })

  it('at most once in 30 s, though 10,000 random key ids come in a second', async () => {
    const authenticator = bed.open({ isAsleep: true })
    await outcome(authenticator, await bed.bearer())
    const flood = async (count: number): Promise<void> => {
      const headers = Array.from({ length: count }, (_, n) => bed.forged(`${bed.now()}-${n}`))
      const outcomes = await Promise.all(headers.map((header) => outcome(authenticator, header)))
      expect(new Set(outcomes)).toEqual(new Set([NOT_BY_US]))
    }
    bed.clock.advance(1 * SECOND)
    await flood(10_000)
    bed.clock.advance(28 * SECOND)
    await flood(100)
    expect(bed.server.fetches.keys).toBe(1)
    bed.clock.advance(1 * SECOND)
    await flood(10_000)
    bed.clock.advance(29 * SECOND)
    await flood(100)
    expect(bed.server.fetches.keys).toBe(2)
  }, 30_000)

  it('at most once in 30 s for forged signatures under a known key id', async () => {
    const authenticator = bed.open({ isAsleep: true })
    await outcome(authenticator, await bed.bearer())
    for (let n = 0; n < 29; n += 1) {
      bed.clock.advance(1 * SECOND)
      expect(await outcome(authenticator, await bed.bearer(bed.second, 'first'))).toBe(NOT_BY_US)
    }
    expect(bed.server.fetches.keys).toBe(1)
  })
})

describe('a withdrawn key is refused within 5 minutes', () => {
  const GAPS: [string, number][] = [
    ['every second', 1 * SECOND],
    ['every 13 s', 13 * SECOND],
    ['every 59 s', 59 * SECOND],
    ['every 119 s', 119 * SECOND],
    ['every 299 s', 299 * SECOND],
    ['once in 20 minutes', 20 * MINUTE],
  ]
  /** After the first token, and so after the keys were fetched. */
  const WITHDRAWN = [0, 1, 59, 60, 119, 121, 239, 241, 600].map((seconds) => seconds * SECOND)

  it.each(GAPS)('where the same token comes %s', async (_name, gapMs) => {
    for (const withdrawnAfter of WITHDRAWN) {
      bed.reset()
      const authenticator = bed.open({ isAsleep: true })
      const header = await bed.bearer()
      expect(await outcome(authenticator, header)).toBe('ana')
      let accepted = 0
      bed.clock.advance(withdrawnAfter)
      bed.publish(bed.second)
      while (bed.clock.now() <= withdrawnAfter + 2 * gapMs + 6 * MINUTE) {
        if ((await outcome(authenticator, header)) === 'ana') accepted = bed.clock.now()
        bed.clock.advance(gapMs)
      }
      expect(accepted - withdrawnAfter).toBeLessThanOrEqual(5 * MINUTE)
      expect(await outcome(authenticator, header)).toBe(NOT_BY_US)
    }
  })

  it('by all who come at once after a night in which nobody asked', async () => {
    const authenticator = bed.open({ isAsleep: true })
    const headers = await Promise.all(Array.from({ length: 20 }, () => bed.bearer()))
    expect(await outcome(authenticator, headers[0] ?? '')).toBe('ana')
    bed.publish(bed.second)
    bed.clock.advance(10 * HOUR)
    const outcomes = await Promise.all(headers.map((header) => outcome(authenticator, header)))
    expect(new Set(outcomes)).toEqual(new Set([NOT_BY_US]))
  })

  it('also when the provider was away meanwhile and nobody has asked since', async () => {
    const authenticator = bed.open({ isAsleep: true })
    const header = await bed.bearer()
    expect(await outcome(authenticator, header)).toBe('ana')
    bed.server.isDown = true
    bed.clock.advance(5 * MINUTE)
    expect(await outcome(authenticator, header)).toBe('ana')
    bed.server.isDown = false
    bed.publish(bed.second)
    bed.clock.advance(5 * MINUTE)
    expect(await outcome(authenticator, header)).toBe(NOT_BY_US)
  })
})

describe('while the provider is away', () => {
  it('known keys serve for 24 hours, and no longer, and the next ones at once', async () => {
    const authenticator = bed.open()
    await outcome(authenticator, await bed.bearer())
    for (const fetches of [2, 3, 4, 5]) {
      bed.clock.advance(2 * MINUTE)
      await renewal(authenticator, fetches)
    }
    bed.clock.advance(90 * SECOND)
    bed.server.isDown = true
    for (let hour = 0; hour < 24; hour += 1) {
      expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
      bed.clock.advance(1 * HOUR)
    }
    expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
    bed.clock.advance(5 * MINUTE)
    expect(await outcome(authenticator, await bed.bearer())).toBe('ServiceUnavailable 1420')
    bed.server.isDown = false
    bed.clock.advance(2 * SECOND)
    expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
  })

  it('or slow, nobody with a known key waits while the keys are renewed in time', async () => {
    // Whoever waited for this one would wait longer than the test may take.
    const authenticator = bed.open({ isAsleep: true, fetchTimeoutMs: HOUR })
    await outcome(authenticator, await bed.bearer())
    bed.server.isSilent = true
    bed.clock.advance(121 * SECOND)
    for (let n = 0; n < 100; n += 1) {
      expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
      bed.clock.advance(1 * SECOND)
    }
    await eventually('one fetch is under way', () => bed.server.fetches.discovery === 2)
  })

  it('only those wait for it who come first after a long silence', async () => {
    const authenticator = bed.open({ isAsleep: true, fetchTimeoutMs: 100 })
    await outcome(authenticator, await bed.bearer())
    bed.server.isSilent = true
    bed.clock.advance(1 * HOUR)
    expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
    expect(bed.problems).toHaveLength(1)
    for (let n = 1; n < 31; n += 1) {
      bed.clock.advance(10 * SECOND)
      const before = bed.problems.length
      expect(await outcome(authenticator, await bed.bearer())).toBe('ana')
      // Who had waited would have seen the attempt fail.
      expect(bed.problems).toHaveLength(before)
      if (n % 3 === 0)
        await eventually('the attempt fails', () => bed.problems.length === before + 1)
    }
  })
})

describe('a provider that cannot be used', () => {
  it('is tried again: a gateway may start before its provider', async () => {
    bed.server.isDown = true
    const authenticator = bed.open()
    const header = await bed.bearer()
    expect(await outcome(authenticator, header)).toBe('ServiceUnavailable 1420')
    expect(await outcome(authenticator, header)).toBe('ServiceUnavailable 1420')
    expect(bed.problems).toHaveLength(1)
    bed.server.isDown = false
    bed.clock.advance(2 * SECOND)
    expect(await outcome(authenticator, header)).toBe('ana')
  })

  it.each<[string, () => unknown, RegExp]>([
    [
      'calls itself otherwise',
      () => ({ issuer: 'https://x', jwks_uri: `${bed.server.issuer}/keys` }),
      /calls itself/,
    ],
    [
      'has its keys at an http address',
      () => ({ issuer: bed.server.issuer, jwks_uri: 'http://127.0.0.1/keys' }),
      /no https address/,
    ],
    ['names no keys', () => ({ issuer: bed.server.issuer }), /no https address/],
    ['answers with a list', () => [], /not a JSON object/],
    [
      'answers with too much',
      () => ({ issuer: bed.server.issuer, padding: 'x'.repeat(1_100_000) }),
      /more than/,
    ],
  ])('lets nobody in: it %s', async (_name, metadata, problem) => {
    bed.server.metadata = metadata() as Record<string, unknown>
    expect(await outcome(bed.open(), await bed.bearer())).toBe('ServiceUnavailable 1420')
    expect(bed.problems.join()).toMatch(problem)
  })

  it('lets nobody in: its certificate is of another authority', async () => {
    const other = await startJwksServer()
    expect(await outcome(bed.open({ caFile: other.caFile }), await bed.bearer())).toBe(
      'ServiceUnavailable 1420',
    )
    await other.close()
    expect(bed.server.fetches.discovery).toBe(0)
  })

  it('lets nobody in: the file with its authority is missing', async () => {
    expect(await outcome(bed.open({ caFile: '/nowhere/ca.pem' }), await bed.bearer())).toBe(
      'ServiceUnavailable 1420',
    )
    expect(bed.problems.join()).toMatch(/ENOENT/)
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
      issuer: bed.server.issuer,
      audience: 'podgate',
      ...change,
    }))
    expect(() => createAuthenticator(configs)).toThrow(/oidc/)
  })
})
