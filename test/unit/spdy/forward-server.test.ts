/** What a client does on one connection of a port-forward ends that connection and no other. */
import { afterEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { openSpdyForward } from '../../../lib/spdy/forward-client.ts'
import { acceptSpdyForward, type AcceptForwardOptions } from '../../../lib/spdy/forward-server.ts'
import type { Frame } from '../../../lib/spdy/frame.ts'
import type { ForwardConnection } from '../../../lib/streams/forward.ts'
import type { CloseInfo } from '../../../lib/streams/session.ts'
import { WatchedConnection } from '../../conformance/forward-suite.ts'
import { bytesOf } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { naiveEncode } from './naive-codec.ts'
import { openWire, type Wire } from './raw-peer.ts'

const wires: Wire[] = []

afterEach(async () => {
  for (const wire of wires.splice(0)) await wire.close()
})

async function serve(options: AcceptForwardOptions = {}) {
  const wire = await openWire()
  wires.push(wire)
  const clock = new FakeClock()
  const server = acceptSpdyForward(wire.socket, new Uint8Array(0), { clock, ...options })
  const connections: WatchedConnection[] = []
  const closes: CloseInfo[] = []
  server.start({
    onConnection: (connection) => void connections.push(new WatchedConnection(connection)),
    onClose: (info) => void closes.push(info),
  })
  const { peer } = wire
  const stream = (id: number, type: string, port: string, requestId?: string): Frame =>
    peer.forwardStream(id, [
      ['streamtype', type],
      ['port', port],
      ...(requestId === undefined ? [] : [['requestid', requestId] as const]),
    ])
  /** Everything sent so far has been handled. */
  const settled = async (): Promise<void> => {
    const { length } = peer.log
    peer.send({ type: 'PING', id: 2 * length + 1 })
    await peer.until(() => peer.has(`PING ${2 * length + 1}`))
  }
  /** Connection `n`, on streams 100n+1 and 100n+3. */
  const open = async (n: number): Promise<WatchedConnection> => {
    peer.send(stream(100 * n + 1, 'error', '80', `${n}`), stream(100 * n + 3, 'data', '80', `${n}`))
    await settled()
    const connection = connections.at(-1)
    if (connection === undefined) throw new Error('not opened')
    return connection
  }
  return { ...wire, clock, server, connections, closes, stream, settled, open }
}

describe('port-forward towards kubectl', () => {
  it('answers both streams at once and ends them as the kubelet does', async () => {
    const { peer, open, settled, server } = await serve()
    const one = await open(1)
    expect(peer.log.slice(0, 2)).toEqual(['SYN_REPLY 101', 'SYN_REPLY 103'])
    peer.send({ type: 'DATA', streamId: 101, data: bytesOf(''), fin: true })
    peer.send({ type: 'DATA', streamId: 103, data: bytesOf('hello'), fin: true })
    await one.until(() => one.ended)
    one.connection.write(bytesOf('bye'))
    one.connection.end()
    one.connection.finish()
    await settled()
    expect(peer.log.slice(3, 6)).toEqual(['DATA 103 "bye"', 'DATA 103 "" FIN', 'DATA 101 "" FIN'])
    expect(one.ends.map(({ kind }) => kind)).toEqual(['clean'])
    expect(server.load).toEqual({ streams: 0, connections: 0, heldBytes: 0 })
  })

  it.each([
    { name: 'no port', headers: [['streamtype', 'data']] },
    {
      name: 'port 0',
      headers: [
        ['streamtype', 'data'],
        ['port', '0'],
      ],
    },
    {
      name: 'port 65536',
      headers: [
        ['streamtype', 'data'],
        ['port', '65536'],
      ],
    },
    {
      name: 'port 0x50',
      headers: [
        ['streamtype', 'data'],
        ['port', '0x50'],
      ],
    },
    {
      name: 'port -1',
      headers: [
        ['streamtype', 'data'],
        ['port', '-1'],
      ],
    },
    {
      name: 'the type stdin',
      headers: [
        ['streamtype', 'stdin'],
        ['port', '80'],
      ],
    },
    { name: 'no type', headers: [['port', '80']] },
    {
      name: 'a request id of 100 letters',
      headers: [
        ['streamtype', 'data'],
        ['port', '80'],
        ['requestid', 'a'.repeat(100)],
      ],
    },
  ] as { name: string; headers: [string, string][] }[])(
    'refuses a stream with $name and goes on',
    async ({ headers }) => {
      const { peer, open, settled, closes } = await serve()
      peer.send(peer.forwardStream(1, headers))
      await settled()
      expect(peer.log[0]).toBe('RST_STREAM 1')
      const next = await open(1)
      expect([next.connection.port, next.connection.id]).toEqual([80, 1])
      expect(closes).toEqual([])
    },
  )

  it('takes the data stream before the error stream, and holds what comes on it', async () => {
    const { peer, stream, settled, connections } = await serve()
    peer.send(stream(1, 'data', '80', '0'))
    peer.send({ type: 'DATA', streamId: 1, data: bytesOf('early'), fin: false })
    peer.send(stream(3, 'error', '80', '0'))
    await settled()
    await connections[0]?.until(() => connections[0]?.text === 'early')
    expect(connections).toHaveLength(1)
  })

  it('pairs streams without a request id by their numbers, as before Kubernetes 1.4', async () => {
    const { peer, stream, settled, connections } = await serve()
    peer.send(stream(1, 'error', '80'), stream(3, 'data', '80'))
    peer.send(stream(5, 'error', '81'), stream(7, 'data', '81'))
    await settled()
    expect(connections.map(({ connection }) => connection.port)).toEqual([80, 81])
  })

  it.each([
    { name: 'of a connection that lives', type: 'data', port: '80' },
    { name: 'of a connection that lives, for another port', type: 'error', port: '81' },
  ])('refuses a second stream $name', async ({ type, port }) => {
    const { peer, stream, open, settled } = await serve()
    const one = await open(1)
    peer.send(stream(201, type, port, '1'))
    await settled()
    expect(peer.has('RST_STREAM 201')).toBe(true)
    peer.send({ type: 'DATA', streamId: 103, data: bytesOf('on'), fin: false })
    await one.until(() => one.text === 'on')
  })

  it.each([
    { half: 'error', says: 'DATA 1 "the data stream for port 80 did not come within 7 s"' },
    { half: 'data', says: 'RST_STREAM 1' },
  ])('ends the $half stream that stays alone, and nothing else', async ({ half, says }) => {
    const { peer, stream, open, settled, clock, server } = await serve({
      forward: { pairTimeoutMs: 7000 },
    })
    peer.send(stream(1, half, '80', '0'))
    const other = await open(1)
    clock.advance(7000)
    await settled()
    expect(peer.has(says)).toBe(true)
    expect(other.ends).toEqual([])
    expect(server.load.connections).toBe(1)
  })

  it('refuses connections above the limit and takes more when one has ended', async () => {
    const { peer, stream, open, settled, server } = await serve({ forward: { maxConnections: 2 } })
    const one = await open(1)
    await open(2)
    peer.send(stream(301, 'error', '80', '3'))
    await settled()
    expect(peer.has('RST_STREAM 301')).toBe(true)
    one.connection.fail()
    expect(server.load.connections).toBe(1)
    await open(4)
    expect(server.load.connections).toBe(2)
  })

  it('ignores late frames, answers unknown streams, and goes on', async () => {
    const { peer, open, settled, closes } = await serve()
    const one = await open(1)
    peer.send({ type: 'RST_STREAM', streamId: 103, status: 5 })
    await one.until(() => one.ends.length > 0)
    expect(one.ends.map(({ kind }) => kind)).toEqual(['reset'])
    peer.send(
      { type: 'DATA', streamId: 103, data: bytesOf('late'), fin: true },
      { type: 'RST_STREAM', streamId: 101, status: 5 },
      { type: 'RST_STREAM', streamId: 999, status: 5 },
      { type: 'DATA', streamId: 555, data: bytesOf('who?'), fin: false },
    )
    await settled()
    expect(peer.log.filter((entry) => entry.startsWith('RST'))).toEqual(['RST_STREAM 555'])
    await open(6)
    expect(closes).toEqual([])
  })

  it("takes client-go's reset after the pod has ended for the clean end it is", async () => {
    const { peer, open } = await serve()
    const one = await open(1)
    one.connection.end()
    await peer.until(() => peer.has('DATA 103 "" FIN'))
    peer.send({ type: 'RST_STREAM', streamId: 103, status: 5 })
    await one.until(() => one.ended)
    // What the error stream may still say comes after it.
    expect(peer.has('DATA 101 "" FIN')).toBe(false)
    one.connection.finish()
    await one.until(() => one.ends.length > 0)
    expect([one.ended, one.ends[0]?.kind]).toEqual([true, 'clean'])
    await peer.until(() => peer.has('DATA 101 "" FIN'))
  })

  it('pings a silent client and gives it up', async () => {
    const { peer, clock, closes } = await serve()
    await clock.elapse(75_000, 15_000)
    while (closes.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(closes[0]?.detail).toBe('the peer stopped answering')
    expect(peer.log.filter((entry) => entry.startsWith('PING')).length).toBeGreaterThan(1)
  })

  it('reads the same, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        async (cuts) => {
          const { peer, stream, connections } = await serve()
          const all = Buffer.concat(
            [
              stream(1, 'error', '80', '0'),
              stream(3, 'data', '80', '0'),
              { type: 'DATA' as const, streamId: 3, data: bytesOf('x'.repeat(50)), fin: false },
              stream(5, 'data', '81', '1'),
              { type: 'DATA' as const, streamId: 3, data: bytesOf('y'), fin: true },
              stream(7, 'error', '81', '1'),
            ].map(naiveEncode),
          )
          for (let at = 0, n = 0; at < all.length; n += 1) {
            const length = cuts[n % cuts.length] ?? 1
            peer.socket.write(all.subarray(at, at + length))
            at += length
            await new Promise((resolve) => setImmediate(resolve))
          }
          await peer.until(() => peer.has('SYN_REPLY 7'))
          expect(connections.map(({ connection }) => connection.port)).toEqual([80, 81])
          await connections[0]?.until(() => connections[0]?.ended === true)
          expect(connections[0]?.text).toBe(`${'x'.repeat(50)}y`)
        },
      ),
      { numRuns: 15 },
    )
  })
})

