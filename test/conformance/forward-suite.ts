/**
 * What every `ForwardServerSession` promises, whatever the wire. The other end is a client of the
 * same wire; where that is our own leg towards the API server, it is tested along.
 */
import { createHash, type Hash } from 'node:crypto'

import { afterEach, describe, expect, it } from '@jest/globals'

import type {
  ConnectionEnd,
  ConnectionHandlers,
  ForwardConnection,
  ForwardLimits,
  ForwardServerSession,
} from '../../lib/streams/forward.ts'
import type { CloseInfo } from '../../lib/streams/session.ts'
import { bytesOf, pseudoRandomBytes, sliceRandomly } from './observe.ts'

/** One clock for every wire. */
export interface SuiteClock {
  now(): number
  every(ms: number, task: () => void): () => void
  after(ms: number, task: () => void): () => void
}

export interface ForwardPair {
  server: ForwardServerSession
  /** Opens a connection as a client does; ports come from `PORTS`, each once. */
  open(port: number): Promise<ForwardConnection>
  /** The client goes away without a word. */
  vanish(): void
  close(): Promise<void>
}

export interface ForwardSuiteOptions {
  name: string
  halfCloses: boolean
  connect(limits: Partial<ForwardLimits>, clock: SuiteClock): Promise<ForwardPair>
}

export const PORTS: readonly number[] = [8001, 8002, 8003, 8004, 65_535]

/** Time that the test moves; pings and patience do not come into it. */
export class SuiteTime implements SuiteClock {
  readonly #tasks = new Set<{ ms: number; task: () => void }>()

  now(): number {
    return 0
  }

  every(): () => void {
    return () => {}
  }

  after(ms: number, task: () => void): () => void {
    const entry = { ms, task }
    this.#tasks.add(entry)
    return () => this.#tasks.delete(entry)
  }

  get pending(): number {
    return this.#tasks.size
  }

  /** Runs what was to run after exactly `ms`. */
  elapse(ms: number): void {
    const due = [...this.#tasks].filter((entry) => entry.ms === ms)
    for (const entry of due) if (this.#tasks.delete(entry)) entry.task()
  }
}

export class WatchedConnection implements ConnectionHandlers {
  readonly connection: ForwardConnection
  readonly hash: Hash = createHash('sha256')
  readonly ends: ConnectionEnd[] = []
  text = ''
  received = 0
  drains = 0
  ended = false
  #waiting: { condition: () => boolean; resolve: () => void }[] = []

  constructor(connection: ForwardConnection) {
    this.connection = connection
    connection.start(this)
  }

  onData(data: Uint8Array): void {
    this.received += data.length
    this.hash.update(data)
    if (this.received < 10_000) this.text += Buffer.from(data).toString('latin1')
    this.#changed()
  }

  onEnd(): void {
    this.ended = true
    this.#changed()
  }

  onDrain(): void {
    this.drains += 1
    this.#changed()
  }

  onClose(end: ConnectionEnd): void {
    this.ends.push(end)
    this.#changed()
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }))
  }

  async send(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      const { drains } = this
      if (this.connection.write(piece)) continue
      await this.until(() => this.drains > drains || this.ends.length > 0)
    }
  }

  #changed(): void {
    const ready = this.#waiting.filter(({ condition }) => condition())
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter))
    for (const { resolve } of ready) resolve()
  }
}

interface Started extends ForwardPair {
  time: SuiteTime
  closes: CloseInfo[]
  /** Both ends of one connection. */
  join(port: number): Promise<{ client: WatchedConnection; server: WatchedConnection }>
  serverSide(port: number): Promise<ForwardConnection>
  isClosed: Promise<void>
}

