import { afterEach, describe, expect, it } from '@jest/globals'

import { acceptSpdySession } from '../../../lib/spdy/server-session.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import { bytesOf, observe } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { GO_FRAMES } from './fixtures.ts'
import { bytes, data } from './naive-codec.ts'
import { closed, openWire, type RawPeer } from './raw-peer.ts'
import { closeWires, PIPE, wireWith } from './server-wire.ts'

const SHELL: StreamName[] = ['error', 'stdin', 'stdout', 'resize']

afterEach(closeWires)

async function refusal(session: Promise<unknown>): Promise<unknown> {
  return await session.then(
    () => 'accepted',
    (error: unknown) => error,
  )
}

describe('acceptSpdySession', () => {
  it('answers each stream with an empty SYN_REPLY, one after the other', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0))
    for (const [n, name] of PIPE.entries()) {
      const streamId = 2 * n + 1
      peer.send(peer.synStream(streamId, name))
      await peer.until(() => peer.has(`SYN_REPLY ${streamId}`))
    }
    const leg = await session
    expect(leg).toMatchObject({ protocol: 'SPDY/3.1 v4.channel.k8s.io', canHalfClose: true })
    expect(peer.log).toEqual([1, 3, 5, 7].map((id) => `SYN_REPLY ${id}`))
    const blocks = peer.frames.map(
      (frame) => 'headerBlock' in frame && Buffer.from(frame.headerBlock),
    )
    expect(blocks[0]).toEqual(Buffer.from(bytes('78bbe3c6a7c2 000400fbff00000000 000000ffff')))
    expect(blocks[1]).toEqual(Buffer.from(bytes('000400fbff00000000 000000ffff')))
  })

  it('takes the bytes of a Go client, those that came with the request first', async () => {
    const wire = Buffer.concat(GO_FRAMES.slice(0, 3).map(({ frame }) => frame))
    const { peer, session } = await wireWith(wire.subarray(0, 50), {
      expected: ['error', 'stdin', 'stdout'],
    })
    peer.sendBytes(wire.subarray(50), data(3, bytesOf('hello'), 1))
    const seen = observe(await session)
    await seen.until(() => seen.ended.length > 0)
    expect(seen.text('stdin')).toBe('hello')
  })

  it('takes the streams in any order and by any growing ids', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0))
    peer.send(
      peer.synStream(1, 'stderr'),
      peer.synStream(127, 'stdin'),
      peer.synStream(129, 'error'),
      peer.synStream(0x7fff_ffff, 'stdout'),
    )
    const leg = await session
    leg.write('stdout', bytesOf('out'))
    leg.write('stderr', bytesOf('err'))
    await peer.until(() => peer.text(0x7fff_ffff) === 'out' && peer.text(1) === 'err')
  })

  it.each<{ name: string; frames: (peer: RawPeer) => Parameters<RawPeer['send']>; says: string }>([
    {
      name: 'the same stream twice',
      frames: (peer) => [peer.synStream(1, 'stdin'), peer.synStream(3, 'stdin')],
      says: 'second stdin stream',
    },
    {
      name: 'a second stdin in the place of resize',
      frames: (peer) => SHELL.map((name, n) => peer.synStream(2 * n + 1, n === 3 ? 'stdin' : name)),
      says: 'second stdin stream',
    },
    {
      name: 'a stream that the request did not ask for',
      frames: (peer) => [peer.synStream(1, 'stderr')],
      says: 'stderr stream that was not asked for',
    },
    {
      name: 'a stream of unknown type',
      frames: (peer) => [peer.synStream(1, 'data')],
      says: 'unknown type',
    },
    {
      name: 'two types in one header',
      frames: (peer) => [peer.synStream(1, 'stdin\0stdout')],
      says: 'unknown type',
    },
    {
      name: 'an even stream id',
      frames: (peer) => [peer.synStream(2, 'error')],
      says: 'our own side',
    },
    {
      name: 'a stream id used again',
      frames: (peer) => [peer.synStream(3, 'error'), peer.synStream(3, 'stdin')],
      says: 'SYN_STREAM 3 after 3',
    },
    {
      name: 'a unidirectional stream',
      frames: (peer) => [peer.synStream(1, 'error', { unidirectional: true })],
      says: 'unidirectional',
    },
    {
      name: 'data for a stream that does not exist',
      frames: () => [{ type: 'DATA', streamId: 9, data: bytesOf('x'), fin: false }],
      says: 'unknown stream 9',
    },
    {
      name: 'a reset of a stream it has just opened',
      frames: (peer) => [
        peer.synStream(1, 'error'),
        { type: 'RST_STREAM', streamId: 1, status: 5 },
      ],
      says: 'reset error',
    },
    {
      name: 'an answer to a stream nobody opened',
      frames: (peer) => [peer.synReply(1)],
      says: 'unknown stream 1',
    },
  ])('refuses the whole session for $name', async ({ frames, says }) => {
    const { socket, peer, session } = await wireWith(new Uint8Array(0), { expected: SHELL })
    peer.send(...frames(peer))
    expect(await refusal(session)).toMatchObject({
      reason: 'BadRequest',
      id: 1511,
      message: expect.stringContaining(says),
    })
    await peer.until(() => peer.ended)
    expect(peer.log.at(-1)).toMatch(/^GOAWAY \d+ [01]$/)
    expect(socket.writableEnded).toBe(true)
  })

  it.each([
    { name: 'garbage', wire: bytesOf('GET / HTTP/1.1\r\n\r\n'), goAway: 'GOAWAY 0 1' },
    {
      name: 'SETTINGS with a forged count',
      wire: bytes(`80030004 00000022 ffffffff ${'00'.repeat(30)}`),
      goAway: 'GOAWAY 0 1',
    },
  ])('refuses $name', async ({ wire, goAway }) => {
    const { peer, session } = await wireWith(new Uint8Array(0))
    peer.sendBytes(wire)
    expect(await refusal(session)).toMatchObject({ reason: 'BadRequest' })
    await peer.until(() => peer.ended)
    expect(peer.log).toEqual([goAway])
  })

  it('gives up after 30 s without all streams, and names the missing', async () => {
    const { socket, peer, clock, session } = await wireWith(new Uint8Array(0))
    peer.send(peer.synStream(1, 'error'), peer.synStream(3, 'stdin'))
    await peer.until(() => peer.has('SYN_REPLY 3'))
    clock.advance(29_999)
    expect(socket.writableEnded).toBe(false)
    clock.advance(1)
    expect(await refusal(session)).toMatchObject({
      reason: 'Timeout',
      id: 1512,
      message: expect.stringContaining('stdout, stderr stream within 30 s'),
    })
    peer.socket.end()
    await closed(socket)
    expect(clock.pending).toBe(0)
  })

  it.each([
    { name: 'closes', leave: (peer: RawPeer) => peer.socket.end() },
    { name: 'resets', leave: (peer: RawPeer) => peer.socket.resetAndDestroy() },
  ])('rejects when the client $name before its streams exist', async ({ leave }) => {
    const { socket, peer, clock, session } = await wireWith(new Uint8Array(0))
    leave(peer)
    expect(await refusal(session)).toMatchObject({ reason: 'BadRequest' })
    await closed(socket)
    expect(clock.pending).toBe(0)
  })

  it('rejects for a socket that was gone before', async () => {
    const wire = await openWire()
    wire.socket.destroy()
    const session = acceptSpdySession(wire.socket, new Uint8Array(0), {
      protocol: 'v4.channel.k8s.io',
      expected: PIPE,
      clock: new FakeClock(),
    })
    expect(await refusal(session)).toMatchObject({ reason: 'BadRequest' })
    await wire.close()
  })

  it('keeps stdin that came before the last stream, and what followed it, in order', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0))
    peer.send(
      peer.synStream(1, 'error'),
      peer.synStream(3, 'stdin'),
      { type: 'DATA', streamId: 3, data: bytesOf('a'), fin: false },
      peer.synStream(5, 'stdout'),
      { type: 'DATA', streamId: 3, data: bytesOf('b'), fin: false },
      peer.synStream(7, 'stderr'),
      { type: 'DATA', streamId: 3, data: bytesOf('c'), fin: true },
    )
    const seen = observe(await session)
    expect(seen.order).toEqual([])
    await seen.until(() => seen.ended.length > 0)
    expect(seen.order).toEqual(['stdin', 'stdin', 'stdin', 'end:stdin'])
    expect(seen.text('stdin')).toBe('abc')
  })

  it('refuses more early data than it is ready to hold', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0))
    const early = { type: 'DATA', streamId: 1, data: new Uint8Array(200_000), fin: false } as const
    peer.send(peer.synStream(1, 'stdin'), early, early)
    expect(await refusal(session)).toMatchObject({
      message: expect.stringContaining('data before all streams'),
    })
  })

  it('takes FIN with SYN_STREAM for an empty stdin', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0), { expected: ['error', 'stdin'] })
    peer.send(peer.synStream(1, 'error'), peer.synStream(3, 'stdin', { fin: true }))
    const seen = observe(await session)
    await seen.until(() => seen.ended.length > 0)
    expect(seen.ended).toEqual(['stdin'])
  })
})
