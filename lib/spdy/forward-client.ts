/**
 * A port-forward towards the API server: `portforward.k8s.io` over SPDY. Opens the two streams of
 * each connection.
 *
 * Source: client-go tools/portforward/portforward.go (handleConnection).
 */
import type { Duplex } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import type { ForwardClientSession, ForwardConnection } from '../streams/forward.ts'
import type { CloseInfo } from '../streams/session.ts'
import { SpdyForwardConnection, type ForwardStream } from './forward-connection.ts'
import { ForwardLeg, type ForwardOptions } from './forward-leg.ts'

interface Opening {
  unanswered: number
  opened(): void
}

/**
 * moby/spdystream hands the frames of one connection to five workers in turn (FRAME_WORKERS): those
 * of a stream to the one its id leads to, a PING to the next. A worker that waits for somebody to read
 * a stream answers none, and holds up every stream that is its own.
 */
const WORKERS = 5

type ClientHandlers = Parameters<ForwardClientSession['start']>[0]

function notAccepted(port: number, detail: string): GatewayError {
  return new GatewayError(
    'BadGateway',
    `the API server did not accept a connection to port ${port} (${detail}); try again`,
    { id: 1513 },
  )
}

class SpdyForwardClient implements ForwardClientSession {
  readonly protocol = 'SPDY/3.1 portforward.k8s.io'
  readonly #leg: ForwardLeg
  readonly #opening = new Map<SpdyForwardConnection, Opening>()
  readonly #settling = new Set<(isSettled: boolean) => void>()
  #handlers: ClientHandlers | undefined
  #closeInfo: CloseInfo | undefined
  #connections = 0

  constructor(socket: Duplex, head: Uint8Array, options: ForwardOptions) {
    this.#leg = new ForwardLeg({
      role: 'client',
      socket,
      head,
      options,
      onStream: () => {},
      onReply: (connection, stream) => this.#onReply(connection, stream),
      onIdle: () => this.#handlers?.onIdle?.(),
      onClose: (info) => this.#onClose(info),
    })
  }

  get isOpen(): boolean {
    return this.#leg.wire.isOpen && this.#leg.wire.peerGoAway === undefined
  }

  start(handlers: ClientHandlers): void {
    this.#handlers = handlers
    const info = this.#closeInfo
    if (info !== undefined) process.nextTick(() => handlers.onClose(info))
  }

  open(port: number): Promise<ForwardConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<ForwardConnection>()
    const { limits, clock } = this.#leg
    if (!this.isOpen) {
      reject(notAccepted(port, 'the connection to it is gone'))
      return promise
    }
    const connection = new SpdyForwardConnection(this.#leg, port, (end) => {
      if (!this.#forget(connection)) return
      cancelTimeout()
      // The kubelet may say why it failed before it has answered the second stream.
      if (end.kind === 'failed') resolve(connection)
      else reject(notAccepted(port, end.detail))
    })
    const cancelTimeout = clock.after(limits.replyTimeoutMs, () => {
      if (!this.#forget(connection)) return
      const seconds = limits.replyTimeoutMs / 1000
      reject(
        new GatewayError(
          'Timeout',
          `the API server did not accept a connection to port ${port} within ${seconds} s; try again`,
          { id: 1514 },
        ),
      )
      connection.fail()
    })
    const opened = (): void => {
      cancelTimeout()
      resolve(connection)
    }
    this.#opening.set(connection, { unanswered: 2, opened })
    try {
      this.#openStreams(connection)
    } catch (error) {
      // The ids of one SPDY connection are used up after a thousand million streams.
      this.#forget(connection)
      cancelTimeout()
      connection.fail()
      reject(
        new GatewayError('BadGateway', 'no more connections; run kubectl port-forward again', {
          id: 1513,
          cause: error,
        }),
      )
    }
    return promise
  }

  settled(ms: number): Promise<boolean> {
    const { wire, clock } = this.#leg
    if (!wire.isOpen) return Promise.resolve(false)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const settle = (isSettled: boolean): void => {
      cancel()
      this.#settling.delete(settle)
      resolve(isSettled)
    }
    const cancel = clock.after(ms, () => settle(false))
    this.#settling.add(settle)
    let unanswered = WORKERS
    for (let n = 0; n < WORKERS; n += 1) {
      wire.ping(() => {
        unanswered -= 1
        if (unanswered === 0) settle(true)
      })
    }
    return promise
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

  /**
   * Both at once, where client-go waits in between: moby/spdystream takes new streams in the order
   * they came, and the kubelet pairs them in any.
   */
  #openStreams(connection: SpdyForwardConnection): void {
    const requestId = String(this.#connections)
    this.#connections += 1
    connection.id = this.#connections
    for (const stream of ['error', 'data'] as const) {
      const headers = new Map([
        ['streamtype', stream],
        ['port', String(connection.port)],
        ['requestid', requestId],
      ])
      this.#leg.bind(connection, stream, this.#leg.wire.openStream(headers))
    }
  }

  #onReply(connection: SpdyForwardConnection, stream: ForwardStream): void {
    // Not before the answer: moby/spdystream drops what comes on a stream it has not answered.
    const streamId = connection.streamId(stream)
    if (stream === 'error' && streamId !== undefined) this.#leg.wire.endStream(streamId)
    const opening = this.#opening.get(connection)
    if (opening === undefined) return
    opening.unanswered -= 1
    if (opening.unanswered > 0) return
    this.#opening.delete(connection)
    opening.opened()
  }

  #forget(connection: SpdyForwardConnection): boolean {
    return this.#opening.delete(connection)
  }

  #onClose(info: CloseInfo): void {
    this.#closeInfo = info
    for (const settle of this.#settling) settle(false)
    this.#handlers?.onClose(info)
  }
}

/** Call on the upgraded socket in the same turn. */
export function openSpdyForward(
  socket: Duplex,
  head: Uint8Array,
  options: ForwardOptions = {},
): ForwardClientSession {
  return new SpdyForwardClient(socket, head, options)
}
