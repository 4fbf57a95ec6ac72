/** Numbers out of samples. */

export interface Summary {
  samples: number
  min: number
  p50: number
  p99: number
}

/** Nearest rank: always one of the samples. */
function rank(sorted: readonly number[], share: number): number {
  const index = Math.max(0, Math.ceil(sorted.length * share) - 1)
  return sorted[index] ?? Number.NaN
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b)
  return {
    samples: sorted.length,
    min: sorted[0] ?? Number.NaN,
    p50: rank(sorted, 0.5),
    p99: rank(sorted, 0.99),
  }
}

export function median(samples: readonly number[]): number {
  return summarize(samples).p50
}

/**
 * Of each round by itself, then the median: the machine's speed drifts from one minute to the next,
 * and within a round both sides had the same machine.
 */
export function medianOfRounds(
  a: readonly number[],
  b: readonly number[],
  combine: (a: number, b: number) => number,
): number {
  return median(a.map((value, round) => combine(value, b[round] ?? Number.NaN)))
}
