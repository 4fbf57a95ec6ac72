/** All server legs of port-forward against the suite of every ForwardServerSession. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { createWebSocketStream, WebSocket } from 'ws'

import { openSpdyForward } from '../../lib/spdy/forward-client.ts'
import { acceptSpdyForward } from '../../lib/spdy/forward-server.ts'
import type {
  ConnectionHandlers,
  ForwardConnection,
  ForwardServerSession,
} from '../../lib/streams/forward.ts'
import { acceptLegacyForward } from '../../lib/websocket/forward-legacy.ts'
import { acceptTunnel } from '../../lib/websocket/tunnel.ts'
import { dialTunnel } from './dial-tunnel.ts'
import { openWire } from '../unit/spdy/raw-peer.ts'
import { forwardSuite, PORTS } from './forward-suite.ts'

type Accept = (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
) => Promise<ForwardServerSession>

interface Listening {
  port: number
  server: Promise<ForwardServerSession>
  close(): Promise<void>
}

async function listen(accept: Accept): Promise<Listening> {
  const http = createServer()
  const sockets = new Set<Socket>()
  http.on('connection', (socket) => sockets.add(socket))
  const server = new Promise<ForwardServerSession>((resolve, reject) => {
    http.once('upgrade', (request, socket, head) => {
      accept(request, socket, head).then(resolve, reject)
    })
  })
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve)
  })
  const { port } = http.address() as AddressInfo
  return {
    port,
    server,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** A dashboard's end: one connection for each port, a channel for bytes and one for the error. */
class LegacyClient implements ForwardConnection {
  readonly id = 1
  readonly port: number
  readonly bufferedBytes = 0
  readonly #ws: WebSocket
  readonly #index: number
  readonly #isText: boolean
  #early: (() => void)[] = []
  #handlers: ConnectionHandlers | undefined
  #seen = [0, 0]

  constructor(ws: WebSocket, index: number, isText: boolean) {
    this.#ws = ws
    this.#index = index
    this.#isText = isText
    this.port = PORTS[index] ?? 0
    ws.on('message', (message) => this.#onMessage(message as Buffer))
  }

  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers
    for (const call of this.#early.splice(0)) call()
  }

  write(data: Uint8Array): boolean {
    const channel = 2 * this.#index
    const text = String.fromCodePoint(48 + channel) + Buffer.from(data).toString('base64')
    if (this.#isText) this.#ws.send(text)
    else this.#ws.send(Buffer.concat([Uint8Array.of(channel), data]))
    return true
  }

  end(): void {}

  finish(): void {}
  pause(): void {}
  resume(): void {}
  fail(): void {}

  #onMessage(message: Buffer): void {
    const channel = (message[0] ?? 0) - (this.#isText ? 48 : 0)
    if (channel >> 1 !== this.#index) return
    const data = this.#isText
      ? Buffer.from(message.toString('latin1', 1), 'base64')
      : message.subarray(1)
    const kind = channel % 2
    this.#seen[kind] = (this.#seen[kind] ?? 0) + 1
    if (this.#seen[kind] === 1) {
      if (data.readUInt16LE() !== this.port) throw new Error('another port was greeted')
      return
    }
    const call = (): void => {
      if (kind === 0) this.#handlers?.onData(data)
      else this.#handlers?.onClose({ kind: 'failed', detail: data.toString() })
    }
    if (this.#handlers === undefined) this.#early.push(call)
    else call()
  }
}

forwardSuite({
  name: 'SPDY',
  halfCloses: true,
  async connect(forward, clock) {
    const wire = await openWire()
    const server = acceptSpdyForward(wire.socket, new Uint8Array(0), { forward, clock })
    wire.peer.socket.removeAllListeners('data')
    const client = openSpdyForward(wire.peer.socket, new Uint8Array(0))
    return {
      server,
      open: (port) => client.open(port),
      vanish: () => void wire.peer.socket.resetAndDestroy(),
      close: () => wire.close(),
    }
  },
})

forwardSuite({
  name: 'the WebSocket tunnel',
  halfCloses: true,
  async connect(forward, clock) {
    const listening = await listen(async (request, socket, head) => {
      const tunnel = await acceptTunnel(request, socket, head, { clock })
      return acceptSpdyForward(tunnel, new Uint8Array(0), { forward, clock })
    })
    const { ws, socket } = await dialTunnel(listening.port)
    const stream = createWebSocketStream(ws)
    stream.on('error', () => {})
    const client = openSpdyForward(stream, new Uint8Array(0))
    return {
      server: await listening.server,
      open: (port) => client.open(port),
      vanish: () => void socket.resetAndDestroy(),
      close: () => listening.close(),
    }
  },
})

for (const protocol of ['', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io'] as const) {
  forwardSuite({
    name: `WebSocket channels "${protocol}"`,
    halfCloses: false,
    async connect(forward, clock) {
      const listening = await listen((request, socket, head) =>
        acceptLegacyForward(request, socket, head, { protocol, ports: PORTS, forward, clock }),
      )
      const ws = new WebSocket(
        `ws://127.0.0.1:${listening.port}/`,
        protocol === '' ? [] : [protocol],
      )
      ws.on('error', () => {})
      const isText = protocol.includes('base64')
      const connections = PORTS.map((_, index) => new LegacyClient(ws, index, isText))
      await new Promise((resolve) => ws.once('open', resolve))
      return {
        server: await listening.server,
        open(port) {
          const connection = connections.find((one) => one.port === port)
          if (connection === undefined) throw new Error('no such port')
          return Promise.resolve(connection)
        },
        vanish: () => ws.terminate(),
        close: () => listening.close(),
      }
    },
  })
}
