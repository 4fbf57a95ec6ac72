/**
 * When each piece of a transcript is shown. PURE.
 */

export interface PaceOptions {
  /** 2 is twice as fast; 0 shows everything at once. */
  speed: number
  /** Longer pauses are cut to this; undefined keeps them. */
  idleLimitMs: number | undefined
}

export interface Pace {
  /** Milliseconds after the start of the replay at which an entry recorded at `atMs` is due. */
  dueMs(atMs: number): number
}

export function createPace({ speed, idleLimitMs }: PaceOptions): Pace {
  let lastAtMs = 0
  let dueMs = 0
  return {
    dueMs: (atMs) => {
      if (speed === 0) return 0
      // Entries are in order; a clock that was set back in between must not stop the replay.
      const pause = Math.max(0, atMs - lastAtMs)
      lastAtMs = Math.max(lastAtMs, atMs)
      dueMs += Math.min(pause, idleLimitMs ?? pause) / speed
      return dueMs
    },
  }
}
