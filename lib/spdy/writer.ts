/**
 * The sending half of a connection's socket: frames of one turn of the event
 * loop leave in one system call, payloads are never copied, and the owner
 * hears when there is room again.
 */
import type { Duplex } from 'node:stream'

import { encodeDataHeader } from './encode.ts'

/** DATA goes out in frames of at most this: a reader in Go allocates each frame whole. */
const MAX_DATA_FRAME_BYTES = 64 * 1024

export class FrameWriter {
  readonly #socket: Duplex
  readonly #highWaterMark: number
  #corked = false
  #full = false
  #queuedTotal = 0

  constructor(socket: Duplex, highWaterMark: number) {
    this.#socket = socket
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

  /** False above the high-water mark; `drained` is then true once the socket is empty. */
  hasRoom(): boolean {
    if (this.#socket.writableLength <= this.#highWaterMark) return true
    this.#full = true
    return false
  }

  /** On the socket's `drain`: is somebody waiting for it? */
  drained(): boolean {
    const wasFull = this.#full
    this.#full = false
    return wasFull
  }

  flush(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }

  end(): void {
    this.flush()
    this.#socket.end()
  }
}
