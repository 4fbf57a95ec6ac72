/**
 * lib/spdy: SPDY/3.1 as Kubernetes speaks it (the dialect of moby/spdystream),
 * and the legs of sessions on it. Knows nothing of users, policies or pods.
 *
 * May import: lib/errors, lib/streams, pako, node:stream.
 *
 * This file is the shell around the codec: it owns the socket of one
 * connection, keeps the stream table, answers PING and finds out when the peer
 * is gone. There are no flow-control windows in this dialect (WINDOW_UPDATE is
 * ignored by both ends), so the only brake is not to read the socket.
 */
import type { Duplex } from 'node:stream'

import { errorText } from '../errors/gateway-error.ts'
import type { CloseInfo } from '../streams/session.ts'
import { SYSTEM_CLOCK, type Clock } from './clock.ts'
import type { ConnectionEvents, ConnectionOptions } from './connection-options.ts'
import { DEFAULT_LIMITS, GoAwayStatus, type RstStreamStatus } from './constants.ts'
import { FrameDecoder } from './decode.ts'
import {
  encodeDataHeader,
  encodeGoAway,
  encodePing,
  encodeRstStream,
  encodeSynReply,
  encodeSynStream,
} from './encode.ts'
import type { Frame, RstStreamFrame, SynStreamFrame } from './frame.ts'
import { HeaderBlockDecoder, HeaderBlockEncoder, type Headers } from './header-block.ts'
import { Liveness } from './liveness.ts'
import { Pings } from './pings.ts'
import { awaitFinish, DEFAULT_PATIENCE, destroySoon, LAST_WORD_MS } from './socket-end.ts'
import { StreamTable, type Verdict } from './stream-table.ts'
import { isSpdyViolation, SpdyViolation } from './violation.ts'
import { FrameWriter } from './writer.ts'

export type { ConnectionEvents, ConnectionOptions } from './connection-options.ts'

const DEFAULT_TICK_MS = 15_000
const DEFAULT_DEAD_TICKS = 4
const EMPTY_HEADERS: Headers = new Map()

export class SpdyConnection {
  readonly #socket: Duplex
  readonly #events: ConnectionEvents
  readonly #clock: Clock
  readonly #role: 'server' | 'client'
  readonly #writer: FrameWriter
  readonly #decoder: FrameDecoder
  readonly #headerDecoder: HeaderBlockDecoder
  readonly #headerEncoder = new HeaderBlockEncoder()
  readonly #streams: StreamTable
  readonly #liveness: Liveness
  readonly #timers: (() => void)[] = []
  /** `open` -> `ending` (we said goodbye, bytes drain) -> `closed` (`onClose` told or under way). */
  #state: 'open' | 'ending' | 'closed' = 'open'
  #paused = false
  #delivering = false
  #inputEnded = false
  #peerGoAway: number | undefined
  #socketError: unknown
  #awaitingEnd = false
  /** Answers not yet taken by the kernel; no honest peer waits for more than a few. */
  #queuedAnswers = 0
  readonly #maxQueuedAnswers: number
  #lastRefused = 0
  readonly #pings: Pings
  readonly #closed = Promise.withResolvers<void>()

