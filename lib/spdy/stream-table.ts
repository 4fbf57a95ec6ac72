/**
 * Which streams of a connection exist and which way each is still open. PURE.
 *
 * Strict where moby/spdystream is lenient: it drops what it does not expect,
 * we end the connection, since a peer that lost count of its streams could put
 * one channel's bytes into another.
 */
import { STREAM_ID_MASK } from './constants.ts'
import { SpdyViolation } from './violation.ts'

interface StreamState {
  replied: boolean
  localOpen: boolean
  remoteOpen: boolean
}

export class StreamTable {
  readonly #maxStreams: number
  readonly #streams = new Map<number, StreamState>()
  #nextLocalId: number
  /** Ids of the peer's streams only grow. */
  #lastRemoteId = 0

  constructor(role: 'server' | 'client', maxStreams: number) {
    this.#maxStreams = maxStreams
    this.#nextLocalId = role === 'client' ? 1 : 2
  }

  /** For our GOAWAY. */
  get lastRemoteId(): number {
    return this.#lastRemoteId
  }

  openRemote(id: number, fin: boolean): void {
    if (id % 2 === this.#nextLocalId % 2) {
      throw new SpdyViolation(`SYN_STREAM ${id} has an id of our own side`)
    }
    if (id <= this.#lastRemoteId) {
      throw new SpdyViolation(`SYN_STREAM ${id} after ${this.#lastRemoteId}`)
    }
    if (this.#streams.size >= this.#maxStreams) {
      throw new SpdyViolation(`more than ${this.#maxStreams} streams`)
    }
    this.#lastRemoteId = id
    this.#streams.set(id, { replied: true, localOpen: true, remoteOpen: !fin })
  }

  openLocal(): number {
    const id = this.#nextLocalId
    if (id > STREAM_ID_MASK) throw new RangeError('no stream ids are left')
    this.#nextLocalId += 2
    this.#streams.set(id, { replied: false, localOpen: true, remoteOpen: true })
    return id
  }

  replied(id: number, fin: boolean): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) throw new SpdyViolation(`SYN_REPLY for unknown stream ${id}`)
    if (stream.replied) throw new SpdyViolation(`second SYN_REPLY for stream ${id}`)
    stream.replied = true
    if (fin) this.endRemote(id)
  }

  /** DATA came on `id`. */
  receive(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) throw new SpdyViolation(`frame for unknown stream ${id}`)
    if (!stream.replied) throw new SpdyViolation(`frame before SYN_REPLY on stream ${id}`)
    if (!stream.remoteOpen) throw new SpdyViolation(`frame after FIN on stream ${id}`)
  }

  endRemote(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.remoteOpen = false
    if (!stream.localOpen) this.#streams.delete(id)
  }

  /** False: our side was closed already, nothing is to be sent. */
  endLocal(id: number): boolean {
    const stream = this.#streams.get(id)
    if (stream === undefined || !stream.localOpen) return false
    stream.localOpen = false
    if (!stream.remoteOpen) this.#streams.delete(id)
    return true
  }

  canSend(id: number): boolean {
    return this.#streams.get(id)?.localOpen ?? false
  }

  /** RST_STREAM came; false for a stream that had ended both ways, where it says nothing new. */
  reset(id: number): boolean {
    return this.#streams.delete(id)
  }

  /** The peer can send nothing more on any stream. */
  get allRemoteEnded(): boolean {
    for (const stream of this.#streams.values()) if (stream.remoteOpen) return false
    return true
  }
}
