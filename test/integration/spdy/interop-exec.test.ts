/** The SPDY legs of remote commands against moby/spdystream, as client and as server, over TCP. */
import type { Socket } from 'node:net'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { openSpdySession } from '../../../lib/spdy/client-session.ts'
import { acceptSpdySession } from '../../../lib/spdy/server-session.ts'
import { STREAM_NAMES } from '../../../lib/streams/channel.ts'
import { bytesOf, observe, type Observed } from '../../conformance/observe.ts'
import {
  acceptClient,
  BUILD_MS,
  buildSpdystream,
  startServer,
  type RunningServer,
} from './spdystream.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const WINDOW = '{"Width":80,"Height":24}'
const SUCCESS = '{"status":"Success"}'
const MIB = 1024 * 1024

let program: string

beforeAll(async () => {
  program = await buildSpdystream()
}, BUILD_MS)

/** What came of a client that did this, as it says itself and as our leg saw it. */
interface Met {
  said: Record<string, string>
  seen: Observed | undefined
}

/** Serves one client: what it typed comes back, and its window size, once it has half-closed. */
async function meetClient(what: string): Promise<Met> {
  const client = await acceptClient(program, 'exec-client', what)
  try {
    const seen = await serveOnce(client.socket)
    await client.ended
    return { said: Object.fromEntries(client.lines.map((line) => line.split('=', 2))), seen }
  } finally {
    client.close()
  }
}

async function serveOnce(socket: Socket): Promise<Observed | undefined> {
  const session = await acceptSpdySession(socket, new Uint8Array(0), {
    protocol: PROTOCOL,
    expected: [...STREAM_NAMES],
  }).catch(() => undefined)
  if (session === undefined) return undefined
  const seen = observe(session)
  seen.afterData = (channel) => {
    const last = seen.chunks(channel).at(-1)
    if (channel === 'stdin' && last !== undefined) session.write('stdout', last)
    if (channel === 'resize' && last !== undefined) session.write('stderr', last)
  }
  await seen.until(() => seen.ended.includes('stdin') || seen.closes.length > 0)
  // What comes behind the end is to be seen as well.
  await seen.comesSoon(() => seen.closes.length > 0)
  await session.finish(bytesOf(SUCCESS))
  return seen
}

describe("Go's spdystream as the client", () => {
  it.each([
    { what: 'echo', name: 'types and half-closes', stdout: 'hello' },
    { what: 'resize', name: 'sends a window size', stdout: '', stderr: WINDOW },
    // Its way to half-close what it will not finish.
    { what: 'reset', name: 'cancels stdin', stdout: 'before' },
  ])('$name', async ({ what, stdout, stderr = '' }) => {
    const { said, seen } = await meetClient(what)
    expect(said).toEqual({ stdout, stderr, error: SUCCESS })
    expect(seen?.text('stdin')).toBe(stdout)
  })

  it('sends 4 MiB and gets them back', async () => {
    const { said, seen } = await meetClient('bulk')
    expect(seen?.received('stdin')).toBe(4 * MIB)
    expect(said['stdout']).toBe('0123456789abcdef'.repeat((4 * MIB) / 16))
    expect(said['error']).toBe(SUCCESS)
  })

  it('opens a stream twice: nothing is served', async () => {
    expect(await meetClient('duplicate')).toEqual({ said: { refused: 'stdout' }, seen: undefined })
  })

  // A peer that lost count of its streams could put one channel's bytes into another.
  it.each([
    { what: 'unknown', name: 'sends data on a stream that never was', stdin: '' },
    { what: 'late', name: 'sends data after its end', stdin: 'in time' },
    { what: 'vanish', name: 'is gone', stdin: 'half' },
  ])('$name: the session ends there', async ({ what, stdin }) => {
    const { said, seen } = await meetClient(what)
    expect(said['error'] ?? '').not.toBe(SUCCESS)
    expect(seen?.text('stdin')).toBe(stdin)
    expect(seen?.closes.map(({ kind }) => kind)).toEqual(['lost'])
  })
})

describe("Go's spdystream as the server", () => {
  let server: RunningServer

  beforeAll(async () => {
    server = await startServer(program, 'exec-server')
  })

  afterAll(async () => {
    await server.close()
  })

  /** Runs what the server knows by this name, with `hello` as the rest of stdin. */
  async function command(name: string): Promise<Observed> {
    const socket = await server.connect()
    const streams = [...STREAM_NAMES]
    const session = await openSpdySession(socket, new Uint8Array(0), {
      protocol: PROTOCOL,
      streams,
    })
    const seen = observe(session)
    session.write('resize', bytesOf(WINDOW))
    session.write('stdin', bytesOf(`${name}\nhello`))
    session.end('stdin')
    await seen.until(() => seen.closes.length > 0 || seen.ended.includes('error'))
    session.abort('test over')
    return seen
  }

  it.each([
    { what: 'echo', name: 'writes after the half-close', stdout: 'hello after the half-close' },
    { what: 'resize', name: 'takes a window size', stdout: WINDOW },
    // How it closes at its end what nobody has read.
    { what: 'reset', name: 'cancels stdout', stdout: 'before' },
  ])('$name', async ({ what, stdout }) => {
    const seen = await command(what)
    expect(seen.text('stdout')).toBe(stdout)
    expect(seen.text('error')).toBe(SUCCESS)
  })

  it('sends 4 MiB, and beside them 128 KiB of stderr', async () => {
    const seen = await command('bulk')
    expect([seen.received('stdout'), seen.received('stderr')]).toEqual([4 * MIB, 128 * 1024])
    expect(seen.text('error')).toBe(SUCCESS)
  })

  it.each([
    { what: 'late', name: 'sends data after the end of a stream', stdout: 'in time' },
    { what: 'unknown', name: 'sends data on a stream that never was', stdout: '' },
    { what: 'opens', name: 'opens a stream of its own', stdout: '' },
    { what: 'vanish', name: 'is gone', stdout: 'half' },
  ])('$name: never a success', async ({ what, stdout }) => {
    const seen = await command(what)
    expect(seen.text('stdout')).toBe(stdout)
    expect(seen.text('error')).toBe('')
    expect(seen.closes.map(({ kind }) => kind)).toEqual(['lost'])
  })
})
