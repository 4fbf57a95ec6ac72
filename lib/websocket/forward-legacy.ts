/**
 * The old port-forward over WebSocket channels, as dashboards and the Python client use it: the
 * ports are in the query, one TCP connection for each, a channel for its bytes and one for its error.
 *
 *   channel 2i data, 2i+1 error of the i-th port; the first message on each is the port, 16 bit
 *   little-endian, from the server. No half-close, no second connection.
 *
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward/websocket.go.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type { WebSocket } from 'ws'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  DEFAULT_FORWARD_LIMITS,
  type ConnectionEnd,
  type ConnectionHandlers,
  type ForwardConnection,
  type ForwardLimits,
  type ForwardServerSession,
} from '../streams/forward.ts'
import { ForwardGate, type GateMember } from '../streams/forward-gate.ts'
import { ForwardInbox } from '../streams/forward-inbox.ts'
import type { CloseInfo } from '../streams/session.ts'
import type { ForwardChannelProtocol } from '../streams/subprotocol.ts'
import { DEFAULT_ACCEPT_LIMITS, type AcceptLimits } from './constants.ts'
import { answerHandshake } from './handshake.ts'
import { systemClock, type Clock, type KeepAliveOptions } from './keep-alive.ts'
import { encodeBase64, isBase64, MAX_MESSAGE_PAYLOAD, unpackBase64 } from './message.ts'
import { ServerWire } from './server-wire.ts'

export interface LegacyForwardOptions {
  protocol: ForwardChannelProtocol
  /** Of `parseForwardPorts`. */
  ports: readonly number[]
  limits?: Partial<AcceptLimits>
  forward?: Partial<ForwardLimits>
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

/** A channel is one ASCII character in the base64 form, so 40 pairs would still fit. */
const MAX_PORTS = 32
const PORT = /^[0-9]{1,5}$/

/**
 * The ports of `?ports=80&ports=81` or `?ports=80,81`, as k8s.io/apimachinery reads them.
 * @throws GatewayError BadRequest.
 */
export function parseForwardPorts(query: string): number[] {
  const words = new URLSearchParams(query).getAll('ports').flatMap((value) => value.split(','))
  const ports = words.map((word) => (PORT.test(word) ? Number(word) : 0))
  if (ports.length > 0 && ports.length <= MAX_PORTS && ports.every(isPort)) return ports
  throw new GatewayError(
    'BadRequest',
    `over WebSocket channels the query has to name 1 to ${MAX_PORTS} ports of 1 to 65535, such as ?ports=80,81; or use kubectl port-forward`,
    { id: 1205 },
  )
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535
}

/** What a connection needs of its session. */
interface Owner {
  readonly wire: ServerWire
  readonly gate: ForwardGate<ChannelConnection>
  send(channel: number, data: Uint8Array): boolean
  over(): void
}

class ChannelConnection implements ForwardConnection, GateMember {
  readonly id: number
  readonly port: number
  readonly #owner: Owner
  readonly #inbox: ForwardInbox
  #over = false

