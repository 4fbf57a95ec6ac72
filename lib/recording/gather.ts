/**
 * Small pieces of output become one while they wait. A pod that writes byte by byte makes an entry
 * of each, which takes two hundred times its size here and as many turns later. Only what has to
 * wait anyway is gathered, so an echo is not. PURE.
 */
import type { Entry, EntryKind } from './frame.ts'

/** Pieces this small are gathered, into entries of at most `GATHERED_BYTES`. */
const SMALL_BYTES = 512
const GATHERED_BYTES = 8 * 1024
/** What came further apart stays apart, for replay. */
const GATHER_MS = 10
/** The others are documents, each by itself. */
const GATHERED = new Set<EntryKind>(['stdout', 'stderr', 'stdin'])

export class Gatherer {
  /** Where the last entry grows. */
  #room: { entry: Entry; bytes: Uint8Array } | undefined

  /** True: `last`, which waits, has taken the bytes of `next` behind its own. */
  join(last: Entry | undefined, { kind, atMs, data }: Entry): boolean {
    // Bulk output comes here as well, and is through at once.
    if (data.length > SMALL_BYTES || last === undefined || last.kind !== kind) return false
    const size = last.data.length + data.length
    if (size > GATHERED_BYTES || atMs - last.atMs > GATHER_MS || !GATHERED.has(kind)) return false
    let room = this.#room
    if (room?.entry !== last || size > room.bytes.length) {
      room = { entry: last, bytes: new Uint8Array(Math.max(2 * size, SMALL_BYTES)) }
      room.bytes.set(last.data)
      this.#room = room
    }
    room.bytes.set(data, last.data.length)
    last.data = room.bytes.subarray(0, size)
    return true
  }
}
