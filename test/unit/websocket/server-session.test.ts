import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'

import { afterEach, describe, expect, it } from '@jest/globals'
import { WebSocket } from 'ws'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import {
  acceptWebSocketSession,
  type AcceptOptions,
} from '../../../lib/websocket/server-session.ts'
import { observe } from '../../conformance/observe.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'
import { UpgradeServers } from '../../fakes/upgrade-server.ts'

const ALL: StreamName[] = ['error', 'stdin', 'stdout', 'stderr', 'resize']
const V5 = 'v5.channel.k8s.io'
const MIB = 1024 * 1024

const servers = new UpgradeServers()

afterEach(async () => await servers.close())

/** A server that accepts the next upgrade; `session` settles as `acceptWebSocketSession` does. */
async function listen(
  options: Partial<AcceptOptions> = {},
  { wrap = (socket: Duplex) => socket } = {},
) {
  const { promise: session, resolve, reject } = Promise.withResolvers<StreamSession>()
  // The tests await it in their own time.
  session.catch(() => undefined)
  const port = await servers.listen((request, socket, head) => {
    acceptWebSocketSession(request, wrap(socket), head, {
      protocol: V5,
      expected: ALL,
      clock: new FakeClock(),
      ...options,
    }).then(resolve, reject)
  })
  return { port, session }
}

async function dial(port: number, protocol: string = V5, options: object = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, [protocol], options)
  const messages: string[] = []
  ws.on('message', (data: Buffer) => messages.push(data.toString('latin1')))
  ws.on('error', () => undefined)
  await once(ws, 'open')
  return { ws, messages }
}

async function pair(options: Partial<AcceptOptions> = {}, clientOptions: object = {}) {
  const { port, session } = await listen(options)
  const client = await dial(port, options.protocol ?? V5, clientOptions)
  const leg = await session
  return { ...client, leg, seen: observe(leg) }
}

const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]

async function rawDial(port: number, lines: string[]): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  servers.own(socket)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write([...lines, '', ''].join('\r\n'))
  return socket
}

/** A client frame with a zero mask, which leaves the payload readable. */
function frame(first: number, payload: Uint8Array): Buffer {
  const length =
    payload.length <= 125
      ? [0x80 | payload.length]
      : payload.length < 65536
        ? [0xfe, payload.length >> 8, payload.length & 0xff]
        : [0xff, 0, 0, 0, 0, ...u32(payload.length)]
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), payload])
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]
}

describe('the first message to kubectl is empty and on the lowest output channel', () => {
  it.each([
    { expected: ALL, want: '\x01' },
    { expected: ['error', 'stderr'] as StreamName[], want: '\x02' },
    { expected: ['error', 'stdin'] as StreamName[], want: '\x03' },
  ])('of $expected', async ({ expected, want }) => {
    const { ws, messages } = await pair({ expected })
    if (messages.length === 0) await once(ws, 'message')
    expect(messages).toEqual([want])
  })
})

describe('frames to kubectl', () => {
  it('are whole binary messages of at most 32 KiB, without mask, and the wire ends with 1000', async () => {
    const { port, session } = await listen()
    const socket = await rawDial(port, [...UPGRADE, `Sec-WebSocket-Protocol: ${V5}`])
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const leg = await session
    observe(leg)
    leg.write('stdout', Buffer.alloc(100_000, 'a'))
    leg.write('stderr', Buffer.from('b'))
    const finished = leg.finish(Buffer.from('{}'))
    const bytes = () => Buffer.concat(chunks)
    const CLOSE_1000 = Buffer.from('880203e8', 'hex')
    while (!bytes().subarray(-4).equals(CLOSE_1000)) await once(socket, 'data')
    socket.end(frame(0x88, Buffer.from([0x03, 0xe8])))
    await finished

    const stream = bytes().subarray(bytes().indexOf('\r\n\r\n') + 4)
    const frames: string[] = []
    for (let at = 0; at < stream.length;) {
      const short = stream.readUInt8(at + 1)
      const length = short === 126 ? stream.readUInt16BE(at + 2) : short
      const start = at + (short === 126 ? 4 : 2)
      frames.push(`${stream.readUInt8(at).toString(16)} ${stream.readUInt8(start)} ${length}`)
      at = start + length
    }
    expect(frames).toEqual([
      '82 1 1',
      '82 1 32769',
      '82 1 32769',
      '82 1 32769',
      `82 1 ${100_000 - 3 * 32768 + 1}`,
      '82 2 2',
      '82 3 3',
      '88 3 2',
    ])
  })

  it('never hold channel 255, nor anything on a channel that was not asked for', async () => {
    const { ws, messages, leg } = await pair({ expected: ['error', 'stdin', 'stdout', 'resize'] })
    leg.write('stderr', Buffer.from('with a terminal there is no stderr'))
    leg.end('stdin')
    leg.write('stdout', Buffer.from('a'))
    leg.end('stdout')
    leg.write('stdout', Buffer.from('after its end'))
    await Promise.all([leg.finish(Buffer.from('{}')), once(ws, 'close')])
    expect(messages).toEqual(['\x01', '\x01a', '\x03{}'])
  })

  it('are not compressed, whatever the client offers', async () => {
    const { ws } = await pair({}, { perMessageDeflate: true })
    expect(ws.extensions).toBe('')
  })
})

