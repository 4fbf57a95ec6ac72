/** The matches of one stream that are not given out yet, in stream offsets, and how many there were. */
import type { HitSink } from './scan.ts'

export interface Range {
  start: number
  end: number
}

export class Hits implements HitSink {
  readonly counts: Map<string, number> = new Map()
  private readonly names: readonly string[]
  private readonly counted: number[]
  private ranges: Range[] = []

  constructor(names: readonly string[]) {
    this.names = names
    this.counted = names.map(() => 0)
  }

  /** Overlapping matches of one rule, as of a number within a longer number, count once. */
  add(rule: number, start: number, end: number): void {
    this.ranges.push({ start, end })
    if (start < (this.counted[rule] ?? 0)) return
    this.counted[rule] = end
    const name = this.names[rule] ?? ''
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  /** Does a match lie across `at`? */
  covers(at: number): boolean {
    return this.ranges.some(({ start, end }) => start < at && at < end)
  }

  /** The bytes of [from, to) under any match, of these or of `more`, in order and disjoint. */
  within(from: number, to: number, more?: Hits): Range[] {
    if (this.ranges.length === 0 && (more?.ranges.length ?? 0) === 0) return []
    const all = [...this.ranges, ...(more?.ranges ?? [])]
      .filter(({ start, end }) => start < to && end > from)
      .sort((left, right) => left.start - right.start)
    const union: Range[] = []
    for (const hit of all) {
      const start = Math.max(from, hit.start)
      const end = Math.min(to, hit.end)
      const last = union.at(-1)
      if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end)
      else union.push({ start, end })
    }
    return union
  }

  /** Forgets what was given out. */
  release(upTo: number): void {
    if (this.ranges.length > 0) this.ranges = this.ranges.filter(({ end }) => end > upTo)
  }
}
