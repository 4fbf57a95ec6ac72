import { afterEach, describe, expect, it } from '@jest/globals'

import {
  SpdyConnection,
  type ConnectionEvents,
  type ConnectionOptions,
} from '../../../lib/spdy/connection.ts'
import type { CloseInfo } from '../../../lib/streams/session.ts'
import { bytesOf } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { closed, openWire, type Wire } from './raw-peer.ts'

const open: Wire[] = []
afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close()
})

async function connected(
  more: Partial<ConnectionEvents> = {},
  options: ConnectionOptions = {},
  role: 'server' | 'client' = 'server',
) {
  const wire = await openWire()
  open.push(wire)
  const clock = new FakeClock()
  const calls: string[] = []
  const closes: CloseInfo[] = []
  const connection = new SpdyConnection(
    wire.socket,
    new Uint8Array(0),
    role,
    {
      onStream: (id, headers) => {
        calls.push(`stream ${id} ${headers.get('streamtype')}`)
        connection.sendReply(id)
      },
      onReply: (id) => calls.push(`reply ${id}`),
      onData: (id, data, fin) => calls.push(`data ${id} ${data.length}${fin ? ' fin' : ''}`),
      onReset: (id, status) => calls.push(`reset ${id} ${status}`),
      onDrain: () => calls.push('drain'),
      endedCleanly: () => true,
      onClose: (info) => closes.push(info),
      ...more,
    },
    { clock, ...options },
  )
  return { ...wire, clock, connection, calls, closes }
}

const SILENCE = { type: 'PING' as const, id: 1 }

describe('SpdyConnection PING', () => {
  it('is echoed with its id', async () => {
    const { peer } = await connected()
    peer.send({ type: 'PING', id: 1 }, { type: 'PING', id: 0xffff_ffff })
    await peer.until(() => peer.has('PING 4294967295'))
    expect(peer.log).toEqual(['PING 1', 'PING 4294967295'])
  })

  it('of our own parity is an answer and gets none', async () => {
    const { peer } = await connected()
    peer.send({ type: 'PING', id: 2 }, { type: 'PING', id: 3 })
    await peer.until(() => peer.has('PING 3'))
    expect(peer.log).toEqual(['PING 3'])
  })

  it.each([
    { role: 'server' as const, ids: ['PING 2', 'PING 4', 'PING 6'] },
    { role: 'client' as const, ids: ['PING 1', 'PING 3', 'PING 5'] },
  ])('goes out of a $role each 15 s of silence; a dead peer is found within 75 s', async (row) => {
    const { peer, clock, connection } = await connected({}, {}, row.role)
    await clock.elapse(60_000, 15_000)
    await peer.until(() => peer.frames.length === 3)
    expect(peer.log).toEqual(row.ids)
    expect(connection.isOpen).toBe(true)
    clock.advance(15_000)
    expect(connection.isOpen).toBe(false)
    await connection.closed
  })

  it('is not needed while the peer speaks', async () => {
    const { peer, clock, connection, calls } = await connected()
    peer.send(peer.synStream(1, 'stdin'))
    for (let n = 1; n <= 10; n++) {
      peer.send({ type: 'DATA', streamId: 1, data: new Uint8Array(n), fin: false })
      // Each echo proves that the bytes before it were heard.
      peer.send({ type: 'PING', id: 2 * n + 1 })
      await peer.until(() => peer.has(`PING ${2 * n + 1}`))
      clock.advance(15_000)
    }
    expect(connection.isOpen).toBe(true)
    expect(calls).toHaveLength(11)
    expect(peer.log.filter((entry) => /^PING \d*[02468]$/.test(entry))).toEqual([])
  })

  it('says how a peer that fell silent was lost', async () => {
    const { clock, connection, closes } = await connected()
    await clock.elapse(75_000, 15_000)
    await connection.closed
    expect(closes).toEqual([{ kind: 'lost', detail: 'the peer stopped answering' }])
  })

  it('finds nobody dead while we do not read', async () => {
    const { clock, connection } = await connected()
    connection.pause()
    await clock.elapse(3_600_000, 15_000)
    expect(connection.isOpen).toBe(true)
  })

  it('gives a peer that does not take its output more time', async () => {
    const { peer, clock, connection } = await connected({}, { stalledTicks: 10 })
    peer.send(peer.synStream(1, 'stdout'), SILENCE)
    await peer.until(() => peer.has('PING 1'))
    peer.socket.pause()
    for (let n = 0; n < 64; n++) connection.sendData(1, new Uint8Array(1024 * 1024))
    clock.advance(150_000)
    expect(connection.isOpen).toBe(true)
    clock.advance(15_000)
    expect(connection.isOpen).toBe(false)
  })
})