describe('a client that breaks the protocol is cut off as lost', () => {
  it.each([
    { name: 'by text', bytes: frame(0x81, Buffer.from('hello')) },
    { name: 'by an unknown channel', bytes: frame(0x82, Buffer.from([9, 97])) },
    { name: 'by writing stdout', bytes: frame(0x82, Buffer.from([1, 97])) },
    { name: 'by a long CLOSE', bytes: frame(0x82, Buffer.from([255, 0, 0])) },
    { name: 'by a message over 1 MiB', bytes: frame(0x82, Buffer.alloc(MIB + 1)) },
    { name: 'by a reserved bit', bytes: frame(0xc2, Buffer.from([0, 97])) },
    { name: 'by a frame without mask', bytes: Buffer.from([0x82, 2, 0, 97]) },
    { name: 'by a control frame in pieces', bytes: frame(0x09, Buffer.from([97])) },
    {
      name: 'by a message in more than 1,024 pieces',
      bytes: Buffer.concat([
        frame(0x02, Buffer.from([0])),
        ...Array.from({ length: 1024 }, () => frame(0x00, Buffer.from([97]))),
      ]),
    },
    {
      name: 'by pieces that together are over 1 MiB',
      bytes: Buffer.concat([
        frame(0x02, Buffer.alloc(MIB / 2)),
        frame(0x00, Buffer.alloc(MIB / 2)),
        frame(0x80, Buffer.alloc(1)),
      ]),
    },
  ])('$name', async ({ bytes }) => {
    const clock = new FakeClock()
    const { port, session } = await listen({ clock })
    const socket = await rawDial(port, [...UPGRADE, `Sec-WebSocket-Protocol: ${V5}`])
    socket.resume()
    const leg = await session
    const seen = observe(leg)
    socket.write(bytes)
    socket.write(frame(0x82, Buffer.from([0, 97])))
    // The peer does not answer our close frame; only the grace period ends it.
    await seen.comesSoon(() => clock.pending > 1)
    clock.advance(1000)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes.map(({ kind }) => kind)).toEqual(['lost'])
    expect(seen.order).toEqual(['close'])
    expect(clock.pending).toBe(0)
  })
})

describe('the end as the client chooses it', () => {
  it.each([
    { name: 'close code 1000 is clean', end: (ws: WebSocket) => ws.close(1000), kind: 'clean' },
    { name: 'close code 1001 is lost', end: (ws: WebSocket) => ws.close(1001), kind: 'lost' },
    { name: 'a close without code is lost', end: (ws: WebSocket) => ws.close(), kind: 'lost' },
    { name: 'a dead connection is lost', end: (ws: WebSocket) => ws.terminate(), kind: 'lost' },
  ])('$name', async ({ end, kind }) => {
    const { ws, seen } = await pair()
    end(ws)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes.map((info) => info.kind)).toEqual([kind])
  })
})

describe('stdin', () => {
  it('ends by CLOSE, and what comes after is dropped', async () => {
    const { ws, seen } = await pair()
    for (const message of ['\0a', '\xff\0', '\xff\0', '\0late', '\x04{}']) {
      ws.send(Buffer.from(message, 'latin1'))
    }
    await seen.until(() => seen.received('resize') > 0)
    expect(seen.order).toEqual(['stdin', 'end:stdin', 'resize'])
  })

  // The Python client of Kubernetes sends text.
  it.each([true, false])('in pieces of one message arrives whole, binary: %s', async (binary) => {
    const { ws, seen } = await pair()
    ws.send('\0ab', { binary, fin: false })
    ws.send('cd', { binary, fin: true })
    await seen.until(() => seen.received('stdin') === 4)
    expect(seen.chunks('stdin').map(String)).toEqual([String(Buffer.from('abcd'))])
  })
})

describe('while the leg is paused', () => {
  it('kubectl gets pongs it did not ask for', async () => {
    const clock = new FakeClock()
    const { ws, leg } = await pair({ clock })
    leg.pause()
    const pong = once(ws, 'pong')
    clock.advance(15_000)
    await pong
    expect(clock.now()).toBe(15_000)
  })

  it('a client that has gone is noticed by the pongs', async () => {
    const clock = new FakeClock()
    const { ws, leg, seen } = await pair({ clock })
    leg.pause()
    const gone = once(ws, 'close')
    ws.terminate()
    await gone
    // The first pong meets a reset, a later one the error it left behind.
    for (let turn = 0; turn < 20 && seen.closes.length === 0; turn++) {
      clock.advance(15_000)
      await seen.comesSoon(() => seen.closes.length > 0)
    }
    expect(seen.closes.map(({ kind }) => kind)).toEqual(['lost'])
  })
})

