/**
 * The recorder gives back entries whose bytes lie one behind the other in memory. Joined they leave
 * in a few large messages instead of one for each read of the upstream socket: a quarter of the
 * gateway's work for bulk output, and some of kubectl's (docs/performance.md). PURE.
 */
import type { Entry } from '../recording/frame.ts'

/** The same bytes in the same order; an entry is joined to the one before only if of its kind. */
export function joinNeighbours(entries: readonly Entry[]): Entry[] {
  const joined: Entry[] = []
  let last: Entry | undefined
  for (const entry of entries) {
    const { kind, data } = entry
    if (
      last?.kind === kind &&
      last.data.buffer === data.buffer &&
      last.data.byteOffset + last.data.length === data.byteOffset
    ) {
      const { buffer, byteOffset, length } = last.data
      last.data = new Uint8Array(buffer, byteOffset, length + data.length)
    } else {
      last = { ...entry }
      joined.push(last)
    }
  }
  return joined
}
