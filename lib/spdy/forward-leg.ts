/** What both ends of a port-forward over SPDY share: the streams of a connection, found by id. */
import type { Duplex } from 'node:stream'

import { DEFAULT_FORWARD_LIMITS, type ForwardLimits } from '../streams/forward.ts'
import { ForwardGate } from '../streams/forward-gate.ts'
import type { CloseInfo } from '../streams/session.ts'
import { SYSTEM_CLOCK, type Clock } from './clock.ts'
import { SpdyConnection, type ConnectionOptions } from './connection.ts'
import { CLIENT_STALLED_TICKS, DEFAULT_LIMITS, GoAwayStatus } from './constants.ts'
import type { ForwardOwner, ForwardStream, SpdyForwardConnection } from './forward-connection.ts'
import type { Headers } from './header-block.ts'

export interface ForwardOptions extends ConnectionOptions {
  forward?: Partial<ForwardLimits>
}

export interface ForwardLegInit {
  role: 'server' | 'client'
  socket: Duplex
  head: Uint8Array
  options: ForwardOptions
  onStream(streamId: number, headers: Headers, fin: boolean): void
  onReply(connection: SpdyForwardConnection, stream: ForwardStream): void
  /** No connection is left. */
  onIdle?(): void
  onClose(info: CloseInfo): void
}

/** Both streams of a connection may stand in queued answers (SYN_REPLY) at one time, and PINGs. */
const SPARE_ANSWERS = 1000

export class ForwardLeg implements ForwardOwner {
  readonly role: 'server' | 'client'
  readonly limits: ForwardLimits
  readonly clock: Clock
  readonly wire: SpdyConnection
  readonly gate: ForwardGate<SpdyForwardConnection>
  readonly #onIdle: () => void
  readonly #byStream = new Map<number, { of: SpdyForwardConnection; stream: ForwardStream }>()
  readonly #live = new Set<SpdyForwardConnection>()
  /** Over on the wire, with bytes that wait for their reader. */
  readonly #undelivered = new Set<SpdyForwardConnection>()
  #waiting = new Set<SpdyForwardConnection>()

  constructor(init: ForwardLegInit) {
    const { role, options } = init
    this.role = role
    this.#onIdle = init.onIdle ?? (() => {})
    this.clock = options.clock ?? SYSTEM_CLOCK
    this.limits = { ...DEFAULT_FORWARD_LIMITS, ...options.forward }
    const maxStreams = 2 * this.limits.maxConnections
    const limits = {
      ...DEFAULT_LIMITS,
      maxStreams,
      maxQueuedAnswers: 2 * maxStreams + SPARE_ANSWERS,
      ...options.limits,
    }
    const events = {
      onStream: init.onStream,
      onReply: (id: number, fin: boolean) => {
        const entry = this.#byStream.get(id)
        if (entry === undefined) return
        init.onReply(entry.of, entry.stream)
        if (fin) this.#receive(id, new Uint8Array(0), true)
      },
      onData: (id: number, data: Uint8Array, fin: boolean) => this.#receive(id, data, fin),
      onReset: (id: number, status: number) => {
        const entry = this.#byStream.get(id)
        this.#byStream.delete(id)
        entry?.of.receiveReset(entry.stream, status)
      },
      onDrain: () => this.#onDrain(),
      endedCleanly: () => this.#endedCleanly(),
      onClose: (info: CloseInfo) => {
        this.gate.stop()
        this.closeAll(`the connection is gone (${info.detail})`)
        init.onClose(info)
      },
    }
    const stalledTicks = role === 'server' ? CLIENT_STALLED_TICKS : 0
    this.wire = new SpdyConnection(init.socket, init.head, role, events, {
      stalledTicks,
      ...options,
      limits,
      strays: 'drop',
    })
    const { wire, clock } = this
    this.gate = new ForwardGate(
      {
        pause: () => wire.pause(),
        resume: () => wire.resume(),
        after: (ms, task) => clock.after(ms, task),
      },
      this.limits,
    )
  }

  /** Connections and half pairs. */
  get size(): number {
    return this.#live.size
  }

  get load(): { streams: number; connections: number; heldBytes: number } {
    const { heldBytes } = this.gate
    const connections = this.#live.size + this.#undelivered.size
    return { streams: this.wire.streamCount, connections, heldBytes }
  }

  bind(connection: SpdyForwardConnection, stream: ForwardStream, streamId: number): void {
    connection.bind(stream, streamId)
    this.#live.add(connection)
    this.#byStream.set(streamId, { of: connection, stream })
  }

  awaitDrain(connection: SpdyForwardConnection): void {
    this.#waiting.add(connection)
  }

  release(connection: SpdyForwardConnection): void {
    this.#live.delete(connection)
    this.#waiting.delete(connection)
    if (connection.heldBytes > 0) this.#undelivered.add(connection)
    for (const stream of ['data', 'error'] as const) {
      const id = connection.streamId(stream)
      if (id === undefined) continue
      this.#byStream.delete(id)
      this.wire.forgetStream(id)
    }
    this.#tellIdle()
  }

  delivered(connection: SpdyForwardConnection): void {
    if (this.#undelivered.delete(connection)) this.#tellIdle()
  }

  /** What a client has not been able to say stays unsaid; what the pod has said is delivered. */
  closeAll(detail: string): void {
    const keep = this.role === 'client'
    for (const connection of [...this.#live, ...this.#undelivered]) {
      connection.legClosed(detail, keep)
    }
  }

  /** Ends what is open without a word on the error streams; for the polite end of a session. */
  endAll(): void {
    for (const connection of this.#live) connection.fail()
  }

  #tellIdle(): void {
    if (this.#live.size + this.#undelivered.size === 0) process.nextTick(this.#onIdle)
  }

  #receive(id: number, data: Uint8Array, fin: boolean): void {
    const entry = this.#byStream.get(id)
    entry?.of.receive(entry.stream, data, fin)
  }

  #onDrain(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const connection of waiting) connection.drained()
  }

  #endedCleanly(): boolean {
    const { peerGoAway } = this.wire
    if (peerGoAway !== undefined) return peerGoAway === GoAwayStatus.OK
    return this.role === 'client' && this.#live.size === 0
  }
}
