import { describe, expect, it } from '@jest/globals'

import { Delivery } from '../../../lib/websocket/delivery.ts'

/** A microtask later everything that was scheduled has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function begin(onData: (text: string, delivery: Delivery) => void = () => {}) {
  const log: string[] = []
  const delivery = new Delivery(() => log.push('ready'))
  const start = () =>
    delivery.start({
      onData(channel, data) {
        const text = new TextDecoder().decode(data)
        log.push(`${channel} ${text}`)
        onData(text, delivery)
      },
      onEnd: (channel) => log.push(`end ${channel}`),
      onDrain: () => log.push('drain'),
      onClose: ({ kind, detail }) => log.push(`close ${kind} ${detail}`),
    })
  const push = (text: string) =>
    delivery.push({ kind: 'data', channel: 'stdin', data: new TextEncoder().encode(text) })
  return { delivery, log, start, push }
}

describe('delivery', () => {
  it('keeps what comes before start, in order, and never calls from inside start', async () => {
    const { delivery, log, start, push } = begin()
    push('a')
    delivery.push({ kind: 'end', channel: 'stdin' })
    start()
    push('b')
    expect(log).toEqual([])
    await settled()
    expect(log).toEqual(['stdin a', 'end stdin', 'stdin b', 'ready'])
  })

  it('passes straight on while nothing waits', async () => {
    const { log, start, push } = begin()
    start()
    await settled()
    push('a')
    expect(log).toEqual(['ready', 'stdin a'])
  })

  it('delivers nothing more of a burst after a pause inside it', async () => {
    const { delivery, log, start, push } = begin((text, to) => {
      if (text !== 'c') to.pause()
    })
    start()
    await settled()
    for (const text of ['a', 'b', 'c']) push(text)
    expect(log).toEqual(['ready', 'stdin a'])
    delivery.resume()
    push('d')
    await settled()
    expect(log).toEqual(['ready', 'stdin a', 'stdin b'])
    delivery.resume()
    await settled()
    expect(log).toEqual(['ready', 'stdin a', 'stdin b', 'stdin c', 'stdin d'])
  })

  it('keeps the order when a handler pauses and resumes at once', async () => {
    const { log, start, push } = begin((_text, to) => {
      to.pause()
      to.resume()
    })
    start()
    await settled()
    for (const text of ['a', 'b', 'c']) push(text)
    await settled()
    expect(log.filter((line) => line !== 'ready')).toEqual(['stdin a', 'stdin b', 'stdin c'])
  })

  it('tells the end after what came before it, also over a pause', async () => {
    const { delivery, log, start, push } = begin()
    start()
    delivery.pause()
    push('a')
    delivery.close({ kind: 'clean', detail: 'x' })
    push('late')
    await settled()
    expect(log).toEqual([])
    delivery.resume()
    await settled()
    expect(log).toEqual(['stdin a', 'close clean x'])
  })

  it('tells the end at once when stopped, paused or not, and then nothing', async () => {
    const { delivery, log, start, push } = begin()
    start()
    delivery.pause()
    push('dropped')
    delivery.close({ kind: 'lost', detail: 'x' })
    delivery.stop()
    await settled()
    expect(log).toEqual(['close lost x'])
    delivery.close({ kind: 'clean', detail: 'y' })
    delivery.resume()
    delivery.drained()
    push('late')
    await settled()
    expect(log).toEqual(['close lost x'])
  })

  it('tells an end before start once started', async () => {
    const { delivery, log, start } = begin()
    delivery.stop()
    delivery.close({ kind: 'local', detail: 'x' })
    await settled()
    expect(log).toEqual([])
    start()
    await settled()
    expect(log).toEqual(['close local x'])
  })

  it('is started once', () => {
    const { start } = begin()
    start()
    expect(start).toThrow('once')
  })
})
