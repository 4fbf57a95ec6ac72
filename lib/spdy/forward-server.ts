/**
 * A port-forward towards kubectl: `portforward.k8s.io` over SPDY, on a socket or through the
 * WebSocket tunnel. Pairs the streams the client opens by their `requestid`.
 *
 * Whatever a client does on one connection ends that connection and no other; so unlike exec's leg
 * this one answers a stream it cannot use with RST_STREAM and goes on.
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward/httpstream.go.
 */
import type { Duplex } from 'node:stream'

import type { ForwardServerSession } from '../streams/forward.ts'
import type { CloseInfo } from '../streams/session.ts'
import { RstStreamStatus } from './constants.ts'
import { SpdyForwardConnection, type ForwardStream } from './forward-connection.ts'
import { ForwardLeg, type ForwardOptions } from './forward-leg.ts'
import type { Headers } from './header-block.ts'

export interface AcceptForwardOptions extends ForwardOptions {
  /** For the record. Default `SPDY/3.1 portforward.k8s.io`. */
  protocol?: string
}

interface Pair {
  connection: SpdyForwardConnection
  cancelTimeout: () => void
}

export interface SpdyForwardSession {
  /** What is open at this moment; 0 after the last connection, however many there were. */
  readonly load: { streams: number; connections: number; heldBytes: number }
}

type ServerHandlers = Parameters<ForwardServerSession['start']>[0]

/** As the kubelet reads it: digits only, 1 to 65535. */
const PORT = /^[0-9]{1,5}$/
/** client-go counts from 0; a longer name only costs memory. */
const MAX_REQUEST_ID_LENGTH = 64

function portOf(headers: Headers): number | undefined {
  const text = headers.get('port') ?? ''
  const port = PORT.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

function streamTypeOf(headers: Headers): ForwardStream | undefined {
  const type = headers.get('streamtype')
  return type === 'data' || type === 'error' ? type : undefined
}

/** Clients before Kubernetes 1.4 send no request id: their data stream follows its error stream. */
function requestIdOf(streamId: number, stream: ForwardStream, headers: Headers): string {
  const given = headers.get('requestid')
  if (given !== undefined && given !== '') return `id ${given}`
  return `stream ${stream === 'error' ? streamId : streamId - 2}`
}

class SpdyForwardServer implements ForwardServerSession, SpdyForwardSession {
  readonly protocol: string
  readonly #leg: ForwardLeg
  readonly #pairs = new Map<string, Pair>()
  #handlers: ServerHandlers | undefined
  #closeInfo: CloseInfo | undefined
  #nextId = 1

  constructor(socket: Duplex, head: Uint8Array, options: AcceptForwardOptions) {
    this.protocol = options.protocol ?? 'SPDY/3.1 portforward.k8s.io'
    this.#leg = new ForwardLeg({
      role: 'server',
      socket,
      head,
      options,
      onStream: (id, headers, fin) => this.#onStream(id, headers, fin),
      onReply: () => {},
      onClose: (info) => this.#onClose(info),
    })
    // Nothing piles up before somebody decides about it.
    this.#leg.wire.pause()
  }

  get load(): SpdyForwardSession['load'] {
    return this.#leg.load
  }

  start(handlers: ServerHandlers): void {
    this.#handlers = handlers
    if (this.#closeInfo === undefined) {
      if (!this.#leg.gate.isShut) this.#leg.wire.resume()
      return
    }
    const info = this.#closeInfo
    process.nextTick(() => handlers.onClose(info))
  }

  finish(timeoutMs?: number): Promise<void> {
    const { wire } = this.#leg
    if (wire.isOpen) {
      this.#leg.endAll()
      wire.finish(timeoutMs)
    }
    return wire.closed
  }

  abort(detail: string): void {
    this.#leg.wire.abort(detail)
  }

  #onStream(streamId: number, headers: Headers, fin: boolean): void {
    const { wire } = this.#leg
    const port = portOf(headers)
    const stream = streamTypeOf(headers)
    if (port === undefined || stream === undefined) {
      wire.resetStream(streamId, RstStreamStatus.PROTOCOL_ERROR)
      return
    }
    const key = requestIdOf(streamId, stream, headers)
    const pair = key.length > MAX_REQUEST_ID_LENGTH ? undefined : this.#pairFor(key, port)
    if (
      pair === undefined ||
      pair.connection.port !== port ||
      pair.connection.streamId(stream) !== undefined
    ) {
      wire.resetStream(streamId, RstStreamStatus.REFUSED_STREAM)
      return
    }
    const { connection } = pair
    this.#leg.bind(connection, stream, streamId)
    wire.sendReply(streamId)
    if (fin) connection.receive(stream, new Uint8Array(0), true)
    if (connection.isPaired) this.#complete(pair)
  }

  #pairFor(key: string, port: number): Pair | undefined {
    const known = this.#pairs.get(key)
    if (known !== undefined) return known
    const { limits, clock } = this.#leg
    if (this.#leg.size >= limits.maxConnections) return undefined
    const connection = new SpdyForwardConnection(this.#leg, port, () => {
      cancelTimeout()
      this.#pairs.delete(key)
    })
    const cancelTimeout = clock.after(limits.pairTimeoutMs, () => {
      const missing = connection.streamId('data') === undefined ? 'data' : 'error'
      connection.fail(
        `the ${missing} stream for port ${port} did not come within ${limits.pairTimeoutMs / 1000} s`,
      )
    })
    const pair = { connection, cancelTimeout }
    this.#pairs.set(key, pair)
    return pair
  }

  /** Its request id stays taken until the connection is over. */
  #complete({ connection, cancelTimeout }: Pair): void {
    cancelTimeout()
    connection.id = this.#nextId
    this.#nextId += 1
    this.#handlers?.onConnection(connection)
  }

  #onClose(info: CloseInfo): void {
    this.#closeInfo = info
    this.#handlers?.onClose(info)
  }
}

/** Call after the 101 was written, in the same turn; nothing is read before `start`. */
export function acceptSpdyForward(
  socket: Duplex,
  head: Uint8Array,
  options: AcceptForwardOptions = {},
): ForwardServerSession & SpdyForwardSession {
  return new SpdyForwardServer(socket, head, options)
}
