/**
 * Sessions at their limits, from a real client leg through the gateway to a real upstream leg:
 * the right bytes arrive, and what is held meanwhile stays bounded (I6).
 */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { queryObjects } from 'node:v8'
import { crc32 } from 'node:zlib'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ExecTarget, Wire } from '../../../lib/kube/dial-exec.ts'
import type { Entry } from '../../../lib/recording/frame.ts'
import { replayEntries } from '../../../lib/recording/replay.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import { answer } from '../../fakes/scripted-api-server.ts'
import {
  CAT,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { STDIN_ID, SpdyWords, ask, spdyData, switched, webSocketFrame } from './hostile-bed.ts'
import { RawClient } from './raw-client.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  under = await startGatewayUnderTest(ground)
})

afterEach(async () => {
  await under.close()
})

const MIB = 1024 * 1024
const SUCCESS = Buffer.from('{"metadata":{},"status":"Success"}')

/** One end of the session: counts what comes, keeps no byte of it, and feeds with back-pressure. */
interface End {
  readonly leg: StreamSession
  readonly got: Map<StreamName, number>
  /** CRC of all bytes of a channel so far: none lost, doubled or moved. */
  readonly sums: Map<StreamName, number>
  readonly ended: Set<StreamName>
  /** The last bytes of a channel. */
  readonly last: Map<StreamName, string>
  closed: boolean
  /** Set by the test: `feed` writes nothing more. */
  stop: boolean
  /** Writes the pieces as fast as the leg takes them; gives how many it took before the end. */
  feed(channel: StreamName, pieces: Iterable<Uint8Array>): Promise<number>
}

function endOf(leg: StreamSession): End {
  let room = Promise.withResolvers<void>()
  const end: End = {
    leg,
    got: new Map(),
    sums: new Map(),
    ended: new Set(),
    last: new Map(),
    closed: false,
    stop: false,
    async feed(channel, pieces) {
      let taken = 0
      let rested = 0
      for (const piece of pieces) {
        if (end.closed || end.stop) break
        taken += piece.length
        // Also to see the end of the session, which comes from outside.
        if (taken - rested >= MIB / 16) {
          rested = taken
          await new Promise(setImmediate)
        }
        if (leg.write(channel, piece)) continue
        room = Promise.withResolvers()
        await room.promise
      }
      return taken
    },
  }
  leg.start({
    onData(channel, data) {
      end.got.set(channel, (end.got.get(channel) ?? 0) + data.length)
      end.sums.set(channel, crc32(data, end.sums.get(channel) ?? 0))
      const tail = `${end.last.get(channel) ?? ''}${Buffer.from(data.subarray(-64)).toString()}`
      end.last.set(channel, tail.slice(-64))
    },
    onEnd: (channel) => void end.ended.add(channel),
    onDrain: () => room.resolve(),
    onClose() {
      end.closed = true
      room.resolve()
    },
  })
  return end
}

/** Raw sockets of upgrades as the API server has them. */
const sockets: Duplex[] = []

beforeEach(() => {
  const take = under.cluster.upgrade
  under.cluster.upgrade = async (socket, request, head) => {
    sockets.push(socket)
    await take(socket, request, head)
  }
})

interface Opened {
  client: End
  pod: End
  /** The pod's end of the wire, to write frames to that no leg would. */
  wire: Duplex
}

async function open(wire: Wire, changes: Partial<ExecTarget> = {}): Promise<Opened> {
  const target = { ...CAT, ...changes }
  const leg = await under.kubectl('ana', wire).dial(target, {}, new AbortController().signal)
  const pod = endOf(under.cluster.sessions.at(-1) as StreamSession)
  return { client: endOf(leg), pod, wire: sockets.at(-1) as Duplex }
}

async function sealed(): Promise<SessionDocument> {
  const [document] = [...under.store.sessions.values()]
  await eventually('a sealed record', () => {
    return [...under.store.sessions.values()].every(({ end }) => end !== null)
  })
  return under.store.sessions.get(document?._id ?? '') as SessionDocument
}

async function* entries(id: string): AsyncGenerator<Entry, void, undefined> {
  for await (const some of replayEntries((seq) => under.store.getFrame(id, seq))) yield* some
}

/** What the transcript of the only session holds of one kind. */
async function recorded(
  kind: Entry['kind'],
): Promise<{ bytes: number; sum: number; count: number }> {
  const [id = ''] = under.store.sessions.keys()
  const found = { bytes: 0, sum: 0, count: 0 }
  for await (const entry of entries(id)) {
    if (entry.kind !== kind) continue
    found.bytes += entry.data.length
    found.sum = crc32(entry.data, found.sum)
    found.count += 1
  }
  return found
}

