/** A clock that stands still until it is told to go on. */
import type { Clock } from '../../lib/websocket/keep-alive.ts'

interface Alarm {
  at: number
  everyMs: number | undefined
  run: () => void
}

const STEP_MS = 1000

export class FakeClock implements Clock {
  #now = 0
  readonly #alarms = new Set<Alarm>()

  now(): number {
    return this.#now
  }

  every(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, everyMs: ms, run })
  }

  after(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, everyMs: undefined, run })
  }

  /** Alarms that are still set. */
  get pending(): number {
    return this.#alarms.size
  }

  /** Goes on in steps of a second; `each` runs at every step, before the alarms of that moment. */
  advance(ms: number, each: (now: number) => void = () => {}): void {
    const end = this.#now + ms
    while (this.#now < end) {
      this.#now = Math.min(end, this.#now + STEP_MS)
      each(this.#now)
      for (const alarm of this.#alarms) this.#ring(alarm)
    }
  }

  #add(alarm: Alarm): () => void {
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }

  #ring(alarm: Alarm): void {
    if (alarm.at > this.#now) return
    if (alarm.everyMs === undefined) this.#alarms.delete(alarm)
    else alarm.at += alarm.everyMs
    alarm.run()
  }
}
