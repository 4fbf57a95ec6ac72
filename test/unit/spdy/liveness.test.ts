import { describe, expect, it } from '@jest/globals'

import { Liveness } from '../../../lib/spdy/liveness.ts'

const IDLE = { unsentBytes: 0, reading: true }
const OPTIONS = { deadTicks: 4, stalledTicks: 8, pingWhilePaused: true }

function ticks(liveness: Liveness, count: number, state = IDLE): string[] {
  return Array.from({ length: count }, () => liveness.tick(state))
}

describe('Liveness', () => {
  it('pings a silent peer each tick and gives it up after the fourth', () => {
    const liveness = new Liveness(OPTIONS)
    expect(ticks(liveness, 5)).toEqual(['fine', 'ping', 'ping', 'ping', 'dead'])
  })

  it('leaves a peer alone that is heard of', () => {
    const liveness = new Liveness(OPTIONS)
    for (let n = 0; n < 20; n++) {
      liveness.heard()
      expect(liveness.tick(IDLE)).toBe('fine')
    }
  })

  it('starts over when the peer is heard at the last moment', () => {
    const liveness = new Liveness(OPTIONS)
    ticks(liveness, 4)
    liveness.heard()
    expect(ticks(liveness, 5)).toEqual(['fine', 'ping', 'ping', 'ping', 'dead'])
  })

  it('waits longer for a peer that has much unread output before it', () => {
    const liveness = new Liveness(OPTIONS)
    liveness.heard()
    liveness.sentData(32)
    expect(ticks(liveness, 9)).toEqual(['fine', ...Array.from({ length: 7 }, () => 'ping'), 'dead'])
  })

  it('does not take a little output for a reason to be silent', () => {
    const liveness = new Liveness(OPTIONS)
    liveness.heard()
    liveness.sentData(31)
    expect(ticks(liveness, 5)[4]).toBe('dead')
  })

  it('waits longer for a peer that takes no bytes, and does not ping into the queue', () => {
    const liveness = new Liveness(OPTIONS)
    const verdicts = ticks(liveness, 9, { unsentBytes: 1, reading: true })
    expect(verdicts).toEqual([...Array.from({ length: 8 }, () => 'fine'), 'dead'])
  })

  it('never gives up a stalled peer when TCP alone is to decide', () => {
    const liveness = new Liveness({ deadTicks: 4, stalledTicks: 0, pingWhilePaused: true })
    expect(ticks(liveness, 1000, { unsentBytes: 1, reading: true })).not.toContain('dead')
  })

  it('sends nothing towards the API server while nothing is read', () => {
    const liveness = new Liveness({ ...OPTIONS, pingWhilePaused: false })
    const verdicts = ticks(liveness, 9, { unsentBytes: 0, reading: false })
    expect(verdicts).toEqual(Array.from({ length: 9 }, () => 'fine'))
  })

  it('judges nobody while nothing is read, but still pings', () => {
    const liveness = new Liveness(OPTIONS)
    const verdicts = ticks(liveness, 9, { unsentBytes: 0, reading: false })
    expect(verdicts).toEqual(['fine', ...Array.from({ length: 8 }, () => 'ping')])
    expect(ticks(liveness, 4)).toEqual(['ping', 'ping', 'ping', 'dead'])
  })
})
