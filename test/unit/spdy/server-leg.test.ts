import { afterEach, describe, expect, it } from '@jest/globals'

import { bytesOf, observe } from '../../conformance/observe.ts'
import { bytes } from './naive-codec.ts'
import { closed, type RawPeer } from './raw-peer.ts'
import { accepted, closeWires, PIPE, wireWith } from './server-wire.ts'

const SUCCESS = '{"metadata":{},"status":"Success"}'
const FAILURE = '{"status":"Failure","message":"exit status 3"}'

afterEach(closeWires)

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
