import { describe, expect, it } from '@jest/globals'

import {
  KeepAlive,
  TOWARDS_API_SERVER,
  TOWARDS_KUBECTL,
  type KeepAliveOptions,
} from '../../../lib/websocket/keep-alive.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'

function begin(options: KeepAliveOptions) {
  const clock = new FakeClock()
  const log: string[] = []
  const peer = { bytes: 0 }
  const keepAlive = new KeepAlive(
    {
      ping: () => log.push(`ping ${clock.now()}`),
      pong: () => log.push(`pong ${clock.now()}`),
      bytesRead: () => peer.bytes,
      giveUp: (detail) => {
        log.push(`${detail} (${clock.now()})`)
        keepAlive.stop()
      },
    },
    clock,
    options,
  )
  return { clock, log, peer, keepAlive }
}

describe('keep-alive towards kubectl', () => {
  it('pings a reading peer every 30 s', () => {
    const { clock, log, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.resume()
    clock.advance(100_000, () => keepAlive.heard())
    expect(log).toEqual(['ping 30000', 'ping 60000', 'ping 90000'])
  })

  it('sends pongs unasked while paused, often enough for 61 s, and calls nobody dead', () => {
    const { clock, log } = begin(TOWARDS_KUBECTL)
    clock.advance(120_000)
    expect(log.slice(0, 3)).toEqual(['pong 15000', 'pong 30000', 'pong 45000'])
    expect(log).toHaveLength(8)
  })

  it('gives a silent peer up within 75 s', () => {
    const { clock, log, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.resume()
    clock.advance(16_000, () => keepAlive.heard())
    clock.advance(75_000)
    expect(log.at(-1)).toMatch(/^no sign of life for 60 s \(90000\)$/)
  })

  it('starts counting anew after a pause', () => {
    const { clock, log, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.resume()
    clock.advance(45_000)
    keepAlive.pause()
    clock.advance(600_000)
    keepAlive.resume()
    clock.advance(59_000)
    expect(log.filter((line) => line.startsWith('no '))).toEqual([])
    clock.advance(16_000)
    expect(log.filter((line) => line.startsWith('no '))).toHaveLength(1)
  })

  it('takes bytes of an unfinished message for life, but not for ever', () => {
    const { clock, log, peer, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.resume()
    clock.advance(300_000, () => keepAlive.heard())
    clock.advance(45_000, () => (peer.bytes += 1))
    expect(log.at(-1)).toBe('no whole message within 30 s (345000)')
  })

  it('lets a slow peer be whose messages come whole', () => {
    const { clock, log, peer, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.resume()
    clock.advance(300_000, (now) => {
      peer.bytes += 1
      if (now % 20_000 === 0) keepAlive.heard()
    })
    expect(log.filter((line) => line.startsWith('no '))).toEqual([])
  })

  it('is silent after stop', () => {
    const { clock, log, keepAlive } = begin(TOWARDS_KUBECTL)
    keepAlive.stop()
    clock.advance(300_000)
    expect(log).toEqual([])
  })
})

describe('keep-alive towards the API server', () => {
  it('pings, and draws no conclusion from silence', () => {
    const { clock, log, keepAlive } = begin(TOWARDS_API_SERVER)
    keepAlive.resume()
    clock.advance(600_000)
    expect(log).toHaveLength(20)
    expect(log.every((line) => line.startsWith('ping '))).toBe(true)
  })

  it('sends nothing while paused', () => {
    const { clock, log } = begin(TOWARDS_API_SERVER)
    clock.advance(600_000)
    expect(log).toEqual([])
  })
})
