import { beforeEach, describe, expect, it } from '@jest/globals'

import { createRateLimit, type RateLimit } from '../../../lib/sign-in/rate-limit.ts'

let clock: number
let limit: RateLimit

beforeEach(() => {
  clock = 0
  limit = createRateLimit({ burst: 10, perSecond: 3, now: () => clock, maxAddresses: 3 })
})

function passes(address = '10.0.0.1'): boolean {
  try {
    limit.take(address)
    return true
  } catch (error) {
    expect(error).toMatchObject({ reason: 'TooManyRequests', id: 1458 })
    return false
  }
}

function passed(count: number, address?: string): number {
  return Array.from({ length: count }, () => passes(address)).filter(Boolean).length
}

describe('what one address may begin', () => {
  it('is a burst, and then what drips in', () => {
    expect(passed(20)).toBe(10)
    clock += 1000
    expect(passed(20)).toBe(3)
  })

  it('is as much under a flood as without one: who is refused takes nothing', () => {
    passed(10)
    let count = 0
    for (let n = 0; n < 600; n += 1) {
      clock += 100
      count += passed(1)
    }
    expect(count).toBe(180)
  })

  it('is no concern of another one', () => {
    passed(20)
    expect(passes('10.0.0.2')).toBe(true)
  })

  it.each<[string, string, string, boolean]>([
    ['two of one IPv6 network', '2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['one in short and one in long', '2001:db8::1', '2001:db8:0:0:5::1', true],
    ['two of two IPv6 networks', '2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['two of IPv4, as IPv6 writes them', '::ffff:10.0.0.1', '::ffff:10.0.0.2', false],
    ['the loopback and another', '::1', '2001:db8::1', false],
  ])('is shared or not: %s', (_name, one, other, isShared) => {
    passed(20, one)
    expect(passes(other)).toBe(!isShared)
  })

  it('is forgotten of the oldest when there are too many', () => {
    passed(20, 'a')
    for (const address of ['b', 'c', 'd']) passes(address)
    expect(passes('a')).toBe(true)
  })
})
