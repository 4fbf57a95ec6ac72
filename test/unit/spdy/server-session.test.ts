import { afterEach, describe, expect, it } from '@jest/globals'

import { acceptSpdySession, type AcceptSpdyOptions } from '../../../lib/spdy/server-session.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import { bytesOf, observe } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { GO_FRAMES } from './fixtures.ts'
import { bytes, data } from './naive-codec.ts'
import { closed, openWire, type RawPeer, type Wire } from './raw-peer.ts'

const SHELL: StreamName[] = ['error', 'stdin', 'stdout', 'resize']
const PIPE: StreamName[] = ['error', 'stdin', 'stdout', 'stderr']
const SUCCESS = '{"metadata":{},"status":"Success"}'
const FAILURE = '{"status":"Failure","message":"exit status 3"}'

const open: Wire[] = []
afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close()
})

async function wireWith(head: Uint8Array, options: Partial<AcceptSpdyOptions> = {}) {
  const wire = await openWire()
  open.push(wire)
  const clock = new FakeClock()
  const session = acceptSpdySession(wire.socket, head, {
    protocol: 'v4.channel.k8s.io',
    expected: PIPE,
    clock,
    ...options,
  })
  return { ...wire, clock, session }
}

/** Opens the streams as kubectl does, ids 1, 3, 5, ...; then one more thing may follow at once. */
async function accepted(options: Partial<AcceptSpdyOptions> = {}) {
  const { socket, peer, clock, session } = await wireWith(new Uint8Array(0), options)
  const names = options.expected ?? PIPE
  peer.send(...names.map((name, n) => peer.synStream(2 * n + 1, name)))
  const leg = await session
  return { socket, peer, clock, leg, seen: observe(leg) }
}

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
    open.push(wire)
    wire.socket.destroy()
    const session = acceptSpdySession(wire.socket, new Uint8Array(0), {
      protocol: 'v4.channel.k8s.io',
      expected: PIPE,
      clock: new FakeClock(),
    })
    expect(await refusal(session)).toMatchObject({ reason: 'BadRequest' })
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