describe('a client that answers no ping', () => {
  it('is given up within 75 s', async () => {
    const clock = new FakeClock()
    const { ws, seen } = await pair({ clock }, { autoPong: false })
    ws.on('ping', () => undefined)
    await seen.comesSoon(() => false)
    clock.advance(75_000)
    await seen.until(() => seen.closes.length > 0)
    expect(seen.closes).toEqual([{ kind: 'lost', detail: 'no sign of life for 60 s' }])
  })
})

/** Like TLS: no write is done before the next turn of the event loop, and each is its own. */
function slowed(socket: Duplex): Duplex {
  const slow = new Duplex({
    read: () => void socket.resume(),
    write(chunk, _encoding, done) {
      socket.write(chunk)
      setImmediate(done)
    },
    final(done) {
      socket.end()
      done()
    },
  })
  socket.on('data', (chunk) => slow.push(chunk))
  socket.on('end', () => slow.push(null))
  return slow
}

describe('finish', () => {
  it('ends also when a pong is queued behind the status', async () => {
    const { port, session } = await listen({}, { wrap: slowed })
    const socket = await rawDial(port, [...UPGRADE, `Sec-WebSocket-Protocol: ${V5}`])
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const leg = await session
    const seen = observe(leg)
    const finished: Promise<void>[] = []
    seen.afterData = () => finished.push(leg.finish(Buffer.from('{}')))
    const ping = frame(0x89, new Uint8Array(0))
    socket.write(Buffer.concat([frame(0x82, Buffer.from([0, 97])), ping]))
    const closing = () => Buffer.concat(chunks).subarray(-4).toString('hex') === '880203e8'
    while (!closing()) await once(socket, 'data')
    socket.end(frame(0x88, Buffer.from([0x03, 0xe8])))
    await Promise.all(finished)
    expect(finished).toHaveLength(1)
  })

  it('waits for a reader that reads page by page, and loses nothing', async () => {
    const { ws, messages, leg } = await pair()
    const socketOf = ws as unknown as { pause(): void; resume(): void }
    socketOf.pause()
    for (let n = 0; n < 200; n++) leg.write('stdout', Buffer.alloc(64 * 1024, 'a'))
    let done = false
    const finished = leg.finish(Buffer.from('{"status":"Success"}')).then(() => (done = true))
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
    expect(done).toBe(false)
    expect(leg.bufferedBytes).toBeGreaterThan(0)
    socketOf.resume()
    const [[code]] = await Promise.all([once(ws, 'close'), finished])
    expect(code).toBe(1000)
    expect(messages.at(-1)).toBe('\x03{"status":"Success"}')
    expect(messages.slice(1, -1).reduce((sum, message) => sum + message.length - 1, 0)).toBe(
      200 * 64 * 1024,
    )
  })
})

describe('acceptWebSocketSession rejects, with no socket left,', () => {
  it.each([
    {
      name: 'a protocol that was not offered',
      lines: [...UPGRADE, 'Sec-WebSocket-Protocol: v4.channel.k8s.io'],
    },
    { name: 'no offer at all', lines: UPGRADE },
    {
      name: 'an offer that only begins alike',
      lines: [...UPGRADE, `Sec-WebSocket-Protocol: ${V5} b, x${V5}`],
    },
    {
      name: 'a key that is none',
      lines: [...UPGRADE.slice(0, -1), 'Sec-WebSocket-Key: x', `Sec-WebSocket-Protocol: ${V5}`],
    },
  ])('$name', async ({ lines }) => {
    const { port, session } = await listen()
    const socket = await rawDial(port, lines)
    socket.resume()
    const closed = once(socket, 'close')
    await expect(session).rejects.toMatchObject({ name: 'GatewayError', reason: 'BadRequest' })
    await closed
    expect(GatewayError.is(await session.catch((error: unknown) => error))).toBe(true)
  })

  it('a client that has gone before', async () => {
    const { port, session } = await listen({}, { wrap: (socket) => socket.destroy() })
    await rawDial(port, [...UPGRADE, `Sec-WebSocket-Protocol: ${V5}`])
    await expect(session).rejects.toThrow('the client has gone')
  })

  it('but one that resets right after its request ends only itself', async () => {
    const { port, session } = await listen()
    const socket = await rawDial(port, [...UPGRADE, `Sec-WebSocket-Protocol: ${V5}`])
    socket.resetAndDestroy()
    const outcome = await session.then(
      async (leg) => {
        const seen = observe(leg)
        await seen.until(() => seen.closes.length > 0)
        return seen.closes.map(({ kind }) => kind)
      },
      () => ['lost'],
    )
    expect(outcome).toEqual(['lost'])
  })
})
