/**
 * One forwarded TCP connection on SPDY: a data stream for the bytes and an error stream for one
 * text. Both roles; forward-server.ts and forward-client.ts pair the streams.
 *
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward/httpstream.go, client-go
 * tools/portforward/portforward.go (handleConnection).
 */
import type { ConnectionEnd, ConnectionHandlers, ForwardConnection } from '../streams/forward.ts'
import type { ForwardGate, GateMember } from '../streams/forward-gate.ts'
import { ForwardInbox } from '../streams/forward-inbox.ts'
import type { SpdyConnection } from './connection.ts'
import { RstStreamStatus } from './constants.ts'

export type ForwardStream = 'data' | 'error'

/** The session a connection belongs to. */
export interface ForwardOwner {
  readonly role: 'server' | 'client'
  readonly wire: SpdyConnection
  readonly gate: ForwardGate<SpdyForwardConnection>
  awaitDrain(connection: SpdyForwardConnection): void
  /** The streams are over, told on the wire what there was to tell. */
  release(connection: SpdyForwardConnection): void
  /** Over, and its reader has had everything. */
  delivered(connection: SpdyForwardConnection): void
}

/** The kubelet's texts have some hundred bytes. */
const MAX_ERROR_TEXT_BYTES = 4096

export class SpdyForwardConnection implements ForwardConnection, GateMember {
  readonly port: number
  /** Set when both streams are there. */
  id = 0
  readonly #owner: ForwardOwner
  readonly #onOver: (end: ConnectionEnd) => void
  readonly #streams = new Map<ForwardStream, number>()
  readonly #inbox: ForwardInbox
  readonly #errorText: Uint8Array[] = []
  #errorTextBytes = 0
  #localEnded = false
  #remoteEnded = false
  #errorEnded = false
  #over = false
  #written = 0
  #lastWrittenAt = 0

