/** A clock that stands still until the test moves it. */
import type { Clock } from '../../../lib/spdy/clock.ts'

interface Timer {
  due: number
  every: number | undefined
  task: () => void
}

export class FakeClock implements Clock {
  #now = 0
  readonly #timers = new Set<Timer>()

  every(ms: number, task: () => void): () => void {
    return this.#add({ due: this.#now + ms, every: ms, task })
  }

  after(ms: number, task: () => void): () => void {
    return this.#add({ due: this.#now + ms, every: undefined, task })
  }

  get pending(): number {
    return this.#timers.size
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.due <= end)
      const next = due.sort((a, b) => a.due - b.due)[0]
      if (next === undefined) break
      this.#now = next.due
      if (next.every === undefined) this.#timers.delete(next)
      else next.due += next.every
      next.task()
    }
    this.#now = end
  }

  /** Step by step, with time in between for what each step set going. */
  async elapse(ms: number, stepMs: number): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
}