  constructor(
    socket: Duplex,
    head: Uint8Array,
    role: 'server' | 'client',
    events: ConnectionEvents,
    options: ConnectionOptions = {},
  ) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#socket = socket
    this.#events = events
    this.#role = role
    this.#clock = options.clock ?? SYSTEM_CLOCK
    this.#writer = new FrameWriter(socket, () => this.#onDrain(), options.highWaterMark)
    this.#decoder = new FrameDecoder(limits)
    this.#headerDecoder = new HeaderBlockDecoder(limits)
    this.#streams = new StreamTable(role, limits.maxStreams, options.strays ?? 'end')
    this.#maxQueuedAnswers = limits.maxQueuedAnswers
    this.#pings = new Pings(role)
    this.#liveness = new Liveness({
      pingWhilePaused: role === 'server',
      deadTicks: options.deadTicks ?? DEFAULT_DEAD_TICKS,
      stalledTicks: options.stalledTicks ?? 0,
    })
    this.#listen(head)
    this.#timers.push(this.#clock.every(options.tickMs ?? DEFAULT_TICK_MS, () => this.#tick()))
  }

  /** Bytes the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#writer.unsentBytes
  }

  /** Bytes queued since it began, sent or not. */
  get queuedTotal(): number {
    return this.#writer.queuedTotal
  }

  get streamCount(): number {
    return this.#streams.size
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** After `onClose`. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** The status of the peer's GOAWAY, if one came. */
  get peerGoAway(): number | undefined {
    return this.#peerGoAway
  }

  openStream(headers: Headers): number {
    const id = this.#streams.openLocal()
    this.#writer.frame(encodeSynStream(id, this.#headerEncoder.encode(headers)))
    return id
  }

  sendReply(streamId: number): void {
    this.#answer(encodeSynReply(streamId, this.#headerEncoder.encode(EMPTY_HEADERS)), 'SYN_STREAM')
  }

  /** Ends one stream both ways at once; nothing when it is over. With `strays: 'drop'` only. */
  resetStream(streamId: number, status: RstStreamStatus): void {
    if (!this.#streams.forget(streamId) || this.#state !== 'open') return
    this.#answer(encodeRstStream(streamId, status), 'RST_STREAM')
  }

  /** Drops what still comes on it. With `strays: 'drop'` only. */
  forgetStream(streamId: number): void {
    this.#streams.forget(streamId)
  }

  /** False: above the high-water mark, wait for `onDrain`. */
  sendData(streamId: number, data: Uint8Array): boolean {
    if (this.#state !== 'open' || !this.#streams.canSend(streamId)) return true
    this.#liveness.sentData(this.#writer.data(streamId, data))
    return this.#writer.hasRoom()
  }

  /** FIN; nothing when our side of the stream is closed already. */
  endStream(streamId: number): void {
    if (this.#state !== 'open' || !this.#streams.endLocal(streamId)) return
    this.#writer.frame(encodeDataHeader(streamId, 0, true))
  }

  /** `answered` is never called when the peer goes first. */
  ping(answered?: () => void): void {
    if (this.#state === 'open') this.#writer.frame(encodePing(this.#pings.next(answered)))
  }

  pause(): void {
    if (this.#state !== 'open') return
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    // Not from inside the caller: it may be in the middle of something.
    process.nextTick(() => {
      this.#deliver()
      if (!this.#paused) this.#socket.resume()
    })
  }

  /**
   * The polite end: GOAWAY, then the end of our side, then the peer's own end.
   * What comes from now on is read and dropped.
   */
  finish(timeoutMs?: number): void {
    if (this.#state !== 'open') return
    this.#writer.frame(encodeGoAway(this.#streams.lastRemoteId, GoAwayStatus.OK))
    this.#state = 'ending'
    this.#writer.end()
    this.#paused = false
    this.#socket.resume()
    const patience =
      timeoutMs === undefined ? DEFAULT_PATIENCE : { stalledMs: timeoutMs, closeMs: timeoutMs }
    this.#timers.push(
      awaitFinish(this.#socket, this.#clock, patience, () =>
        this.#close('local', 'finished; the peer did not close'),
      ),
    )
  }

  /** Ends the connection at once, after a last attempt to say why. */
  abort(detail: string): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open' && this.#role === 'server') {
      this.#writer.frame(encodeGoAway(this.#streams.lastRemoteId, GoAwayStatus.INTERNAL_ERROR))
    }
    this.#close('local', detail)
  }

  /** The peer is at fault, or gone. */
  fail(detail: string, status: GoAwayStatus = GoAwayStatus.PROTOCOL_ERROR): void {
    if (this.#state === 'open') this.#writer.frame(encodeGoAway(this.#streams.lastRemoteId, status))
    this.#close(this.#state === 'ending' ? 'local' : 'lost', detail)
  }

  #listen(head: Uint8Array): void {
    const socket = this.#socket
    // Node took its own listeners off at `upgrade`; an error without one would end the process.
    socket.on('error', (error) => (this.#socketError ??= error))
    socket.on('data', (chunk: Uint8Array) => {
      if (this.#state !== 'open') return
      this.#liveness.heard()
      this.#decoder.push(chunk)
      this.#deliver()
    })
    socket.on('end', () => {
      this.#inputEnded = true
      this.#deliver()
    })
    socket.on('drain', () => this.#onDrain())
    socket.on('finish', () => {
      if (this.#state === 'ending' && this.#inputEnded) this.#close('local', 'finished')
    })
    socket.on('close', () => this.#onSocketClose())
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true)
    this.#decoder.push(head)
    process.nextTick(() => {
      this.#deliver()
      // Destroyed before we listened: its events are over.
      if (socket.destroyed) this.#onSocketClose()
      else if (!this.#paused) socket.resume()
    })
  }

  #deliver(): void {
    if (this.#delivering) return
    this.#delivering = true
    try {
      while (!this.#paused && this.#state === 'open') {
        const frame = this.#decoder.next()
        if (frame === undefined) break
        this.#receive(frame)
        if (this.#peerGoAway !== undefined && this.#streams.allRemoteEnded) this.#awaitEnd()
      }
    } catch (error) {
      // A fault of ours while handling one connection's bytes ends that connection, no other.
      if (isSpdyViolation(error)) this.fail(error.message, error.goAwayStatus)
      else this.fail(`handling a frame: ${errorText(error)}`, GoAwayStatus.INTERNAL_ERROR)
    } finally {
      this.#delivering = false
    }
    if (!this.#inputEnded) return
    if (!this.#paused || !this.#decoder.hasUnread) this.#onInputEnd()
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case 'DATA':
        if (!this.#admit(frame.streamId, this.#streams.receive(frame.streamId))) return
        if (frame.fin) this.#streams.endRemote(frame.streamId)
        this.#events.onData(frame.streamId, frame.data, frame.fin)
        return
      case 'SYN_STREAM':
        this.#receiveSynStream(frame)
        return
      case 'SYN_REPLY':
        this.#headerDecoder.decode(frame.headerBlock)
        if (!this.#admit(frame.streamId, this.#streams.replied(frame.streamId, frame.fin))) return
        this.#events.onReply(frame.streamId, frame.fin)
        return
      case 'HEADERS':
        // Nobody in Kubernetes sends it, and inflating blocks without end would be a peer's to order.
        throw new SpdyViolation('HEADERS')
      case 'RST_STREAM':
        this.#receiveReset(frame)
        return
      case 'PING':
        if (this.#pings.isOurs(frame.id)) this.#pings.answered(frame.id)
        else this.#answer(encodePing(frame.id), 'PING')
        return
      case 'GOAWAY':
        this.#peerGoAway = frame.status
        return
      default: // SETTINGS and WINDOW_UPDATE mean nothing in this dialect.
    }
  }

  #receiveSynStream(frame: SynStreamFrame): void {
    const headers = this.#headerDecoder.decode(frame.headerBlock)
    if (this.#role === 'client') throw new SpdyViolation('SYN_STREAM from a server')
    if (this.#peerGoAway !== undefined) throw new SpdyViolation('SYN_STREAM after GOAWAY')
    if (frame.unidirectional) throw new SpdyViolation('unidirectional SYN_STREAM')
    const verdict = this.#streams.openRemote(frame.streamId, frame.fin)
    if (!this.#admit(frame.streamId, verdict)) return
    this.#events.onStream(frame.streamId, headers, frame.fin)
  }

  #receiveReset({ streamId, status }: RstStreamFrame): void {
    if (this.#streams.reset(streamId)) this.#events.onReset(streamId, status)
  }

  #admit(streamId: number, verdict: Verdict): boolean {
    if (verdict === 'accept') return true
    // One answer for a frame, in however many pieces it comes.
    if (verdict !== 'drop' && this.#lastRefused !== streamId) {
      this.#lastRefused = streamId
      this.#answer(encodeRstStream(streamId, verdict), 'frame')
    }
    return false
  }

  /** Bounds what a peer can make us queue that sends and does not read. */
  #answer(frame: Uint8Array, to: string): void {
    this.#queuedAnswers += 1
    if (this.#queuedAnswers > this.#maxQueuedAnswers) {
      this.fail(`${to} flood`)
      return
    }
    this.#writer.frame(frame, () => (this.#queuedAnswers -= 1))
  }

  /** The peer said goodbye and owes nothing: it is to close, or we do. */
  #awaitEnd(): void {
    if (this.#awaitingEnd) return
    this.#awaitingEnd = true
    this.#timers.push(this.#clock.after(LAST_WORD_MS, () => this.#onInputEnd()))
  }

  /** The peer will send nothing more, and all it sent has been delivered. */
  #onInputEnd(): void {
    // A peer may end its side first and still read ours: then `finish` waits for the last byte.
    if (this.#state === 'ending' && this.#socket.writableFinished) this.#close('local', 'finished')
    if (this.#state === 'open') this.#concludePeerEnd('the peer ended the connection')
  }

  #onSocketClose(): void {
    if (this.#state === 'closed') return
    const detail = this.#socketError === undefined ? 'closed' : errorText(this.#socketError)
    if (this.#state === 'ending') {
      this.#close('local', this.#inputEnded ? 'finished' : `finished; ${detail}`)
      return
    }
    // What the API server sent before its connection broke is still the command's output:
    // it waits for `resume`. A client that is gone has nothing more to say.
    this.#inputEnded = true
    if (this.#paused && this.#role === 'client' && this.#decoder.hasUnread) return
    this.#concludePeerEnd(`the connection was closed (${detail})`)
  }

  #concludePeerEnd(detail: string): void {
    if (!this.#decoder.atFrameBoundary) this.#close('lost', `${detail} inside a frame`)
    else this.#close(this.#events.endedCleanly() ? 'clean' : 'lost', detail)
  }

  #onDrain(): void {
    if (!this.#writer.drained() || this.#state !== 'open') return
    try {
      this.#events.onDrain()
    } catch (error) {
      this.fail(`handling a drain: ${errorText(error)}`, GoAwayStatus.INTERNAL_ERROR)
    }
  }

  #tick(): void {
    if (this.#state !== 'open') return
    const unsentBytes = this.#writer.unsentBytes
    const verdict = this.#liveness.tick({ unsentBytes, reading: !this.#paused })
    if (verdict === 'dead') this.#close('lost', 'the peer stopped answering')
    if (verdict === 'ping') this.ping()
  }

  #close(kind: CloseInfo['kind'], detail: string): void {
    if (this.#state === 'closed') return
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    for (const stop of this.#timers.splice(0)) stop()
    // Towards the API server there is nothing left to say, and queued stdin must not reach the pod.
    if (this.#role === 'client') this.#socket.destroy()
    else {
      if (wasOpen) this.#writer.end()
      destroySoon(this.#socket, this.#clock)
    }
    process.nextTick(() => {
      this.#closed.resolve()
      this.#events.onClose({ kind, detail })
    })
  }
}