describe('SpdyConnection keeps faults to itself:', () => {
  it('a handler that throws ends this connection with INTERNAL_ERROR', async () => {
    const { peer, connection, closes } = await connected({
      onData: () => {
        throw new Error('handler is broken')
      },
    })
    peer.send(peer.synStream(1, 'stdin'), {
      type: 'DATA',
      streamId: 1,
      data: bytesOf('x'),
      fin: false,
    })
    await connection.closed
    expect(closes).toEqual([{ kind: 'lost', detail: 'handling a frame: handler is broken' }])
    await peer.until(() => peer.ended)
    expect(peer.log.at(-1)).toBe('GOAWAY 1 2')
  })

  it('a violation is answered with GOAWAY PROTOCOL_ERROR and told once', async () => {
    const { socket, peer, clock, connection, closes } = await connected()
    peer.sendBytes(bytesOf('\x80\x03 this is no frame at all'), new Uint8Array(100_000))
    await connection.closed
    await peer.until(() => peer.ended)
    expect(peer.log).toEqual(['GOAWAY 0 1'])
    peer.sendBytes(new Uint8Array(100_000))
    clock.advance(2000)
    await closed(socket)
    expect(closes).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it('a peer that never reads cannot hold the socket', async () => {
    const { socket, peer, clock, connection } = await connected()
    peer.send(peer.synStream(1, 'stdout'), SILENCE)
    await peer.until(() => peer.has('PING 1'))
    peer.socket.pause()
    for (let n = 0; n < 64; n++) connection.sendData(1, new Uint8Array(1024 * 1024))
    connection.fail('enough')
    await connection.closed
    expect(socket.destroyed).toBe(false)
    clock.advance(2000)
    expect(socket.destroyed).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('a hundred sockets reset at once make a hundred ends and no exception', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => connected()))
    for (const { peer } of all) {
      peer.send(peer.synStream(1, 'stdin'))
      peer.socket.resetAndDestroy()
    }
    await Promise.all(all.map(({ connection }) => connection.closed))
    expect(all.map(({ closes }) => closes.length)).toEqual(all.map(() => 1))
    expect(all.reduce((sum, { clock }) => sum + clock.pending, 0)).toBe(0)
  })
})

describe('SpdyConnection limits', () => {
  it('the number of streams', async () => {
    const { peer, connection, closes, calls } = await connected({}, { limits: { maxStreams: 2 } })
    peer.send(...[1, 3, 5].map((id) => peer.synStream(id, 'data')))
    await connection.closed
    expect(calls).toEqual(['stream 1 data', 'stream 3 data'])
    expect(closes).toEqual([{ kind: 'lost', detail: 'more than 2 streams' }])
  })

  it('refuses streams after GOAWAY', async () => {
    const { peer, connection, closes } = await connected()
    peer.send(peer.synStream(1, 'data'), { type: 'GOAWAY', lastGoodStreamId: 0, status: 0 })
    peer.send(peer.synStream(3, 'data'))
    await connection.closed
    expect(closes).toEqual([{ kind: 'lost', detail: 'SYN_STREAM after GOAWAY' }])
  })
})

describe('SpdyConnection back-pressure', () => {
  it('asks its caller to wait above the high-water mark and says when there is room', async () => {
    const { peer, connection, calls } = await connected({}, { highWaterMark: 100_000 })
    peer.send(peer.synStream(1, 'stdout'), SILENCE)
    await peer.until(() => peer.has('PING 1'))
    calls.length = 0
    expect(connection.sendData(1, new Uint8Array(90_000))).toBe(true)
    expect(connection.sendData(1, new Uint8Array(90_000))).toBe(false)
    expect(connection.bufferedBytes).toBeGreaterThan(100_000)
    await peer.until(() => peer.text(1).length === 180_000)
    expect(calls).toEqual(['drain'])
    expect(connection.bufferedBytes).toBe(0)
  })

  it('says nothing about room that nobody waits for', async () => {
    const { peer, connection, calls } = await connected()
    peer.send(peer.synStream(1, 'stdout'), SILENCE)
    await peer.until(() => peer.has('PING 1'))
    expect(connection.sendData(1, new Uint8Array(200_000))).toBe(true)
    await peer.until(() => peer.text(1).length === 200_000)
    expect(calls).toEqual(['stream 1 stdout'])
  })

  it('keeps a slow line alive after finish as long as bytes leave', async () => {
    const { socket, peer, clock, connection } = await finishingBeforeAReaderThatWaits(1000)
    const before = socket.writableLength
    peer.socket.resume()
    await peer.until(() => socket.writableLength < before)
    clock.advance(1000)
    expect(socket.destroyed).toBe(false)
    await peer.until(() => peer.ended)
    expect(peer.log.at(-1)).toBe('GOAWAY 1 0')
    peer.socket.end()
    await connection.closed
  })

  it('waits by default a quarter of an hour for a reader that merely pauses', async () => {
    const { socket, clock, connection } = await finishingBeforeAReaderThatWaits(undefined)
    clock.advance(899_999)
    expect(socket.destroyed).toBe(false)
    clock.advance(1)
    await connection.closed
    clock.advance(2000)
    expect(socket.destroyed).toBe(true)
  })

  it('waits by default a minute for a client that has read all and does not close', async () => {
    const { socket, peer, clock, connection } = await connected()
    connection.finish()
    await peer.until(() => peer.ended)
    clock.advance(59_999)
    expect(connection.bufferedBytes).toBe(0)
    expect(socket.destroyed).toBe(false)
    clock.advance(1)
    await connection.closed
  })
})

async function finishingBeforeAReaderThatWaits(timeoutMs: number | undefined) {
  const all = await connected()
  all.peer.send(all.peer.synStream(1, 'stdout'), SILENCE)
  await all.peer.until(() => all.peer.has('PING 1'))
  all.peer.socket.pause()
  const piece = new Uint8Array(8 * 1024 * 1024)
  for (let n = 0; n < 8; n++) all.connection.sendData(1, piece)
  // A turn for the socket to take what it will, so that the rest is what stalls.
  await new Promise((resolve) => setImmediate(resolve))
  all.connection.finish(timeoutMs)
  return all
}
