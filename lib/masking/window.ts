/**
 * The newest bytes of a stream in one piece: context for the detectors, what is held back, and the
 * part that just came. Positions are offsets in the stream.
 */

/** Room for the line breaks that stand in for the end of the stream. */
export const SENTINELS = 4
const MIN_CAPACITY = 1024
const LF = 0x0a

export class Window {
  /** Its size is a power of two. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  /** The same memory, for the automaton. */
  words: Uint16Array = new Uint16Array(0)
  /** Offset of `bytes[0]` in the stream. */
  base = 0
  /** Offset of the end. */
  end = 0

  hasRoom(size: number): boolean {
    return this.end - this.base + size + SENTINELS <= this.bytes.length
  }

  /** Forgets what lies before `keepFrom`; half of the room is for new bytes, which pay for the move. */
  makeRoom(size: number, keepFrom: number): void {
    const from = Math.max(0, keepFrom - this.base)
    const kept = this.end - this.base - from
    const needed = 2 * kept + size + SENTINELS
    if (needed <= this.bytes.length) {
      this.bytes.copyWithin(0, from, from + kept)
    } else {
      const grown = new Uint8Array(Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(needed))))
      grown.set(this.bytes.subarray(from, from + kept))
      this.bytes = grown
      this.words = new Uint16Array(grown.buffer)
    }
    this.base += from
  }

  append(part: Uint8Array): void {
    const at = this.end - this.base
    if (part.length === 1) this.bytes[at] = part[0] ?? 0
    else this.bytes.set(part, at)
    this.end += part.length
  }

  copy(from: number, to: number): Uint8Array {
    return this.bytes.slice(from - this.base, to - this.base)
  }

  /** Makes the bytes after the end read as line breaks: to a detector that is the end of text. */
  seal(): void {
    const at = this.end - this.base
    if (this.bytes.length < at + SENTINELS) return
    this.bytes.fill(LF, at, at + SENTINELS)
  }
}
