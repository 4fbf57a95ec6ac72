/** The SPDY legs of port-forward against moby/spdystream, as client and as server, over TCP. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { buildGoModule } from '../../../lib/cluster/build.ts'
import { SPDYSTREAM } from '../../../lib/cluster/go-programs.ts'
import { openSpdyForward } from '../../../lib/spdy/forward-client.ts'
import { acceptSpdyForward } from '../../../lib/spdy/forward-server.ts'
import type { ForwardClientSession, ForwardConnection } from '../../../lib/streams/forward.ts'
import type { CloseInfo } from '../../../lib/streams/session.ts'
import { WatchedConnection } from '../../conformance/forward-suite.ts'
import { bytesOf } from '../../conformance/observe.ts'

const BUILD_MS = 120_000

let program: string

beforeAll(async () => {
  program = join(await buildGoModule(SPDYSTREAM), 'spdystream')
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
    const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    const accepted = once(listener, 'connection') as Promise<[Socket]>
    const child = spawn(program, ['client', `127.0.0.1:${port}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines: string[] = []
    createInterface(child.stdout).on('line', (line) => lines.push(line))
    const [socket] = await accepted
    const server = acceptSpdyForward(socket, new Uint8Array(0))
    const closed = Promise.withResolvers<CloseInfo>()
    server.start({ onConnection: echo, onClose: closed.resolve })
    const [code] = (await once(child, 'close')) as [number]
    const info = await closed.promise
    listener.close()
    expect(lines).toEqual([
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
  let child: ChildProcess
  let session: ForwardClientSession

  beforeAll(async () => {
    const server = spawn(program, ['server'], { stdio: ['pipe', 'pipe', 'inherit'] })
    child = server
    const [address] = (await once(createInterface(server.stdout), 'line')) as [string]
    const socket = connect({ port: Number(address.split(':')[1]), host: '127.0.0.1' })
    await once(socket, 'connect')
    session = openSpdyForward(socket, new Uint8Array(0))
  })

  afterAll(async () => {
    session.abort('test over')
    child.stdin?.end()
    await once(child, 'close')
  })

  async function forward(port: number, text: string): Promise<string> {
    const watched = new WatchedConnection(await session.open(port))
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
    await expect(session.open(84)).rejects.toMatchObject({ id: 1513 })
    expect(await forward(80, 'next')).toBe('next clean')
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
  }, 120_000)
})
