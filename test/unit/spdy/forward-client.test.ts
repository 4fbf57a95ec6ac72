/** Whether a leg of port-forward is free again: all workers of the other end have answered. */
import { afterEach, describe, expect, it } from '@jest/globals'

import { openSpdyForward } from '../../../lib/spdy/forward-client.ts'
import { FakeClock } from './fake-clock.ts'
import { openWire, type Wire } from './raw-peer.ts'

const wires: Wire[] = []

afterEach(async () => {
  for (const wire of wires.splice(0)) await wire.close()
})

async function dial() {
  const wire = await openWire()
  wires.push(wire)
  const clock = new FakeClock()
  const session = openSpdyForward(wire.socket, new Uint8Array(0), { clock })
  let idle = 0
  session.start({ onClose: () => undefined, onIdle: () => (idle += 1) })
  const { peer } = wire
  const answer = (...ids: number[]): void =>
    peer.send(...ids.map((id) => ({ type: 'PING' as const, id })))
  return { peer, clock, session, answer, idle: () => idle }
}

/** What `promise` is by now. */
async function stateOf(promise: Promise<boolean>): Promise<boolean | 'open'> {
  return await Promise.race([promise, Promise.resolve('open' as const)])
}

describe('a leg towards the API server is settled', () => {
  it('when each of five PINGs has been answered, in any order', async () => {
    const { peer, clock, session, answer } = await dial()
    const timers = clock.pending
    const settled = session.settled(1000)
    await peer.until(() => peer.has('PING 9'))
    expect(peer.log).toEqual(['PING 1', 'PING 3', 'PING 5', 'PING 7', 'PING 9'])
    answer(9, 7, 1, 3)
    // Behind those four in the same stream of bytes.
    peer.send({ type: 'PING', id: 2 })
    await peer.until(() => peer.has('PING 2'))
    expect(await stateOf(settled)).toBe('open')
    answer(5)
    expect(await settled).toBe(true)
    expect(clock.pending).toBe(timers)
  })

  it.each([{ answered: [1, 3, 5, 7] }, { answered: [1, 1, 1, 1, 1, 11, 13] }, { answered: [] }])(
    'not on the answers $answered',
    async ({ answered }) => {
      const { peer, clock, session, answer } = await dial()
      const settled = session.settled(1000)
      answer(...answered)
      peer.send({ type: 'PING', id: 2 })
      await peer.until(() => peer.has('PING 2'))
      clock.advance(999)
      expect(await stateOf(settled)).toBe('open')
      clock.advance(1)
      expect(await settled).toBe(false)
    },
  )

  it('not when it is gone meanwhile, nor when it was', async () => {
    const { peer, clock, session } = await dial()
    const settled = session.settled(1000)
    peer.socket.destroy()
    expect(await settled).toBe(false)
    expect(await session.settled(1000)).toBe(false)
    expect(session.isOpen).toBe(false)
    expect(clock.pending).toBe(0)
  })
})

it('a leg is idle when its last connection is over and read to its end', async () => {
  const { peer, session, idle } = await dial()
  const opening = [session.open(80), session.open(81)]
  await peer.until(() => peer.has('SYN_STREAM 7'))
  peer.send(...[1, 3, 5, 7].map((id) => peer.synReply(id)))
  const [one, two] = await Promise.all(opening)
  const said: string[] = []
  const watch = { onEnd() {}, onDrain() {}, onClose: () => void said.push('over') }
  one?.start({ ...watch, onData() {} })
  two?.pause()
  two?.start({ ...watch, onData: (data) => void said.push(Buffer.from(data).toString()) })
  one?.fail()
  const end = (streamId: number, text: string) =>
    ({ type: 'DATA', streamId, fin: true, data: Buffer.from(text) }) as const
  peer.send(end(7, 'the last word'), end(5, ''), { type: 'PING', id: 2 })
  await peer.until(() => peer.has('PING 2'))
  expect([idle(), said]).toEqual([0, ['over']])
  two?.resume()
  await peer.until(() => peer.has('RST_STREAM 7'))
  await new Promise((resolve) => setImmediate(resolve))
  expect([idle(), said]).toEqual([1, ['over', 'the last word', 'over']])
})
