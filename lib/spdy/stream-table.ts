/**
 * Which streams of a connection exist and which way each is still open. PURE.
 *
 * Strict where moby/spdystream is lenient: it drops what it does not expect,
 * we end the connection, since a peer that lost count of its streams could put
 * one channel's bytes into another. With `strays: 'drop'` as lenient as
 * spdystream about streams that are over, and no more than that: ids only grow,
 * so whether a stream ever was needs no memory of it.
 */
import { RstStreamStatus, STREAM_ID_MASK } from './constants.ts'
import { SpdyViolation } from './violation.ts'

interface StreamState {
  replied: boolean
  localOpen: boolean
  remoteOpen: boolean
}

/** What to do with a frame: a number is the status of the RST_STREAM to answer with. */
export type Verdict = 'accept' | 'drop' | RstStreamStatus

export class StreamTable {
  readonly #maxStreams: number
  readonly #drops: boolean
  readonly #streams = new Map<number, StreamState>()
  #nextLocalId: number
  /** Ids of the peer's streams only grow. */
  #lastRemoteId = 0
  #remoteOpen = 0

  constructor(role: 'server' | 'client', maxStreams: number, strays: 'end' | 'drop' = 'end') {
    this.#maxStreams = maxStreams
    this.#drops = strays === 'drop'
    this.#nextLocalId = role === 'client' ? 1 : 2
  }

  /** For our GOAWAY. */
  get lastRemoteId(): number {
    return this.#lastRemoteId
  }

  /** Streams open at least one way. */
  get size(): number {
    return this.#streams.size
  }

  openRemote(id: number, fin: boolean): Verdict {
    if (id % 2 === this.#nextLocalId % 2) {
      throw new SpdyViolation(`SYN_STREAM ${id} has an id of our own side`)
    }
    if (id <= this.#lastRemoteId) {
      // The RST_STREAM would end a stream of this id that still lives, at the peer alone.
      if (this.#drops && !this.#streams.has(id)) return RstStreamStatus.PROTOCOL_ERROR
      throw new SpdyViolation(`SYN_STREAM ${id} after ${this.#lastRemoteId}`)
    }
    const isFull = this.#streams.size >= this.#maxStreams
    if (isFull && !this.#drops) throw new SpdyViolation(`more than ${this.#maxStreams} streams`)
    this.#lastRemoteId = id
    if (isFull) return RstStreamStatus.REFUSED_STREAM
    this.#streams.set(id, { replied: true, localOpen: true, remoteOpen: !fin })
    if (!fin) this.#remoteOpen += 1
    return 'accept'
  }

  openLocal(): number {
    const id = this.#nextLocalId
    if (id > STREAM_ID_MASK) throw new RangeError('no stream ids are left')
    this.#nextLocalId += 2
    this.#streams.set(id, { replied: false, localOpen: true, remoteOpen: true })
    this.#remoteOpen += 1
    return id
  }

  replied(id: number, fin: boolean): Verdict {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      if (this.#drops && this.#existed(id)) return 'drop'
      throw new SpdyViolation(`SYN_REPLY for unknown stream ${id}`)
    }
    if (stream.replied) throw new SpdyViolation(`second SYN_REPLY for stream ${id}`)
    stream.replied = true
    if (fin) this.endRemote(id)
    return 'accept'
  }

  /** DATA came on `id`. */
  receive(id: number): Verdict {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      if (!this.#drops) throw new SpdyViolation(`frame for unknown stream ${id}`)
      return this.#existed(id) ? 'drop' : RstStreamStatus.INVALID_STREAM
    }
    if (!stream.replied) throw new SpdyViolation(`frame before SYN_REPLY on stream ${id}`)
    if (stream.remoteOpen) return 'accept'
    if (this.#drops) return 'drop'
    throw new SpdyViolation(`frame after FIN on stream ${id}`)
  }

  endRemote(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || !stream.remoteOpen) return
    stream.remoteOpen = false
    this.#remoteOpen -= 1
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
    return this.forget(id)
  }

  /** Over both ways; false when it was. */
  forget(id: number): boolean {
    if (this.#streams.get(id)?.remoteOpen === true) this.#remoteOpen -= 1
    return this.#streams.delete(id)
  }

  /** The peer can send nothing more on any stream. */
  get allRemoteEnded(): boolean {
    return this.#remoteOpen === 0
  }

  #existed(id: number): boolean {
    return id % 2 === this.#nextLocalId % 2 ? id < this.#nextLocalId : id <= this.#lastRemoteId
  }
}