describe('the leg towards kubectl', () => {
  it('finishes in the order kubectl waits for', async () => {
    const { peer, leg, seen } = await accepted()
    leg.write('stdout', bytesOf('out'))
    const finished = leg.finish(bytesOf(SUCCESS))
    await peer.until(() => peer.ended)
    expect(peer.log.slice(4)).toEqual([
      'DATA 5 "out"',
      'DATA 5 "" FIN',
      'DATA 7 "" FIN',
      `DATA 1 "${SUCCESS}"`,
      'DATA 1 "" FIN',
      'DATA 3 "" FIN',
      'GOAWAY 7 0',
    ])
    peer.send(
      { type: 'RST_STREAM', streamId: 3, status: 5 },
      { type: 'GOAWAY', lastGoodStreamId: 0, status: 0 },
    )
    peer.socket.end()
    await finished
    expect(seen.closes).toEqual([{ kind: 'local', detail: 'finished' }])
  })

  it.each([
    { protocol: 'v4.channel.k8s.io' as const, status: FAILURE, want: FAILURE },
    { protocol: 'v4.channel.k8s.io' as const, status: SUCCESS, want: SUCCESS },
    { protocol: 'v3.channel.k8s.io' as const, status: FAILURE, want: 'exit status 3' },
    { protocol: 'v3.channel.k8s.io' as const, status: SUCCESS, want: '' },
    { protocol: 'v2.channel.k8s.io' as const, status: FAILURE, want: 'exit status 3' },
    { protocol: 'v2.channel.k8s.io' as const, status: SUCCESS, want: '' },
  ])('says $want on the error stream of $protocol', async ({ protocol, status, want }) => {
    const { peer, leg } = await accepted({ protocol })
    void leg.finish(bytesOf(status))
    await peer.until(() => peer.ended)
    expect(peer.text(1)).toBe(want)
    expect(peer.has('DATA 1 "" FIN')).toBe(true)
  })

  it('destroys a finished connection whose client does not close, after the time limit', async () => {
    const { socket, peer, clock, leg } = await accepted()
    const finished = leg.finish(bytesOf(SUCCESS), 5000)
    await peer.until(() => peer.ended)
    clock.advance(4999)
    expect(socket.destroyed).toBe(false)
    clock.advance(1)
    await finished
    // The last words' own time.
    clock.advance(2000)
    await closed(socket)
    expect(clock.pending).toBe(0)
  })

  it('reads on after finish, so that no byte of the client turns the end into a reset', async () => {
    const { peer, leg, seen } = await accepted()
    leg.pause()
    const finished = leg.finish(bytesOf(SUCCESS))
    peer.send({ type: 'DATA', streamId: 3, data: new Uint8Array(900_000), fin: true })
    peer.socket.end()
    await Promise.all([finished, peer.until(() => peer.ended)])
    expect(peer.has('GOAWAY 7 0')).toBe(true)
    expect(seen.received('stdin')).toBe(0)
  })

  it.each([
    { protocol: 'v4.channel.k8s.io' as const, says: /^\{.*"status":"Failure".*incomplete.*\}$/ },
    { protocol: 'v3.channel.k8s.io' as const, says: /^the gateway ended this session.*incomplete/ },
  ])('abort never looks like exit code 0 to a $protocol client', async ({ protocol, says }) => {
    const { peer, leg, seen } = await accepted({ protocol })
    leg.abort('store lost')
    await peer.until(() => peer.ended)
    expect(peer.text(1)).toMatch(says)
    expect(peer.log.at(-1)).toBe('GOAWAY 7 2')
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes).toEqual([{ kind: 'local', detail: 'store lost' }])
  })

  it.each<{ name: string; act: (peer: RawPeer) => void; kind: string; detail: string }>([
    {
      name: 'GOAWAY and the end as clean',
      act: (peer) => {
        peer.send(
          ...[1, 3, 5, 7].map((streamId) => ({ type: 'RST_STREAM' as const, streamId, status: 5 })),
          { type: 'GOAWAY', lastGoodStreamId: 0, status: 0 },
        )
        peer.socket.end()
      },
      kind: 'clean',
      detail: 'the peer ended the connection',
    },
    {
      name: 'a bare end as lost',
      act: (peer) => peer.socket.end(),
      kind: 'lost',
      detail: 'the peer ended the connection',
    },
    {
      name: 'GOAWAY with an error as lost',
      act: (peer) => {
        peer.send({ type: 'GOAWAY', lastGoodStreamId: 0, status: 2 })
        peer.socket.end()
      },
      kind: 'lost',
      detail: 'the peer ended the connection',
    },
    {
      name: 'a TCP reset as lost',
      act: (peer) => void peer.socket.resetAndDestroy(),
      kind: 'lost',
      detail: 'the connection was closed',
    },
    {
      name: 'an end inside a frame as lost, whatever was said before',
      act: (peer) => {
        peer.send({ type: 'GOAWAY', lastGoodStreamId: 0, status: 0 })
        peer.sendBytes(bytes('00000003 00000005 6162'))
        peer.socket.end()
      },
      kind: 'lost',
      detail: 'inside a frame',
    },
    {
      name: 'a reset of stdout with an error as lost',
      act: (peer) => peer.send({ type: 'RST_STREAM', streamId: 5, status: 6 }),
      kind: 'lost',
      detail: 'the peer reset stdout (status 6)',
    },
    {
      name: 'one stream more as lost',
      act: (peer) => peer.send(peer.synStream(9, 'resize')),
      kind: 'lost',
      detail: 'after all streams were opened',
    },
    {
      name: 'data on stdout as lost',
      act: (peer) => peer.send({ type: 'DATA', streamId: 5, data: bytesOf('x'), fin: false }),
      kind: 'lost',
      detail: 'a client sent data on stdout',
    },
    {
      name: 'data after FIN as lost',
      act: (peer) =>
        peer.send(
          { type: 'DATA', streamId: 3, data: bytesOf('x'), fin: true },
          { type: 'DATA', streamId: 3, data: bytesOf('y'), fin: false },
        ),
      kind: 'lost',
      detail: 'after FIN on stream 3',
    },
    {
      name: 'data after a reset as lost',
      act: (peer) =>
        peer.send(
          { type: 'RST_STREAM', streamId: 3, status: 5 },
          { type: 'DATA', streamId: 3, data: bytesOf('y'), fin: false },
        ),
      kind: 'lost',
      detail: 'unknown stream 3',
    },
    {
      name: 'HEADERS as lost',
      act: (peer) => {
        const headerBlock = peer.compressor.headers(['a', 'b'])
        peer.send({ type: 'HEADERS', streamId: 3, fin: false, headerBlock })
      },
      kind: 'lost',
      detail: 'HEADERS',
    },
    {
      name: 'a flood of PINGs as lost',
      act: (peer) =>
        peer.send(...Array.from({ length: 1001 }, () => ({ type: 'PING' as const, id: 1 }))),
      kind: 'lost',
      detail: 'PING flood',
    },
  ])('takes $name', async ({ act, kind, detail }) => {
    const { socket, peer, clock, seen } = await accepted()
    act(peer)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes).toEqual([{ kind, detail: expect.stringContaining(detail) }])
    peer.socket.end()
    await closed(socket)
    expect(clock.pending).toBe(0)
  })

  it('answers the end of the client by ending', async () => {
    const { peer } = await accepted()
    peer.socket.end()
    await peer.until(() => peer.ended)
    await peer.until(() => peer.closed)
  })

  it('tells of room that came before anybody listened', async () => {
    const { peer, session } = await wireWith(new Uint8Array(0), { highWaterMark: 1 })
    peer.send(...PIPE.map((name, n) => peer.synStream(2 * n + 1, name)))
    const leg = await session
    expect(leg.write('stdout', new Uint8Array(1_000_000))).toBe(false)
    await peer.until(() => peer.text(5).length === 1_000_000)
    expect(leg.bufferedBytes).toBe(0)
    const seen = observe(leg)
    await seen.until(() => seen.drains > 0)
    expect(seen.drains).toBe(1)
  })

  it('leaves frames alone that nobody needs', async () => {
    const { peer, seen } = await accepted()
    peer.send(
      { type: 'SETTINGS', entries: 3 },
      { type: 'WINDOW_UPDATE', streamId: 0, delta: 1 },
      { type: 'RST_STREAM', streamId: 99, status: 5 },
      { type: 'DATA', streamId: 5, data: bytesOf(''), fin: true },
      { type: 'DATA', streamId: 3, data: bytesOf('ok'), fin: false },
    )
    await seen.until(() => seen.text('stdin') === 'ok')
    expect(seen.closes).toEqual([])
    expect(seen.ended).toEqual(['stdout'])
  })
})
