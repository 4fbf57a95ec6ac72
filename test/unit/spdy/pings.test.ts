import { describe, expect, it } from '@jest/globals'

import { Pings } from '../../../lib/spdy/pings.ts'

describe('PINGs', () => {
  it.each([
    { role: 'client', ids: [1, 3, 5], other: 2 },
    { role: 'server', ids: [2, 4, 6], other: 1 },
  ] as const)('of a $role have ids of its parity', ({ role, ids, other }) => {
    const pings = new Pings(role)
    expect([pings.next(), pings.next(), pings.next()]).toEqual(ids)
    expect(ids.map((id) => pings.isOurs(id))).toEqual([true, true, true])
    expect(pings.isOurs(other)).toBe(false)
  })

  it('tell of their answer once, and of no other', () => {
    const pings = new Pings('client')
    const told: string[] = []
    const one = pings.next(() => told.push('one'))
    const two = pings.next(() => told.push('two'))
    pings.answered(two)
    pings.answered(two)
    pings.answered(99)
    expect(told).toEqual(['two'])
    pings.answered(one)
    expect(told).toEqual(['two', 'one'])
  })
})
