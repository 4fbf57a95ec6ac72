/** The SPDY legs of port-forward against moby/spdystream, as client and as server, over TCP. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { openSpdyForward } from '../../../lib/spdy/forward-client.ts'
import { acceptSpdyForward } from '../../../lib/spdy/forward-server.ts'
import type {
  ForwardClientSession,
  ForwardConnection,
  ForwardUpstream,
} from '../../../lib/streams/forward.ts'
import { createForwardLanes } from '../../../lib/streams/forward-lanes.ts'
import type { CloseInfo } from '../../../lib/streams/session.ts'
import { WatchedConnection } from '../../conformance/forward-suite.ts'
import { bytesOf } from '../../conformance/observe.ts'
import {
  acceptClient,
  BUILD_MS,
  buildSpdystream,
  startServer,
  type RunningServer,
} from './spdystream.ts'

let program: string

beforeAll(async () => {
  program = await buildSpdystream()
}, BUILD_MS)

function echo(connection: ForwardConnection): void {
  if (connection.port === 81) connection.fail('error forwarding port 81: connection refused')
  if (connection.port === 82) connection.fail()
  connection.start({
    onData: (data) => void connection.write(data),
    onEnd: () => connection.finish(),
    onDrain() {},
    onClose() {},
  })
}

describe("Go's spdystream as the client", () => {
  it('gets what kubectl would get, whatever else it does', async () => {
    const client = await acceptClient(program, 'client')
    const server = acceptSpdyForward(client.socket, new Uint8Array(0))
    const closed = Promise.withResolvers<CloseInfo>()
    server.start({ onConnection: echo, onClose: closed.resolve })
    const code = await client.ended
    const info = await closed.promise
    client.close()
    expect(client.lines).toEqual([
      'echo=hello',
      'failed=error forwarding port 81: connection refused',
      'reset=',
      'refused=Stream reset',
      'duplicate=first',
      'late=after',
      'unknown=after',
      'ping=pong',
      'parallel=200',
      'sequential=10000',
    ])
    expect(code).toBe(0)
    expect(info.kind).toBe('clean')
    expect(server.load).toEqual({ streams: 0, connections: 0, heldBytes: 0 })
  }, 120_000)
})

describe("Go's spdystream as the server", () => {
  let server: RunningServer
  let lanes: ForwardUpstream
  let dialled = 0

  async function dial(): Promise<ForwardClientSession> {
    dialled += 1
    return openSpdyForward(await server.connect(), new Uint8Array(0))
  }

  beforeAll(async () => {
    server = await startServer(program, 'server')
    lanes = createForwardLanes({ first: await dial(), dial })
  })

  afterAll(async () => {
    lanes.abort('test over')
    await server.close()
  })

  async function forward(port: number, text: string, upstream = lanes): Promise<string> {
    const watched = new WatchedConnection(await upstream.open(port))
    watched.connection.write(bytesOf(text))
    watched.connection.end()
    await watched.until(() => watched.ends.length > 0)
    const { kind, detail } = watched.ends[0] ?? { kind: 'none', detail: '' }
    return `${watched.text} ${kind}${kind === 'failed' ? ` ${detail}` : ''}`
  }

  it.each([
    { name: 'echoes after the half-close', port: 80, want: 'hello clean' },
    {
      name: 'says why it failed',
      port: 81,
      want: ' failed error forwarding port 81: connection refused',
    },
    { name: 'resets and writes late', port: 82, want: ' reset' },
    { name: 'half-closes first', port: 83, want: 'bye clean' },
  ])('$name', async ({ port, want }) => {
    expect(await forward(port, 'hello')).toBe(want)
    expect(await forward(80, 'next')).toBe('next clean')
  })

  it('refuses a connection, and the next is taken', async () => {
    await expect(lanes.open(84)).rejects.toMatchObject({ id: 1513 })
    expect(await forward(80, 'next')).toBe('next clean')
  })

  // As containerd does when nobody listens: one of the five workers of the connection waits for good.
  it('does not read what it was sent: its lane is known by it, and nobody waits there', async () => {
    const lane = await dial()
    expect(await lane.settled(10_000)).toBe(true)
    const unread = new WatchedConnection(await lane.open(85))
    unread.connection.write(bytesOf('hello'))
    unread.connection.fail()
    await unread.until(() => unread.ends.length > 0)
    expect(await lane.settled(200)).toBe(false)
    lane.abort('test over')

    const deaf = await Promise.all(Array.from({ length: 5 }, () => lanes.open(85)))
    for (const connection of deaf) {
      const watched = new WatchedConnection(connection)
      watched.connection.write(bytesOf('hello'))
      watched.connection.fail()
    }
    for (let n = 0; n < 10; n += 1) expect(await forward(80, `${n}`)).toBe(`${n} clean`)
  })

  it('serves 200 at once and 10,000 one after the other', async () => {
    const parallel = await Promise.all(
      Array.from({ length: 200 }, (_, n) => forward(80, `parallel ${n}`)),
    )
    expect(parallel).toEqual(Array.from({ length: 200 }, (_, n) => `parallel ${n} clean`))
    for (let n = 0; n < 10_000; n += 1) {
      const said = await forward(80, `${n}`)
      if (said !== `${n} clean`) throw new Error(`${n}: ${said}`)
    }
    // Used again, all of them.
    expect(dialled).toBeLessThan(500)
  }, 120_000)
})