  /** `onOver`: nothing more comes or goes on the wire, though bytes may wait for their reader. */
  constructor(owner: ForwardOwner, port: number, onOver: (end: ConnectionEnd) => void) {
    this.#owner = owner
    this.#onOver = onOver
    this.port = port
    this.#inbox = new ForwardInbox({
      onHeld: (delta) => {
        owner.gate.changed(this, delta)
        if (this.#over && this.#inbox.bytes === 0) owner.delivered(this)
      },
      onFault: (detail) => this.#cut({ kind: 'reset', detail }),
    })
  }

  get bufferedBytes(): number {
    return this.#inbox.bytes + this.#unsentBytes()
  }

  get heldBytes(): number {
    return this.#inbox.bytes
  }

  get isOver(): boolean {
    return this.#over
  }

  get isPaired(): boolean {
    return this.#streams.size === 2
  }

  streamId(stream: ForwardStream): number | undefined {
    return this.#streams.get(stream)
  }

  bind(stream: ForwardStream, streamId: number): void {
    this.#streams.set(stream, streamId)
  }

  start(handlers: ConnectionHandlers): void {
    this.#inbox.start(handlers)
  }

  write(data: Uint8Array): boolean {
    const stream = this.#streams.get('data')
    if (this.#over || this.#localEnded || stream === undefined || data.length === 0) return true
    const { wire } = this.#owner
    const hasRoom = wire.sendData(stream, data)
    this.#written = this.#unsentBytes() + data.length
    this.#lastWrittenAt = wire.queuedTotal
    if (!hasRoom) this.#owner.awaitDrain(this)
    return hasRoom
  }

  end(): void {
    const data = this.#streams.get('data')
    if (this.#over || this.#localEnded || data === undefined) return
    this.#localEnded = true
    this.#owner.wire.endStream(data)
    this.#settle()
  }

  finish(): void {
    if (this.#over) return
    const data = this.#streams.get('data')
    if (data !== undefined) {
      this.#owner.wire.endStream(data)
      // What the peer may still send on it reaches nobody.
      this.#owner.wire.forgetStream(data)
    }
    this.#endErrorStream()
    this.#conclude({ kind: 'clean', detail: 'ended' }, true)
  }

  pause(): void {
    this.#inbox.pause()
  }

  resume(): void {
    this.#inbox.resume()
  }

  fail(message?: string): void {
    if (!this.#over && this.#owner.role === 'server' && message !== undefined) this.#say(message)
    this.#cut({ kind: 'local', detail: message ?? 'cut' })
  }

  resetStuck(): void {
    this.#cut({ kind: 'reset', detail: 'nobody read what came on it, so it was reset' })
  }

  /** Bytes or the FIN of the peer. */
  receive(stream: ForwardStream, data: Uint8Array, fin: boolean): void {
    if (this.#over) return
    if (stream === 'data') {
      this.#inbox.push(data)
      if (fin && !this.#over) {
        this.#remoteEnded = true
        this.#inbox.end()
      }
    } else {
      if (this.#owner.role === 'client') this.#collect(data)
      if (fin) this.#errorEnded = true
    }
    if (fin && !this.#over) this.#settle()
  }

  /** The peer's RST_STREAM. */
  receiveReset(stream: ForwardStream, status: number): void {
    if (this.#over) return
    this.#streams.delete(stream)
    const isCancel = status === RstStreamStatus.CANCEL
    if (this.#owner.role === 'client') {
      const isDone = this.#remoteEnded && stream === 'error' && isCancel
      if (isDone || this.#errorTextBytes > 0) {
        this.#errorEnded = true
        this.#settle()
        return
      }
    } else if (stream === 'data' && isCancel && this.#localEnded) {
      // How client-go ends a connection that the pod has ended: it throws away what it would have
      // sent, and waits for what the error stream says.
      if (!this.#remoteEnded) this.#inbox.end()
      this.#remoteEnded = true
      return
    }
    // client-go waits for the end of the error stream, whatever became of the data stream.
    if (this.#owner.role === 'server') this.#endErrorStream()
    this.#cut({ kind: 'reset', detail: `the peer reset its ${stream} stream (status ${status})` })
  }

  /** The leg is gone, and everything on it. `keep`: what came before is still delivered. */
  legClosed(detail: string, keep: boolean): void {
    if (this.#over) {
      if (!keep) this.#inbox.close({ kind: 'reset', detail }, true)
      return
    }
    this.#conclude({ kind: 'reset', detail }, !keep)
  }

  drained(): void {
    this.#inbox.drained()
  }

  /** Has it come to an end? */
  #settle(): void {
    // Towards kubectl that is said by `finish` or `fail`: the kubelet ends the data stream first and
    // may still say on the error stream why.
    if (this.#owner.role === 'server' || !this.#errorEnded) return
    if (this.#errorTextBytes > 0) {
      const detail = Buffer.concat(this.#errorText).toString()
      this.#resetStreams()
      this.#conclude({ kind: 'failed', detail }, false)
    } else if (this.#remoteEnded) {
      // Both ended by the kubelet: it serves this connection no longer, whatever we would still send.
      this.#resetStreams()
      this.#conclude({ kind: 'clean', detail: 'ended' }, false)
    }
  }

  #collect(data: Uint8Array): void {
    const part = data.subarray(0, MAX_ERROR_TEXT_BYTES - this.#errorTextBytes)
    if (part.length === 0) return
    // A copy: a view would hold the whole chunk of the socket until the text ends.
    this.#errorText.push(part.slice())
    this.#errorTextBytes += part.length
  }

  #say(message: string): void {
    const error = this.#streams.get('error')
    if (error === undefined) return
    this.#owner.wire.sendData(error, Buffer.from(message))
    this.#endErrorStream()
  }

  #endErrorStream(): void {
    const error = this.#streams.get('error')
    if (error === undefined) return
    this.#owner.wire.endStream(error)
    // The client's own FIN may still come, late or never; nobody waits for it.
    this.#owner.wire.forgetStream(error)
  }

  #resetStreams(): void {
    for (const id of this.#streams.values()) {
      this.#owner.wire.resetStream(id, RstStreamStatus.CANCEL)
    }
  }

  #cut(end: ConnectionEnd): void {
    if (this.#over) {
      this.#inbox.close(end, true)
      return
    }
    this.#resetStreams()
    this.#conclude(end, true)
  }

  #conclude(end: ConnectionEnd, drop: boolean): void {
    this.#over = true
    this.#owner.release(this)
    this.#inbox.close(end, drop)
    this.#onOver(end)
  }

  /** Never too few; bytes of others that were queued before ours count as ours until they have left. */
  #unsentBytes(): number {
    const { wire } = this.#owner
    const left = this.#lastWrittenAt - (wire.queuedTotal - wire.bufferedBytes)
    return left <= 0 ? 0 : Math.min(this.#written, left)
  }
}
