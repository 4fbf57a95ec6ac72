import { describe, expect, it } from '@jest/globals'

import { createResizeRelay, type ResizeRelay } from '../../../lib/proxy/resize.ts'
import { createManualTimers, type ManualTimers } from '../../fakes/manual-timers.ts'

interface Bed {
  relay: ResizeRelay
  timers: ManualTimers
  sent: string[]
}

function bed(): Bed {
  const timers = createManualTimers()
  const sent: string[] = []
  const relay = createResizeRelay((document) => sent.push(Buffer.from(document).toString()), timers)
  return { relay, timers, sent }
}

function size(width: number, height = 24): string {
  return `{"Width":${width},"Height":${height}}\n`
}

describe('the size of the terminal', () => {
  it('goes on at once', () => {
    const { relay, sent, timers } = bed()
    relay.push(Buffer.from(size(80)))
    expect(sent).toEqual([size(80)])
    expect(timers.waiting).toBe(0)
  })

  it('goes on at once again when the last one is old', async () => {
    const { relay, sent, timers } = bed()
    relay.push(Buffer.from(size(80)))
    await timers.advance(50)
    relay.push(Buffer.from(size(81)))
    expect(sent).toEqual([size(80), size(81)])
  })

  it('goes on twenty times a second at most, and the last one always', async () => {
    const { relay, sent, timers } = bed()
    for (let event = 0; event < 10_000; event += 1) {
      relay.push(Buffer.from(size(event % 500, event)))
      if (event % 10 === 9) await timers.advance(1)
    }
    await timers.advance(1000)
    expect(sent.length).toBeLessThanOrEqual(21)
    expect(sent.at(-1)).toBe(size(499, 9999))
    expect(timers.waiting).toBe(0)
  })

  it.each([
    ['cut at every byte', (size(80) + size(81)).split('')],
    ['several in one message', [size(79) + size(81)]],
    ['without a line break', ['{"Width":81,"Height":24}']],
    ['with fields that the pod does not know', ['{"Width":81,"Height":24,"DPI":96}']],
  ])('is found %s, and written anew', async (_name, chunks) => {
    const { relay, sent, timers } = bed()
    for (const chunk of chunks) relay.push(Buffer.from(chunk))
    await timers.advance(50)
    expect(sent.at(-1)).toBe(size(81))
  })

  it.each([
    ['no JSON', 'rm -rf /'],
    ['no size', '{"Width":"wide"}'],
    ['without end', `{"Width":1${'0'.repeat(4000)}`],
  ])('is not taken from what is %s, nor from what follows it', async (_name, text) => {
    const { relay, sent, timers } = bed()
    relay.push(Buffer.from(size(80)))
    relay.push(Buffer.from(text))
    relay.push(Buffer.from(size(81)))
    await timers.advance(1000)
    expect(sent).toEqual([size(80)])
  })

  it('does not go on after the end', async () => {
    const { relay, sent, timers } = bed()
    relay.push(Buffer.from(size(80)))
    relay.push(Buffer.from(size(81)))
    relay.stop()
    relay.push(Buffer.from(size(82)))
    await timers.advance(1000)
    expect(sent).toEqual([size(80)])
    expect(timers.waiting).toBe(0)
  })
})
