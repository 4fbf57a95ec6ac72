/**
 * What every `StreamSession` promises, whatever the wire.
 *
 * A pair is the two legs we own, joined by a real loopback connection: `server`
 * is the leg towards kubectl (receives stdin and resize), `client` the leg
 * towards the API server (receives stdout, stderr and error). Both are opened
 * with all five channels.
 */
import { createHash } from 'node:crypto'

import { afterEach, describe, expect, it } from '@jest/globals'

import type { StreamName } from '../../lib/streams/channel.ts'
import type { StreamSession } from '../../lib/streams/session.ts'
import { bytesOf, observe, pseudoRandomBytes, sendAll, sliceRandomly } from './observe.ts'

export interface SessionPair {
  server: StreamSession
  client: StreamSession
  /** Ends what `connect` opened beside the legs themselves (listener, sockets). */
  close(): Promise<void>
}

export interface SessionSuiteOptions {
  name: string
  connect(): Promise<SessionPair>
}

const MIB = 1024 * 1024
const SUCCESS = new TextEncoder().encode('{"metadata":{},"status":"Success"}')
const FAILURE = new TextEncoder().encode('{"metadata":{},"status":"Failure","message":"no"}')

function digest(chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

export function sessionSuite(options: SessionSuiteOptions): void {
  const open: SessionPair[] = []

  async function connect(): Promise<SessionPair> {
    const pair = await options.connect()
    open.push(pair)
    return pair
  }

  afterEach(async () => {
    for (const pair of open.splice(0)) {
      pair.server.abort('test over')
      pair.client.abort('test over')
      await pair.close()
    }
  })

  async function observedPair() {
    const pair = await connect()
    return { ...pair, atServer: observe(pair.server), atClient: observe(pair.client) }
  }

  describe(`${options.name} carries bytes`, () => {
    it.each([1, 2, 3])('whole and in order on every channel, cut by seed %d', async (seed) => {
      const { server, client, atServer, atClient } = await observedPair()
      const rows: { from: 'server' | 'client'; channel: StreamName; data: Uint8Array }[] = [
        { from: 'client', channel: 'stdin', data: pseudoRandomBytes(seed * 10 + 1, 400_000) },
        { from: 'client', channel: 'resize', data: pseudoRandomBytes(seed * 10 + 2, 3_000) },
        { from: 'server', channel: 'stdout', data: pseudoRandomBytes(seed * 10 + 3, 500_000) },
        { from: 'server', channel: 'stderr', data: pseudoRandomBytes(seed * 10 + 4, 90_000) },
      ]
      await Promise.all(
        rows.map(async ({ from, channel, data }) => {
          const [leg, own] = from === 'server' ? [server, atServer] : [client, atClient]
          await sendAll(leg, own, channel, sliceRandomly(seed, data, 70_000))
        }),
      )
      for (const { from, channel, data } of rows) {
        const there = from === 'server' ? atClient : atServer
        await there.until(() => there.received(channel) >= data.length)
        expect(digest(there.chunks(channel))).toBe(digest([data]))
      }
    })

    it('of 20 MB both ways at once, with equal digests', async () => {
      const { server, client, atServer, atClient } = await observedPair()
      const up = sliceRandomly(4, pseudoRandomBytes(41, 20_000_000), 200_000)
      const down = sliceRandomly(5, pseudoRandomBytes(51, 20_000_000), 200_000)
      await Promise.all([
        sendAll(client, atClient, 'stdin', up),
        sendAll(server, atServer, 'stdout', down),
        atServer.until(() => atServer.received('stdin') === 20_000_000),
        atClient.until(() => atClient.received('stdout') === 20_000_000),
      ])
      expect(digest(atServer.chunks('stdin'))).toBe(digest(up))
      expect(digest(atClient.chunks('stdout'))).toBe(digest(down))
    })

    it('that came before start, after it and never from inside it', async () => {
      const { server, client } = await connect()
      const atClient = observe(client)
      client.write('stdin', bytesOf('early'))
      server.write('stdout', bytesOf('hello'))
      await atClient.until(() => atClient.text('stdout') === 'hello')
      const atServer = observe(server)
      expect(atServer.received('stdin')).toBe(0)
      await atServer.until(() => atServer.text('stdin') === 'early')
    })

    it('of no length without ending anything', async () => {
      const { server, client, atServer, atClient } = await observedPair()
      client.write('stdin', new Uint8Array(0))
      server.write('stdout', new Uint8Array(0))
      client.write('stdin', bytesOf('a'))
      server.write('stdout', bytesOf('b'))
      await atServer.until(() => atServer.text('stdin') === 'a')
      await atClient.until(() => atClient.text('stdout') === 'b')
      expect(atServer.ended).toEqual([])
      expect(atClient.ended).toEqual([])
    })
  })

  describe(`${options.name} half-close`, () => {
    it('of stdin comes after its last byte and leaves the output open', async () => {
      const { server, client, atServer, atClient } = await observedPair()
      expect(client.canHalfClose).toBe(server.canHalfClose)
      const input = pseudoRandomBytes(7, 300_000)
      await sendAll(client, atClient, 'stdin', sliceRandomly(7, input, 50_000))
      client.end('stdin')
      client.end('stdin')
      client.write('stdin', bytesOf(client.canHalfClose ? 'ignored after the end' : ''))
      client.write('resize', bytesOf('{"Width":1,"Height":2}\n'))
      await atServer.until(() => atServer.received('resize') > 0)
      server.write('stdout', bytesOf('still here'))
      await atClient.until(() => atClient.text('stdout') === 'still here')
      expect(digest(atServer.chunks('stdin'))).toBe(digest([input]))
      expect(atServer.ended).toEqual(client.canHalfClose ? ['stdin'] : [])
      expect(atServer.closes).toEqual([])
    })
  })

  describe(`${options.name} back-pressure`, () => {
    it('stops the writer of a reader that does not read, then lets it go on', async () => {
      const { server, client, atServer, atClient } = await observedPair()
      client.pause()
      const piece = pseudoRandomBytes(8, 64 * 1024)
      const sent: Uint8Array[] = []
      // The kernel's socket buffers take some MB first; 256 MiB would mean that nothing ever brakes.
      while (sent.length < 4096) {
        const drains = atServer.drains
        sent.push(piece)
        if (server.write('stdout', piece)) continue
        if (!(await atServer.comesSoon(() => atServer.drains > drains))) break
      }
      expect(sent.length).toBeLessThan(4096)
      expect(server.bufferedBytes).toBeGreaterThan(0)
      expect(server.bufferedBytes).toBeLessThan(2 * MIB)
      expect(atClient.received('stdout')).toBe(0)
      const drains = atServer.drains
      client.resume()
      await atServer.until(() => atServer.drains > drains)
      await atClient.until(() => atClient.received('stdout') === sent.length * piece.length)
      expect(digest(atClient.chunks('stdout'))).toBe(digest(sent))
      expect(server.bufferedBytes).toBe(0)
    })

    it('stops a writer of single bytes early, since each of them takes more than a byte', async () => {
      const { server, atServer, atClient } = await observedPair()
      let sent = 1
      while (sent < 100_000 && server.write('stdout', bytesOf('x'))) sent += 1
      expect(sent).toBeLessThan(2100)
      await atServer.until(() => atServer.drains > 0)
      await atClient.until(() => atClient.received('stdout') === sent)
      expect(server.write('stdout', bytesOf('x'))).toBe(true)
    })

    it('pause called inside onData delivers nothing more until resume', async () => {
      const { server, client } = await connect()
      const [atServer, atClient] = [observe(server), observe(client)]
      atServer.afterData = () => server.pause()
      const data = pseudoRandomBytes(9, 200_000)
      await sendAll(client, atClient, 'stdin', sliceRandomly(9, data, 300))
      await atServer.until(() => atServer.received('stdin') > 0)
      const first = atServer.received('stdin')
      expect(await atServer.comesSoon(() => atServer.received('stdin') > first)).toBe(false)
      atServer.afterData = () => {}
      server.resume()
      await atServer.until(() => atServer.received('stdin') === data.length)
      expect(digest(atServer.chunks('stdin'))).toBe(digest([data]))
    })
  })

  describe(`${options.name} end`, () => {
    it.each([
      { name: 'success', status: SUCCESS },
      { name: 'failure', status: FAILURE },
    ])('by finish brings all output, then the $name status, then a clean close', async (row) => {
      const { server, atServer, atClient } = await observedPair()
      const output = pseudoRandomBytes(10, 3 * MIB)
      for (const piece of sliceRandomly(10, output, 100_000)) server.write('stdout', piece)
      server.write('stderr', bytesOf('warning'))
      await Promise.all([
        server.finish(row.status),
        atClient.until(() => atClient.closes.length > 0),
      ])
      expect(digest(atClient.chunks('stdout'))).toBe(digest([output]))
      expect(atClient.text('stderr')).toBe('warning')
      expect(atClient.text('error')).toBe(new TextDecoder().decode(row.status))
      expect(atClient.order.slice(-1)).toEqual(['close'])
      expect(atClient.order.indexOf('error')).toBeGreaterThan(atClient.order.lastIndexOf('stdout'))
      expect(atClient.order.indexOf('error')).toBeGreaterThan(atClient.order.lastIndexOf('stderr'))
      expect(atClient.closes.map((info) => info.kind)).toEqual(['clean'])
      expect(atServer.closes.map((info) => info.kind)).toEqual(['local'])
    })

    it('by finish without a status closes cleanly too', async () => {
      const { server, atClient } = await observedPair()
      server.write('stdout', bytesOf('bye'))
      await Promise.all([
        server.finish(new Uint8Array(0)),
        atClient.until(() => atClient.closes.length > 0),
      ])
      expect(atClient.text('stdout')).toBe('bye')
      expect(atClient.received('error')).toBe(0)
      expect(atClient.closes.map((info) => info.kind)).toEqual(['clean'])
    })

    it('by finish is forced when the peer does not read', async () => {
      const { server, client, atServer } = await observedPair()
      client.pause()
      const piece = new Uint8Array(MIB)
      for (let n = 0; n < 64; n++) server.write('stdout', piece)
      await server.finish(SUCCESS, 200)
      expect(atServer.closes.map((info) => info.kind)).toEqual(['local'])
    })

    it.each(['server', 'client'] as const)(
      'by abort of the %s is never clean at the other',
      async (side) => {
        const { server, client, atServer, atClient } = await observedPair()
        const [leg, own, other] =
          side === 'server' ? [server, atServer, atClient] : [client, atClient, atServer]
        leg.abort('pulled')
        await Promise.all([
          own.until(() => own.closes.length > 0),
          other.until(() => other.closes.length > 0),
        ])
        expect(own.closes.map((info) => info.kind)).toEqual(['local'])
        expect(other.closes.map((info) => info.kind)).toEqual(['lost'])
      },
    )

    it('is told once, and nothing happens after it', async () => {
      const { server, client, atServer, atClient } = await observedPair()
      await Promise.all([
        server.finish(SUCCESS),
        server.finish(FAILURE),
        atClient.until(() => atClient.closes.length > 0),
      ])
      const before = [atServer.order.length, atClient.order.length]
      for (const leg of [server, client]) {
        leg.abort('again')
        leg.pause()
        leg.resume()
        leg.write('stdout', bytesOf('late'))
        leg.write('stdin', bytesOf('late'))
        leg.end('stdin')
        await leg.finish(SUCCESS, 100)
      }
      expect(await atServer.comesSoon(() => atServer.order.length > Number(before[0]))).toBe(false)
      expect([atServer.order.length, atClient.order.length]).toEqual(before)
      expect(atServer.closes).toHaveLength(1)
      expect(atClient.closes).toHaveLength(1)
      expect(server.bufferedBytes).toBe(0)
    })

    it('before start is told after it', async () => {
      const { server, client } = await connect()
      const atServer = observe(server)
      server.abort('gone')
      await atServer.until(() => atServer.closes.length > 0)
      const atClient = observe(client)
      await atClient.until(() => atClient.closes.length > 0)
      expect(atClient.closes.map((info) => info.kind)).toEqual(['lost'])
    })
  })
}
