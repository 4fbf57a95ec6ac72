/**
 * Time, passed in: tests turn the clock by hand.
 */
export interface Timers {
  /** Wall clock, ms since the epoch: only for what people read. */
  wallMs(): number
  /** Never jumps: for every decision. */
  monotonicMs(): number
  /** Runs `task` once after `ms`; the answer cancels it. */
  after(ms: number, task: () => void): () => void
}

export const systemTimers: Timers = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
}

export async function wait(timers: Timers, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    timers.after(ms, resolve)
  })
}
