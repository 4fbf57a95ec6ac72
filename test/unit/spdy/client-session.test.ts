import { afterEach, describe, expect, it } from '@jest/globals'

import { openSpdySession, type OpenSpdyOptions } from '../../../lib/spdy/client-session.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import { bytesOf, observe } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { closed, openWire, type RawPeer, type Wire } from './raw-peer.ts'

const PIPE: StreamName[] = ['stdin', 'stdout', 'stderr', 'error']
const SUCCESS = '{"metadata":{},"status":"Success"}'

const open: Wire[] = []
afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close()
})

async function opening(options: Partial<OpenSpdyOptions> = {}) {
  const wire = await openWire()
  open.push(wire)
  const clock = new FakeClock()
  const session = openSpdySession(wire.socket, new Uint8Array(0), {
    protocol: 'v4.channel.k8s.io',
    streams: PIPE,
    clock,
    ...options,
  })
  // Looked at by the test later; a rejection before that is no unhandled one.
  session.catch(() => {})
  return { ...wire, clock, session }
}

async function opened() {
  const { socket, peer, clock, session } = await opening()
  peer.send(...[1, 3, 5, 7].map((id) => peer.synReply(id)))
  const leg = await session
  return { socket, peer, clock, leg, seen: observe(leg) }
}

const fin = (streamId: number, text = '') =>
  ({ type: 'DATA', streamId, data: bytesOf(text), fin: true }) as const
const reset = (streamId: number, status: number) =>
  ({ type: 'RST_STREAM', streamId, status }) as const
const goAway = (status: number) => ({ type: 'GOAWAY', lastGoodStreamId: 7, status }) as const

describe('openSpdySession', () => {
  it('opens the streams in the order of client-go, with nothing but their type', async () => {
    const { peer, session } = await opening({ streams: [...PIPE, 'resize'] })
    await peer.until(() => peer.frames.length === 5)
    expect(peer.log).toEqual([1, 3, 5, 7, 9].map((id) => `SYN_STREAM ${id}`))
    const texts = peer.frames.map(
      (frame) => 'headerBlock' in frame && Buffer.from(frame.headerBlock),
    )
    const names = ['error', 'stdin', 'stdout', 'stderr', 'resize']
    for (const [n, name] of names.entries()) {
      expect(texts[n]?.toString('latin1')).toContain(
        `streamtype\0\0\0${String.fromCharCode(name.length)}${name}`,
      )
    }
    peer.send(...[9, 7, 5, 3, 1].map((id) => peer.synReply(id)))
    expect(await session).toMatchObject({ protocol: 'SPDY/3.1 v4.channel.k8s.io' })
  })

  it('does not resolve before the last answer', async () => {
    const { peer, session } = await opening()
    let resolved = false
    void session.then(() => (resolved = true))
    peer.send(peer.synReply(1), peer.synReply(3), peer.synReply(5), { type: 'PING', id: 2 })
    await peer.until(() => peer.has('PING 2'))
    expect(resolved).toBe(false)
    peer.send(peer.synReply(7))
    await session
    expect(peer.log).toHaveLength(5)
  })

  it.each<{ name: string; act: (peer: RawPeer) => void; says: string }>([
    {
      name: 'refuses a stream',
      act: (peer) => peer.send(peer.synReply(1), reset(3, 3)),
      says: 'the peer reset stdin (status 3)',
    },
    { name: 'goes away', act: (peer) => void peer.socket.end(), says: 'the peer ended' },
    {
      name: 'answers a stream twice',
      act: (peer) => peer.send(peer.synReply(1), peer.synReply(1)),
      says: 'second SYN_REPLY',
    },
    {
      name: 'answers a stream that is not there',
      act: (peer) => peer.send(peer.synReply(2)),
      says: 'unknown stream 2',
    },
    {
      name: 'opens a stream itself',
      act: (peer) => peer.send(peer.synStream(2, 'stdin')),
      says: 'SYN_STREAM from a server',
    },
    {
      name: 'sends data before its answer',
      act: (peer) => peer.send(fin(5, 'early')),
      says: 'before SYN_REPLY',
    },
  ])('rejects when the server $name', async ({ act, says }) => {
    const { peer, clock, session } = await opening()
    act(peer)
    await expect(session).rejects.toMatchObject({
      reason: 'BadGateway',
      id: 1513,
      message: expect.stringContaining(says),
    })
    await peer.until(() => peer.ended)
    expect(clock.pending).toBe(0)
  })

  it('gives up when the answers do not come within 30 s', async () => {
    const { peer, clock, session } = await opening()
    peer.send(peer.synReply(1), { type: 'PING', id: 2 })
    await peer.until(() => peer.has('PING 2'))
    clock.advance(30_000)
    await expect(session).rejects.toMatchObject({ reason: 'Timeout', id: 1514 })
    await peer.until(() => peer.ended)
    expect(clock.pending).toBe(0)
  })
})