export function forwardSuite(options: ForwardSuiteOptions): void {
  const open: ForwardPair[] = []

  afterEach(async () => {
    for (const pair of open.splice(0)) {
      pair.server.abort('test over')
      await pair.close()
    }
  })

  async function start(limits: Partial<ForwardLimits> = {}): Promise<Started> {
    const time = new SuiteTime()
    const pair = await options.connect(limits, time)
    open.push(pair)
    const closes: CloseInfo[] = []
    const closed = Promise.withResolvers<void>()
    const arrived = new Map<number, ForwardConnection>()
    const waiting = new Map<number, (connection: ForwardConnection) => void>()
    pair.server.start({
      onConnection(connection) {
        arrived.set(connection.port, connection)
        waiting.get(connection.port)?.(connection)
      },
      onClose(info) {
        closes.push(info)
        closed.resolve()
      },
    })
    const serverSide = (port: number): Promise<ForwardConnection> => {
      const connection = arrived.get(port)
      if (connection !== undefined) return Promise.resolve(connection)
      return new Promise((resolve) => waiting.set(port, resolve))
    }
    return {
      ...pair,
      time,
      closes,
      isClosed: closed.promise,
      serverSide,
      async join(port) {
        const [one, two] = await Promise.all([pair.open(port), serverSide(port)])
        return { client: new WatchedConnection(one), server: new WatchedConnection(two) }
      },
    }
  }

  describe(`port-forward over ${options.name}`, () => {
    it('carries bytes both ways on three connections at once, unchanged', async () => {
      const pair = await start()
      await Promise.all(
        [8001, 8002, 8003].map(async (port) => {
          const { client, server } = await pair.join(port)
          const data = pseudoRandomBytes(port, 600_000)
          const pieces = sliceRandomly(port, data, 100_000)
          await Promise.all([client.send(pieces), server.send(pieces)])
          await Promise.all(
            [client, server].map((side) => side.until(() => side.received === data.length)),
          )
          const digest = createHash('sha256').update(data).digest('hex')
          expect([client.hash.digest('hex'), server.hash.digest('hex')]).toEqual([digest, digest])
          expect(server.connection.port).toBe(port)
        }),
      )
    })

    it('delivers what came before start, in order', async () => {
      const pair = await start()
      const client = new WatchedConnection(await pair.open(8001))
      client.connection.write(bytesOf('one '))
      client.connection.write(bytesOf('two'))
      const connection = await pair.serverSide(8001)
      // A sibling's whole exchange comes in between.
      const other = await pair.join(8002)
      other.client.connection.write(bytesOf('other'))
      await other.server.until(() => other.server.text === 'other')
      const server = new WatchedConnection(connection)
      await server.until(() => server.text === 'one two')
    })

    it('says why one connection failed and goes on with the other', async () => {
      const pair = await start()
      const bad = await pair.join(8001)
      const good = await pair.join(8002)
      bad.server.connection.fail('nothing listens there')
      await bad.client.until(() => bad.client.ends.length > 0)
      expect(bad.client.ends).toEqual([{ kind: 'failed', detail: 'nothing listens there' }])
      await bad.server.until(() => bad.server.ends.length > 0)
      expect(bad.server.ends.map(({ kind }) => kind)).toEqual(['local'])
      good.client.connection.write(bytesOf('still here'))
      await good.server.until(() => good.server.text === 'still here')
    })

    it('keeps what comes for a paused connection while the other flows', async () => {
      const pair = await start()
      const slow = await pair.join(8001)
      const quick = await pair.join(8002)
      slow.server.connection.pause()
      slow.client.connection.write(new Uint8Array(100_000))
      quick.client.connection.write(bytesOf('quick'))
      await quick.server.until(() => quick.server.text === 'quick')
      expect(slow.server.received).toBe(0)
      slow.server.connection.resume()
      await slow.server.until(() => slow.server.received === 100_000)
      expect(slow.server.connection.bufferedBytes).toBe(0)
    })

    it('resets the connection that is stuck, alone', async () => {
      const pair = await start({ stuckMs: 12_345, maxConnectionBytes: 10_000 })
      const stuck = await pair.join(8001)
      const quick = await pair.join(8002)
      stuck.server.connection.pause()
      stuck.client.connection.write(new Uint8Array(50_000))
      while (stuck.server.connection.bufferedBytes <= 10_000) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      quick.client.connection.write(bytesOf('quick'))
      pair.time.elapse(12_345)
      await stuck.server.until(() => stuck.server.ends.length > 0)
      expect(stuck.server.ends.map(({ kind }) => kind)).toEqual(['reset'])
      await quick.server.until(() => quick.server.text === 'quick')
    })

    it('tells every connection once, and the session once, when the client is gone', async () => {
      const pair = await start()
      const one = await pair.join(8001)
      const two = await pair.join(8002)
      two.server.connection.pause()
      pair.vanish()
      await pair.isClosed
      for (const { server } of [one, two]) {
        await server.until(() => server.ends.length > 0)
        expect(server.ends.map(({ kind }) => kind)).toEqual(['reset'])
      }
      expect(pair.closes.map(({ kind }) => kind)).toEqual(['lost'])
    })

    it('finishes politely', async () => {
      const pair = await start()
      const { server } = await pair.join(8001)
      await pair.server.finish()
      await server.until(() => server.ends.length > 0)
      await pair.isClosed
      expect(pair.closes.map(({ kind }) => kind)).toEqual(['local'])
    })

    if (!options.halfCloses) return

    it('says why a connection failed whose client has half-closed', async () => {
      const pair = await start()
      const { client, server } = await pair.join(8001)
      client.connection.write(bytesOf('hello'))
      client.connection.end()
      await server.until(() => server.ended)
      // The kubelet ends the data stream first and says why afterwards.
      server.connection.end()
      server.connection.fail('nothing listens there')
      await client.until(() => client.ends.length > 0)
      expect(client.ends).toEqual([{ kind: 'failed', detail: 'nothing listens there' }])
    })

    it('finishes one connection behind what was written and goes on with the other', async () => {
      const pair = await start()
      const done = await pair.join(8001)
      const other = await pair.join(8002)
      done.server.connection.write(bytesOf('the last words'))
      done.server.connection.finish()
      await done.client.until(() => done.client.ends.length > 0)
      expect(done.client.text).toBe('the last words')
      expect(done.client.ends.map(({ kind }) => kind)).toEqual(['clean'])
      done.client.connection.write(bytesOf('too late'))
      other.client.connection.write(bytesOf('still here'))
      await other.server.until(() => other.server.text === 'still here')
      expect(done.server.text).toBe('')
    })

    it('half-closes either way, output after half-close included', async () => {
      const pair = await start()
      const { client, server } = await pair.join(8001)
      client.connection.write(bytesOf('question'))
      client.connection.end()
      await server.until(() => server.ended)
      expect(server.text).toBe('question')
      server.connection.write(bytesOf('answer'))
      server.connection.end()
      server.connection.finish()
      await client.until(() => client.ends.length > 0)
      await server.until(() => server.ends.length > 0)
      expect(client.text).toBe('answer')
      expect([...client.ends, ...server.ends].map(({ kind }) => kind)).toEqual(['clean', 'clean'])
    })

    it('resets one connection without words and goes on with the other', async () => {
      const pair = await start()
      const bad = await pair.join(8001)
      const good = await pair.join(8002)
      bad.server.connection.fail()
      await bad.client.until(() => bad.client.ends.length > 0)
      expect(bad.client.ends.map(({ kind }) => kind)).toEqual(['reset'])
      good.client.connection.fail()
      await good.server.until(() => good.server.ends.length > 0)
      expect(good.server.ends.map(({ kind }) => kind)).toEqual(['reset'])
      const third = await pair.join(8003)
      third.client.connection.write(bytesOf('third'))
      await third.server.until(() => third.server.text === 'third')
    })
  })
}
