/**
 * A `StreamSession` on a SPDY connection: channel names in place of stream ids.
 * Both legs use it; server-session.ts and client-session.ts open the streams.
 */
import type { Duplex } from 'node:stream'

import { GatewayError, errorText } from '../errors/gateway-error.ts'
import type { StreamName } from '../streams/channel.ts'
import type { CloseInfo, StreamHandlers, StreamSession } from '../streams/session.ts'
import { SpdyConnection, type ConnectionOptions } from './connection.ts'
import { CLIENT_STALLED_TICKS, GoAwayStatus, RstStreamStatus } from './constants.ts'
import type { Headers } from './header-block.ts'
import { errorStreamBytes } from './error-stream.ts'
import { SpdyViolation } from './violation.ts'

/** What happens before all streams exist; afterwards no stream may be added. */
export interface OpeningEvents {
  onStream(streamId: number, headers: Headers): void
  onReply(streamId: number): void
  /** The connection ended; once opened this comes before the handlers' `onClose`. */
  onClose(info: CloseInfo): void
}

export interface SessionInit {
  role: 'server' | 'client'
  /** The remotecommand protocol, e.g. `v4.channel.k8s.io`. */
  protocol: string
  socket: Duplex
  head: Uint8Array
  opening: OpeningEvents
  options: ConnectionOptions
}

/** Data of a client that sends before all streams exist; kubectl never does. */
const MAX_HELD_BYTES = 256 * 1024

/** Channels the peer may write to; client-go reads and drops what a server writes to the others. */
const RECEIVED: Readonly<Record<'server' | 'client', ReadonlySet<StreamName>>> = {
  server: new Set<StreamName>(['stdin', 'resize']),
  client: new Set<StreamName>(['stdout', 'stderr', 'error']),
}

export class SpdyStreamSession implements StreamSession {
  readonly protocol: string
  readonly canHalfClose = true
  readonly #init: SessionInit
  readonly #connection: SpdyConnection
  readonly #ids = new Map<StreamName, number>()
  readonly #names = new Map<number, StreamName>()
  readonly #ended = new Set<StreamName>()
  #handlers: StreamHandlers | undefined
  /** What came before `start`, as calls to make after it. */
  #held: ((handlers: StreamHandlers) => void)[] = []
  #heldBytes = 0
  #opened = false
  #paused = false
  /** We ended it: nothing but `onClose` is told any more. */
  #over = false