/**
 * Pieces of bytes that live anywhere in this process, both peers included. Each costs some 200 bytes
 * whatever it holds, so that of many small ones the number tells, and sizes tell nothing.
 */
function livePieces(): number {
  return queryObjects(Buffer, { format: 'count' })
}

/** What waits is gathered into entries of up to 8 KiB; without that it would be 15,000 and more. */
const PIECES_OF_OUTPUT = 3000
/** Of some 30,000 without a bound on writes. */
const PIECES_OF_INPUT = 8000

function sumOf(pieces: Iterable<Uint8Array>): number {
  let sum = 0
  for (const piece of pieces) sum = crc32(piece, sum)
  return sum
}

/** Many blocks of the same bytes, each byte in a frame of its own. */
const LETTERS = Buffer.from(Array.from({ length: 10_000 }, (_, n) => 97 + (n % 26)))
const BLOCKS = 100
const FRAMES = BLOCKS * LETTERS.length
const WHOLE = sumOf(Array.from({ length: BLOCKS }, () => LETTERS))

function inFrames(frame: (byte: Uint8Array) => Uint8Array): Buffer {
  return Buffer.concat(Array.from(LETTERS, (byte) => frame(Uint8Array.of(byte))))
}

async function flood(wire: Duplex, block: Buffer): Promise<void> {
  for (let n = 0; n < BLOCKS && !wire.destroyed; n += 1) {
    if (!wire.write(block)) await once(wire, 'drain')
  }
}

