/** The time of a connection, passed in so that tests need not wait. */
export interface Clock {
  /** Runs `task` every `ms`; returns how to stop it. */
  every(ms: number, task: () => void): () => void
  /** Runs `task` once after `ms`; returns how to call it off. */
  after(ms: number, task: () => void): () => void
}

/** Timers that do not keep the process alive: a session's socket does that. */
export const SYSTEM_CLOCK: Clock = {
  every(ms, task) {
    const timer = setInterval(task, ms).unref()
    return () => clearInterval(timer)
  },
  after(ms, task) {
    const timer = setTimeout(task, ms).unref()
    return () => clearTimeout(timer)
  },
}