describe('the leg towards the API server', () => {
  it('sends stdin and its end', async () => {
    const { peer, leg } = await opened()
    leg.write('stdin', bytesOf('hello'))
    leg.end('stdin')
    await peer.until(() => peer.has('DATA 3 "" FIN'))
    expect(peer.log.slice(4)).toEqual(['DATA 3 "hello"', 'DATA 3 "" FIN'])
  })

  it('cuts large writes into frames that a Go reader can hold', async () => {
    const { peer, leg } = await opened()
    leg.write('stdin', new Uint8Array(200_000))
    const sizes = () =>
      peer.frames.flatMap((frame) => (frame.type === 'DATA' ? [frame.data.length] : []))
    await peer.until(() => sizes().length === 4)
    expect(sizes()).toEqual([65_536, 65_536, 65_536, 3_392])
  })

  it('drops what a server writes to stdin, as client-go does', async () => {
    const { peer, seen } = await opened()
    peer.send({ type: 'DATA', streamId: 3, data: bytesOf('echo'), fin: false }, fin(5, 'out'))
    await seen.until(() => seen.ended.includes('stdout'))
    expect(seen.order).toEqual(['stdout', 'end:stdout'])
  })

  it.each<{ name: string; act: (peer: RawPeer) => void; kind: string }>([
    {
      name: 'status, resets, GOAWAY and the end as clean',
      act: (peer) => {
        peer.send({ type: 'DATA', streamId: 1, data: bytesOf(SUCCESS), fin: false })
        peer.send(...[1, 3, 5, 7].map((id) => reset(id, 5)), goAway(0))
        peer.socket.end()
      },
      kind: 'clean',
    },
    {
      name: 'the end after the error stream was ended as clean',
      act: (peer) => {
        peer.send(fin(1, SUCCESS))
        peer.socket.end()
      },
      kind: 'clean',
    },
    {
      name: 'a reset after the error stream was ended as clean',
      act: (peer) => {
        peer.send(fin(1, SUCCESS))
        peer.socket.resetAndDestroy()
      },
      kind: 'clean',
    },
    { name: 'a bare end as lost', act: (peer) => void peer.socket.end(), kind: 'lost' },
    {
      name: 'the end after stdout but without a status as lost',
      act: (peer) => {
        peer.send(fin(5, 'half'), fin(7))
        peer.socket.end()
      },
      kind: 'lost',
    },
    {
      name: 'an end after GOAWAY with an error as lost',
      act: (peer) => {
        peer.send(fin(1, SUCCESS), goAway(2))
        peer.socket.end()
      },
      kind: 'lost',
    },
    {
      name: 'an output stream that was reset with an error as lost',
      act: (peer) => peer.send(reset(5, 6)),
      kind: 'lost',
    },
  ])('takes $name', async ({ act, kind }) => {
    const { socket, peer, clock, seen } = await opened()
    act(peer)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes.map((info) => info.kind)).toEqual([kind])
    peer.socket.end()
    await closed(socket)
    expect(clock.pending).toBe(0)
  })

  it('closes by itself after a complete goodbye that nobody follows up', async () => {
    const { peer, clock, seen } = await opened()
    peer.send(fin(1, SUCCESS), fin(3), fin(5), fin(7), goAway(0))
    await seen.until(() => seen.ended.length === 4)
    // The GOAWAY stands in the same bytes as the last FIN.
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(2000)
    await Promise.all([seen.until(() => seen.closes.length > 0), peer.until(() => peer.ended)])
    expect(seen.closes.map((info) => info.kind)).toEqual(['clean'])
  })

  it('delivers all that came before the end to a reader that was paused', async () => {
    const { peer, leg, seen } = await opened()
    seen.afterData = () => leg.pause()
    peer.sendBytes(
      ...Array.from({ length: 50 }, () =>
        Buffer.from('0000000500000001 61'.replaceAll(' ', ''), 'hex'),
      ),
    )
    peer.send(fin(1, SUCCESS), goAway(0))
    peer.socket.end()
    await seen.until(() => seen.received('stdout') === 1)
    expect(await seen.comesSoon(() => seen.order.length > 1)).toBe(false)
    seen.afterData = () => {}
    leg.resume()
    await seen.until(() => seen.closes.length > 0)
    expect(seen.received('stdout')).toBe(50)
    expect(seen.text('error')).toBe(SUCCESS)
    expect(seen.closes.map((info) => info.kind)).toEqual(['clean'])
  })

  it('abort leaves no queued stdin behind', async () => {
    const { socket, leg, seen } = await opened()
    leg.write('stdin', new Uint8Array(64 * 1024 * 1024))
    leg.abort('revoked')
    expect(socket.destroyed).toBe(true)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes).toEqual([{ kind: 'local', detail: 'revoked' }])
  })
})