describe('port-forward from end to end', () => {
  it('10,000 connections one after the other and 200 at once leave nothing behind', async () => {
    const wire = await openWire()
    wires.push(wire)
    const server = acceptSpdyForward(wire.socket, new Uint8Array(0))
    wire.peer.socket.removeAllListeners('data')
    const client = openSpdyForward(wire.peer.socket, new Uint8Array(0))
    const echo = (connection: ForwardConnection): void =>
      connection.start({
        onData: (data) => void connection.write(data),
        onEnd: () => connection.finish(),
        onDrain() {},
        onClose() {},
      })
    server.start({ onConnection: echo, onClose() {} })
    const once = async (): Promise<string> => {
      const watched = new WatchedConnection(await client.open(80))
      watched.connection.write(bytesOf('ping'))
      watched.connection.end()
      await watched.until(() => watched.ends.length > 0)
      return `${watched.text} ${watched.ends[0]?.kind}`
    }
    for (let n = 0; n < 10_000; n += 1) {
      const said = await once()
      if (said !== 'ping clean') throw new Error(`${n}: ${said}`)
    }
    const parallel = await Promise.all(Array.from({ length: 200 }, once))
    expect(new Set(parallel)).toEqual(new Set(['ping clean']))
    expect(server.load).toEqual({ streams: 0, connections: 0, heldBytes: 0 })
  })
})
