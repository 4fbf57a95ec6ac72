/**
 * The sending half of a connection's socket: frames of one turn of the event
 * loop leave in one system call, payloads are never copied, and the owner
 * hears when there is room again.
 */
import type { Duplex } from 'node:stream'

import { encodeDataHeader } from './encode.ts'

/** DATA goes out in frames of at most this: a reader in Go allocates each frame whole. */
const MAX_DATA_FRAME_BYTES = 64 * 1024
const DEFAULT_HIGH_WATER_MARK = 256 * 1024
/** Each write that waits takes some 250 bytes besides its own: frames of one byte would take 30 times the mark. */
const MAX_UNSENT_WRITES = 2048

/** What was written in one turn of the event loop; it leaves together. */
interface Turn {
  writes: number
}

export class FrameWriter {
  readonly #socket: Duplex
  readonly #highWaterMark: number
  readonly #onRoom: () => void
  #corked = false
  #full = false
  /** Full of many small writes, of which the socket's own `drain` may never tell. */
  #crowded = false
  #turn: Turn | undefined
  #unsentWrites = 0
  #queuedTotal = 0

  /** `onRoom`: ask `drained`, as on the socket's `drain`. */
  constructor(socket: Duplex, onRoom: () => void, highWaterMark: number = DEFAULT_HIGH_WATER_MARK) {
    this.#socket = socket
    this.#onRoom = onRoom
    // A socket says `drain` only after its own mark was passed.
    this.#highWaterMark = Math.max(highWaterMark, socket.writableHighWaterMark)
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  /** Bytes given to the socket since the beginning. */
  get queuedTotal(): number {
    return this.#queuedTotal
  }

  frame(bytes: Uint8Array, flushed?: () => void): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(() => this.flush())
    }
    this.#queuedTotal += bytes.length
    this.#unsentWrites += 1
    if (this.#turn === undefined) {
      const turn: Turn = { writes: 1 }
      this.#turn = turn
      this.#socket.write(bytes, () => {
        this.#sent(turn)
        flushed?.()
      })
      return
    }
    this.#turn.writes += 1
    this.#socket.write(bytes, flushed === undefined ? undefined : () => flushed())
  }

  /** Returns the number of frames it took. */
  data(streamId: number, data: Uint8Array): number {
    let frames = 0
    for (let at = 0; at < data.length; at += MAX_DATA_FRAME_BYTES) {
      const piece = data.subarray(at, at + MAX_DATA_FRAME_BYTES)
      this.frame(encodeDataHeader(streamId, piece.length, false))
      this.frame(piece)
      frames += 1
    }
    return frames
  }

  /** False above the high-water mark, in bytes or in writes; `drained` is then true once there is room. */
  hasRoom(): boolean {
    this.#crowded = this.#unsentWrites > MAX_UNSENT_WRITES
    if (!this.#crowded && this.#socket.writableLength <= this.#highWaterMark) return true
    this.#full = true
    return false
  }

  /** On the socket's `drain`: is somebody waiting for it? */
  drained(): boolean {
    const wasFull = this.#full
    this.#full = false
    this.#crowded = false
    return wasFull
  }

  #sent(turn: Turn): void {
    this.#unsentWrites -= turn.writes
    if (this.#turn === turn) this.#turn = undefined
    if (this.#crowded && this.#unsentWrites <= MAX_UNSENT_WRITES / 2) this.#onRoom()
  }

  flush(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#turn = undefined
    this.#socket.uncork()
  }

  end(): void {
    this.flush()
    this.#socket.end()
  }
}
