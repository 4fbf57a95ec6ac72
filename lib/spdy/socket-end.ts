/** How a connection's socket comes to its end: patiently after a goodbye, soon after anything else. */
import type { Duplex } from 'node:stream'

import type { Clock } from './clock.ts'

/** How long a last word (GOAWAY, a status) may take to leave before the socket is destroyed. */
export const LAST_WORD_MS = 2000

export interface Patience {
  /** Bytes of ours are unsent and none leaves: somebody reads a page in `less`. */
  stalledMs: number
  /** Everything has left and the peer does not close. kubectl closes when it has read all. */
  closeMs: number
}

export const DEFAULT_PATIENCE: Patience = { stalledMs: 900_000, closeMs: 60_000 }

/**
 * After our goodbye: calls `giveUp` when nothing has moved for too long. The
 * time counts from the last progress, since destroying the socket early would
 * cut output, which kubectl could not tell from success.
 */
export function awaitFinish(
  socket: Duplex,
  clock: Clock,
  patience: Patience,
  giveUp: () => void,
): () => void {
  let unsent = socket.writableLength
  let cancel = clock.after(patience.stalledMs, check)
  function check(): void {
    const left = socket.writableLength
    if (socket.writableFinished || left >= unsent) {
      giveUp()
      return
    }
    unsent = left
    cancel = clock.after(patience.stalledMs, check)
  }
  const onFinish = () => {
    cancel()
    cancel = clock.after(patience.closeMs, check)
  }
  socket.once('finish', onFinish)
  return () => {
    socket.off('finish', onFinish)
    cancel()
  }
}

/**
 * After `end()`: leaves the last frames a moment to go out, and reads
 * meanwhile, since unread input would turn our end into a reset that throws
 * those frames away. A peer that does not read cannot hold the socket.
 */
export function destroySoon(socket: Duplex, clock: Clock): void {
  const check = () => {
    if (socket.writableFinished && socket.readableEnded) socket.destroy()
  }
  check()
  if (socket.destroyed) return
  socket.resume()
  const cancel = clock.after(LAST_WORD_MS, () => socket.destroy())
  socket.once('end', check)
  socket.once('finish', check)
  socket.once('close', cancel)
}