describe.each([
  ['WebSocket', 'SPDY'],
  ['SPDY', 'WebSocket'],
] as const)('over %s, and %s to the pod', (wire, toPod) => {
  beforeEach(() => {
    const take = under.cluster.upgrade
    const refuse = answer(403, 'not this wire')
    under.cluster.upgrade = (socket, request, head) => {
      const isWebSocket = request.headers.upgrade === 'websocket'
      return (isWebSocket === (toPod === 'WebSocket') ? take : refuse)(socket, request, head)
    }
  })

  it('input ends first, and the output after it is whole', async () => {
    const { client, pod } = await open(wire)
    client.leg.write('stdin', Buffer.from('question'))
    client.leg.end('stdin')
    await eventually('the end of input', () => pod.ended.has('stdin'))
    const pieces = Array.from({ length: 300 }, (_, n) => Buffer.alloc(10_000, `${n} answer `))
    await pod.feed('stdout', pieces)
    void pod.leg.finish(SUCCESS)
    await eventually('the end', () => client.closed)
    expect(pod.last.get('stdin')).toBe('question')
    expect(client.last.get('error')).toBe(String(SUCCESS))
    expect(client.sums.get('stdout')).toBe(sumOf(pieces))
    expect((await sealed()).end).toMatchObject({
      outcome: 'Completed',
      bytes: { stdin: 8, stdout: 3_000_000 },
    })
  })

  it('a command that ends while input still flows gives its status', async () => {
    const { client, pod } = await open(wire)
    function* endless(): Generator<Uint8Array> {
      const block = Buffer.alloc(32 * 1024, 'y\n')
      for (;;) yield block
    }
    const fed = client.feed('stdin', endless())
    await eventually('some input', () => (pod.got.get('stdin') ?? 0) > MIB)
    pod.leg.write('stdout', Buffer.from('enough'))
    void pod.leg.finish(SUCCESS)
    await eventually('the end', () => client.closed)
    expect(await fed).toBeGreaterThan(MIB)
    expect([client.last.get('stdout'), client.last.get('error')]).toEqual([
      'enough',
      String(SUCCESS),
    ])
    expect((await sealed()).end).toMatchObject({ outcome: 'Completed', exitCode: 0 })
  })

  it('of 10,000 sizes in a burst the last one arrives, and few others', async () => {
    const { client, pod } = await open(wire, { tty: true, stderr: false })
    const sizes = Array.from({ length: 10_000 }, (_, n) => `{"Width":${n + 1},"Height":24}\n`)
    await client.feed(
      'resize',
      sizes.map((size) => Buffer.from(size)),
    )
    await eventually(
      'the last size',
      () => pod.last.get('resize')?.includes('"Width":10000,') === true,
    )
    const received = pod.got.get('resize') ?? 0
    expect(received / 26).toBeLessThan(200)
    void pod.leg.finish(SUCCESS)
    await eventually('the end', () => client.closed)
    await sealed()
    expect((await recorded('resize')).bytes).toBe(received)
  })

  it(`${FRAMES} frames of one byte from the pod are the right bytes, in few writes`, async () => {
    const { client, pod, wire: raw } = await open(wire)
    // The store takes its time: all that can be held is held.
    under.store.holding = true
    // The streams of client-go: 1 error, 3 stdin, 5 stdout, 7 stderr.
    const block = inFrames((byte) =>
      toPod === 'SPDY' ? spdyData(5, byte) : Buffer.of(0x82, 2, 1, ...byte),
    )
    const fed = flood(raw, block)
    await eventually('frames on their way', () => under.store.held.length === 2)
    await settled(() => raw.writableLength)
    expect(livePieces()).toBeLessThan(PIECES_OF_OUTPUT)
    under.store.holding = false
    for (const seq of under.store.held) under.store.answer(seq)
    await fed
    void pod.leg.finish(SUCCESS)
    await eventually('the end', () => client.closed, 20_000)
    expect([client.got.get('stdout'), client.sums.get('stdout')]).toEqual([FRAMES, WHOLE])
    expect((await sealed()).end).toMatchObject({ outcome: 'Completed', bytes: { stdout: FRAMES } })
    expect(await recorded('stdout')).toMatchObject({ bytes: FRAMES, sum: WHOLE })
    expect(under.store.puts).toBeLessThan(FRAMES / 1000)
  }, 30_000)

  it(`${FRAMES} frames of one byte to a pod that does not read wait with the client`, async () => {
    const client = await RawClient.open(under)
    ask(under, client, wire)
    await switched(client)
    if (wire === 'SPDY') client.send(new SpdyWords().all())
    await eventually('a session', () => under.cluster.sessions.length > 0)
    const pod = endOf(under.cluster.sessions[0] as StreamSession)
    pod.leg.pause()
    const block = inFrames((byte) =>
      wire === 'SPDY'
        ? spdyData(STDIN_ID, byte)
        : webSocketFrame(2, Buffer.concat([Buffer.of(0), byte])),
    )
    const fed = flood(client.socket, block)
    await settled(() => client.socket.bytesWritten)
    expect(livePieces()).toBeLessThan(PIECES_OF_INPUT)
    pod.leg.resume()
    await fed
    await eventually('the last byte', () => pod.got.get('stdin') === FRAMES, 20_000)
    expect(pod.sums.get('stdin')).toBe(WHOLE)
    client.socket.destroy()
    expect((await sealed()).end).toMatchObject({ bytes: { stdin: FRAMES } })
  }, 30_000)

  describe('a client that stops reading 1 GiB', () => {
    const block = Buffer.from('lines and lines of a log that is not read\n'.repeat(1560))

    function* gibibyte(): Generator<Uint8Array> {
      for (let sent = 0; sent < 1024 * MIB; sent += block.length) yield block
    }

    /** Stopped after the first MiB, when nothing moves any more. */
    async function stopped(): Promise<Opened & { fed: Promise<number> }> {
      const opened = await open(wire)
      const fed = opened.pod.feed('stdout', gibibyte())
      await eventually('the first MiB', () => (opened.client.got.get('stdout') ?? 0) > MIB)
      opened.client.leg.pause()
      await settled(() => under.store.puts)
      return { ...opened, fed }
    }

    it('stops the pod, and all that the gateway was given is recorded when it leaves', async () => {
      const { client, pod, fed } = await stopped()
      expect(pod.leg.bufferedBytes).toBeGreaterThan(0)
      client.leg.abort('gone')
      // Socket buffers of the machine hold some MiB; a gateway that read on would hold the rest.
      expect(await fed).toBeLessThan(64 * MIB)
      const { end } = await sealed()
      expect(end).toMatchObject({ outcome: 'ClientLost' })
      const { bytes } = await recorded('stdout')
      expect(bytes).toBe(end?.bytes?.stdout)
      await eventually('the pod is free', () => pod.closed)
    }, 30_000)

    it('gets all of what was sent when it reads on', async () => {
      const { client, pod, fed } = await stopped()
      client.leg.resume()
      await eventually('32 MiB', () => (client.got.get('stdout') ?? 0) > 32 * MIB, 20_000)
      pod.stop = true
      const sent = await fed
      void pod.leg.finish(SUCCESS)
      await eventually('the end', () => client.closed, 20_000)
      expect(client.got.get('stdout')).toBe(sent)
      let sum = 0
      for (let n = 0; n < sent; n += block.length) sum = crc32(block, sum)
      expect(client.sums.get('stdout')).toBe(sum)
      expect((await sealed()).end).toMatchObject({ outcome: 'Completed', bytes: { stdout: sent } })
    }, 40_000)
  })
})
