/** Tokens that were verified a moment ago: each stands for its own person, and not for long. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { createKey, startJwksServer } from './jwks-server.ts'
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

describe('a token already seen', () => {
  it('is not shared: changing what one caller got changes nothing for the next', async () => {
    const authenticator = bed.open()
    const header = await bed.bearer()
    const user = await authenticator.authenticate(header)
    user.groups.push('system:masters')
    user.username = 'root'
    expect(await authenticator.authenticate(header)).toMatchObject({ username: 'ana', groups: [] })
  })

  it('stands for its own person only, also when requests interleave', async () => {
    const authenticator = bed.open()
    const people = Array.from({ length: 20 }, (_, index) => `person-${index}`)
    const headers = await Promise.all(people.map((name) => bed.bearer(bed.first, 'first', name)))
    const twice = [...headers, ...headers.toReversed()]
    const names = await Promise.all(twice.map((header) => outcome(authenticator, header)))
    expect(names).toEqual([...people, ...people.toReversed()])
  })

  it('is refused at its end', async () => {
    const authenticator = bed.open({ isAsleep: true })
    const header = await bed.bearer()
    expect(await outcome(authenticator, header)).toBe('ana')
    bed.clock.advance(48 * HOUR + MINUTE + SECOND)
    expect(await outcome(authenticator, header)).toBe('Unauthorized 1405')
  })

  it('stands for its own person also where the tokens are more than the cache holds and keys change', async () => {
    const neighbour = await startJwksServer()
    const third = await createKey('ES256', 'first')
    neighbour.keys = [third.publicJwk]
    const authenticator = bed.open({ maxCachedTokens: 16, others: [neighbour] })
    // The same names and the same key ids at both, so that only the issuer tells them apart.
    const tokens = await Promise.all(
      Array.from({ length: 80 }, async (_, n) => {
        const [server, key] = n % 2 === 0 ? [bed.server, bed.first] : [neighbour, third]
        const name = `person-${Math.floor(n / 2)}`
        return { name, issuer: server.issuer, header: await bed.bearer(key, 'first', name, server) }
      }),
    )
    const asks = fc.sample(fc.nat(tokens.length - 1), 2000)
    for (let n = 0; n < asks.length; n += 100) {
      if (n === 1000) {
        bed.publish(bed.second, bed.first)
        bed.clock.advance(40 * SECOND)
      }
      await Promise.all(
        asks.slice(n, n + 100).map(async (index) => {
          const { name, issuer, header } = tokens[index] ?? { header: '' }
          const user = await authenticator.authenticate(header)
          expect([user.username, user.uid, user.issuer]).toEqual([name, name, issuer])
        }),
      )
    }
    await neighbour.close()
  })

  it('is looked at again after a minute: by then its key may be no longer known', async () => {
    const authenticator = bed.open({ isAsleep: true })
    const header = await bed.bearer()
    expect(await outcome(authenticator, header)).toBe('ana')
    bed.publish(bed.second)
    bed.clock.advance(31 * SECOND)
    expect(await outcome(authenticator, await bed.bearer(bed.second))).toBe('ana')
    bed.clock.advance(29 * SECOND)
    expect(await outcome(authenticator, header)).toBe('Unauthorized 1404')
  })
})