  constructor(owner: Owner, index: number, port: number) {
    this.#owner = owner
    this.id = index + 1
    this.port = port
    this.#inbox = new ForwardInbox({
      onHeld: (delta) => owner.gate.changed(this, delta),
      onFault: (detail) => this.close({ kind: 'reset', detail }, true),
    })
  }

  get isOver(): boolean {
    return this.#over
  }

  get bufferedBytes(): number {
    return this.#inbox.bytes + (this.#over ? 0 : this.#owner.wire.bufferedBytes)
  }

  get heldBytes(): number {
    return this.#inbox.bytes
  }

  start(handlers: ConnectionHandlers): void {
    this.#inbox.start(handlers)
  }

  write(data: Uint8Array): boolean {
    return this.#over || this.#owner.send(2 * (this.id - 1), data)
  }

  /** The wire cannot say it: what has ended one way has ended. */
  end(): void {
    if (this.#over) return
    this.#inbox.end()
    this.close({ kind: 'clean', detail: 'ended' }, false)
  }

  finish(): void {
    this.end()
  }

  pause(): void {
    this.#inbox.pause()
  }

  resume(): void {
    this.#inbox.resume()
  }

  fail(message?: string): void {
    if (!this.#over && message !== undefined) {
      this.#owner.send(2 * this.id - 1, Buffer.from(message))
    }
    this.close({ kind: 'local', detail: message ?? 'cut' }, true)
  }

  resetStuck(): void {
    this.close({ kind: 'reset', detail: 'nobody read what came on it, so it was reset' }, true)
  }

  receive(data: Uint8Array): void {
    if (!this.#over) this.#inbox.push(data)
  }

  drained(): void {
    if (!this.#over) this.#inbox.drained()
  }

  close(end: ConnectionEnd, drop: boolean): void {
    const wasOver = this.#over
    this.#over = true
    this.#inbox.close(end, drop)
    if (!wasOver) this.#owner.over()
  }
}

type ServerHandlers = Parameters<ForwardServerSession['start']>[0]

class WebSocketForward implements ForwardServerSession, Owner {
  readonly protocol: string
  readonly wire: ServerWire
  readonly gate: ForwardGate<ChannelConnection>
  readonly #isText: boolean
  readonly #connections: readonly ChannelConnection[]
  #handlers: ServerHandlers | undefined
  #closeInfo: CloseInfo | undefined

  constructor(ws: WebSocket, socket: Duplex, options: LegacyForwardOptions) {
    const { protocol, ports, clock = systemClock, keepAlive } = options
    this.protocol = protocol === '' ? 'WebSocket port-forward' : `WebSocket ${protocol}`
    this.#isText = isBase64(protocol)
    const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
    const receives = this.#isText ? ('text' as const) : ('binary' as const)
    this.wire = new ServerWire(
      ws,
      socket,
      { limits, clock, keepAlive, receives },
      {
        onMessage: (message) => this.#onMessage(message),
        onDrain: () => {
          for (const connection of this.#connections) connection.drained()
        },
        onClose: (info) => this.#onClose(info),
      },
    )
    this.gate = new ForwardGate(
      {
        pause: () => this.wire.pause(),
        resume: () => this.wire.resume(),
        after: (ms, task) => clock.after(ms, task),
      },
      { ...DEFAULT_FORWARD_LIMITS, ...options.forward },
    )
    this.#connections = ports.map((port, index) => new ChannelConnection(this, index, port))
    // Nothing piles up before somebody decides about it.
    this.wire.pause()
  }

  start(handlers: ServerHandlers): void {
    this.#handlers = handlers
    const info = this.#closeInfo
    if (info !== undefined) {
      process.nextTick(() => handlers.onClose(info))
      return
    }
    for (const [index, { port }] of this.#connections.entries()) {
      const bytes = Uint8Array.of(port & 0xff, port >> 8)
      this.send(2 * index, bytes)
      this.send(2 * index + 1, bytes)
    }
    this.wire.resume()
    for (const connection of this.#connections) handlers.onConnection(connection)
  }

  finish(timeoutMs?: number): Promise<void> {
    for (const connection of this.#connections) connection.fail()
    return this.wire.finish(timeoutMs)
  }

  abort(detail: string): void {
    this.wire.abort(detail)
  }

  send(channel: number, data: Uint8Array): boolean {
    let hasRoom = true
    for (let at = 0; at < data.length; at += MAX_MESSAGE_PAYLOAD) {
      const part = data.subarray(at, at + MAX_MESSAGE_PAYLOAD)
      hasRoom = this.#isText
        ? this.wire.send('text', encodeBase64(channel, part))
        : this.wire.send('binary', Uint8Array.of(channel), part)
    }
    return hasRoom
  }

  /** When all have ended, so has the session: none can be opened any more. */
  over(): void {
    if (this.#connections.every(({ isOver }) => isOver)) void this.wire.finish()
  }

  #onMessage(message: Buffer): void {
    const unpacked = this.#isText ? unpackBase64(message) : message
    if (unpacked === undefined) {
      this.wire.violation('a message that is no base64')
      return
    }
    const channel = unpacked[0]
    if (channel === undefined) return
    const connection = this.#connections[channel >> 1]
    if (connection === undefined) {
      this.wire.violation(`message on channel ${channel}`)
      return
    }
    // A client writes nothing on an error channel; the kubelet reads none of it either.
    if (channel % 2 === 0) connection.receive(unpacked.subarray(1))
  }

  #onClose(info: CloseInfo): void {
    this.gate.stop()
    this.#closeInfo = info
    const detail = `the connection is gone (${info.detail})`
    for (const connection of this.#connections) {
      if (info.kind === 'clean' && !connection.isOver) connection.end()
      else connection.close({ kind: 'reset', detail }, true)
    }
    this.#handlers?.onClose(info)
  }
}

/** @throws GatewayError when the client has gone or its request is no WebSocket. */
export function acceptLegacyForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: LegacyForwardOptions,
): Promise<ForwardServerSession> {
  const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
  return answerHandshake(request, socket, head, {
    protocol: options.protocol,
    limits,
    open: (ws) => new WebSocketForward(ws, socket, options),
  })
}