  constructor(init: SessionInit) {
    this.#init = init
    this.protocol = `SPDY/3.1 ${init.protocol}`
    const events = {
      onStream: (id: number, headers: Headers, fin: boolean) => this.#onStream(id, headers, fin),
      onReply: (id: number, fin: boolean) => {
        init.opening.onReply(id)
        if (fin) this.#onData(id, new Uint8Array(0), true)
      },
      onData: (id: number, data: Uint8Array, fin: boolean) => this.#onData(id, data, fin),
      onReset: (id: number, status: number) => this.#onReset(id, status),
      onDrain: () => {
        if (this.#handlers === undefined) this.#tell((handlers) => handlers.onDrain())
        else if (!this.#over) this.#handlers.onDrain()
      },
      endedCleanly: () => this.#endedCleanly(),
      onClose: (info: CloseInfo) => {
        init.opening.onClose(info)
        this.#tell((handlers) => handlers.onClose(info))
      },
    }
    const stalledTicks = init.role === 'server' ? CLIENT_STALLED_TICKS : 0
    const options = { stalledTicks, ...init.options }
    this.#connection = new SpdyConnection(init.socket, init.head, init.role, events, options)
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes
  }

  /** Names a stream the peer opened and accepts it. */
  accept(name: StreamName, streamId: number): void {
    this.#bind(name, streamId)
    this.#connection.sendReply(streamId)
  }

  /** Opens a stream of our own; client-go sends nothing but its type. */
  open(name: StreamName): void {
    this.#bind(name, this.#connection.openStream(new Map([['streamtype', name]])))
  }

  has(name: StreamName): boolean {
    return this.#ids.has(name)
  }

  /** All streams exist: what comes now waits for `start`. */
  opened(): void {
    this.#opened = true
    this.#connection.pause()
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    process.nextTick(() => this.#deliverHeld())
  }

  write(channel: StreamName, data: Uint8Array): boolean {
    const id = this.#ids.get(channel)
    return id === undefined || this.#connection.sendData(id, data)
  }

  end(channel: StreamName): void {
    const id = this.#ids.get(channel)
    if (id !== undefined) this.#connection.endStream(id)
  }

  pause(): void {
    this.#paused = true
    this.#connection.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.#handlers !== undefined) process.nextTick(() => this.#deliverHeld())
  }

  /**
   * kubectl returns once stdout, stderr and error have ended, so the status goes
   * last of the three. Without the FIN on stdin its drain of that stream would
   * wait for the connection to end.
   */
  finish(status: Uint8Array, timeoutMs?: number): Promise<void> {
    if (this.#connection.isOpen) {
      this.#silence()
      if (this.#init.role === 'server') {
        this.end('stdout')
        this.end('stderr')
        this.write('error', errorStreamBytes(this.#init.protocol, status))
      }
      this.end('error')
      this.end('stdin')
      this.#connection.finish(timeoutMs)
    }
    return this.#connection.closed
  }

  /**
   * To kubectl an error stream that merely ends means exit code 0, also when
   * the whole connection broke off. So the last thing a client hears is a failure.
   */
  abort(detail: string): void {
    this.#silence()
    if (this.#connection.isOpen && this.#init.role === 'server') {
      const error = new GatewayError(
        'ServiceUnavailable',
        'the gateway ended this session before the command did: its output may be incomplete; run the command again',
        { id: 1510 },
      )
      const status = Buffer.from(JSON.stringify(error.toStatus()))
      this.write('error', errorStreamBytes(this.#init.protocol, status))
    }
    this.#connection.abort(detail)
  }

  #bind(name: StreamName, streamId: number): void {
    this.#ids.set(name, streamId)
    this.#names.set(streamId, name)
  }

  #onStream(streamId: number, headers: Headers, fin: boolean): void {
    if (this.#opened) throw new SpdyViolation('SYN_STREAM after all streams were opened')
    this.#init.opening.onStream(streamId, headers)
    if (fin) this.#onData(streamId, new Uint8Array(0), true)
  }

  #onData(streamId: number, data: Uint8Array, fin: boolean): void {
    const name = this.#names.get(streamId)
    if (name === undefined) throw new SpdyViolation(`data on stream ${streamId} without a name`)
    if (data.length > 0) {
      if (RECEIVED[this.#init.role].has(name)) this.#receive(name, data)
      else if (this.#init.role === 'server') {
        throw new SpdyViolation(`a client sent data on ${name}`)
      }
    }
    if (fin) this.#endChannel(name)
  }

  #receive(name: StreamName, data: Uint8Array): void {
    if (this.#mustHold()) {
      this.#heldBytes += data.length
      if (this.#heldBytes > MAX_HELD_BYTES) throw new SpdyViolation('data before all streams')
    }
    this.#tell((handlers) => handlers.onData(name, data))
  }

  #onReset(streamId: number, status: number): void {
    const name = this.#names.get(streamId)
    if (name === undefined) return
    // CANCEL is how moby/spdystream closes what it has not ended, on both sides, when it is done.
    if (this.#opened && status === RstStreamStatus.CANCEL) this.#endChannel(name)
    else this.#connection.fail(`the peer reset ${name} (status ${status})`, GoAwayStatus.OK)
  }

  #endChannel(name: StreamName): void {
    if (this.#ended.has(name)) return
    this.#ended.add(name)
    this.#tell((handlers) => handlers.onEnd(name))
  }

  /** A client that is done says GOAWAY; a server has at least ended the error stream. */
  #endedCleanly(): boolean {
    if (this.#connection.peerGoAway === GoAwayStatus.OK) return true
    return (
      this.#init.role === 'client' &&
      this.#connection.peerGoAway === undefined &&
      this.#ended.has('error')
    )
  }

  #mustHold(): boolean {
    return this.#handlers === undefined || this.#held.length > 0
  }

  #tell(call: (handlers: StreamHandlers) => void): void {
    if (this.#handlers === undefined || this.#held.length > 0) this.#held.push(call)
    else call(this.#handlers)
  }

  #deliverHeld(): void {
    const handlers = this.#handlers
    if (handlers === undefined) return
    try {
      while (!this.#paused) {
        const call = this.#held.shift()
        if (call === undefined) {
          this.#connection.resume()
          return
        }
        call(handlers)
      }
    } catch (error) {
      const detail = `delivering early data: ${errorText(error)}`
      this.#connection.fail(detail, GoAwayStatus.INTERNAL_ERROR)
    }
  }

  #silence(): void {
    this.#over = true
    this.#held = []
  }
}
