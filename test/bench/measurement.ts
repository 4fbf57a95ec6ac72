/** What a part of the bench gives back. */
import type { RouteName } from './routes.ts'

/** One line of the table: the same thing measured again and again by one way. */
export interface Series {
  part: string
  what: string
  by: RouteName | 'store'
  unit: 'MB/s' | '1/s' | 'ms' | 's' | 'MiB' | 'KiB'
  samples: number[]
}

/** What an issue or a release demands of a figure. */
export interface Bar {
  text: string
  value: number
  unit: string
  bound: 'at least' | 'at most'
  limit: number
  passed: boolean
}

export interface Findings {
  series: Series[]
  bars: Bar[]
}

export function atLeast(text: string, value: number, limit: number, unit = 'x'): Bar {
  return { text, value, unit, bound: 'at least', limit, passed: value >= limit }
}

export function atMost(text: string, value: number, limit: number, unit = 'ms'): Bar {
  return { text, value, unit, bound: 'at most', limit, passed: value <= limit }
}

/** Series of one part by way, made when first asked for. */
export class Notebook {
  readonly series: Series[] = []
  readonly #part: string

  constructor(part: string) {
    this.#part = part
  }

  of(by: Series['by'], what: string, unit: Series['unit']): number[] {
    const known = this.series.find((series) => series.by === by && series.what === what)
    if (known !== undefined) return known.samples
    const samples: number[] = []
    this.series.push({ part: this.#part, what, by, unit, samples })
    return samples
  }
}
