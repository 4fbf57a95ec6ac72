/**
 * A clock that tests turn by hand.
 */
import type { Timers } from '../../lib/recording/timers.ts'

export interface ManualTimers extends Timers {
  /** Runs what falls due, in order, and what follows from it. */
  advance(ms: number): Promise<void>
  readonly waiting: number
}

/** Lets promises, threads of zlib included, come to rest as far as one turn of the loop goes. */
export async function settle(turns: number = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
  }
}

export function createManualTimers(startWallMs: number = Date.UTC(2026, 0, 1)): ManualTimers {
  let nowMs = 0
  const tasks = new Set<{ dueMs: number; run: () => void }>()
  return {
    wallMs: () => startWallMs + nowMs,
    monotonicMs: () => nowMs,
    after(ms, run) {
      const task = { dueMs: nowMs + ms, run }
      tasks.add(task)
      return () => tasks.delete(task)
    },
    async advance(ms) {
      const untilMs = nowMs + ms
      await settle()
      for (;;) {
        const due = [...tasks].filter(({ dueMs }) => dueMs <= untilMs)
        const next = due.sort((left, right) => left.dueMs - right.dueMs)[0]
        if (next === undefined) break
        tasks.delete(next)
        nowMs = Math.max(nowMs, next.dueMs)
        next.run()
        await settle()
      }
      nowMs = untilMs
    },
    get waiting() {
      return tasks.size
    },
  }
}
