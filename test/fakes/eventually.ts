/** Waiting for what other parties do, without guessing how long it takes. */

const STEP_MS = 5

/**
 * Resolves as soon as `condition` holds; rejects with `what` when it does not in time.
 *
 * @returns how many milliseconds it took
 */
export async function eventually(
  what: string,
  condition: () => boolean,
  timeoutMs = 5000,
): Promise<number> {
  const startedAt = performance.now()
  for (;;) {
    const waited = performance.now() - startedAt
    if (condition()) return waited
    if (waited > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise<void>((resolve) => {
      setTimeout(resolve, STEP_MS)
    })
  }
}

/** Resolves with the last value of `measure` once it has stayed the same for `quietMs`. */
export async function settled(measure: () => number, quietMs = 150): Promise<number> {
  let last = measure()
  let since = performance.now()
  await eventually(
    'a value that stays the same',
    () => {
      const value = measure()
      if (value === last) return performance.now() - since >= quietMs
      last = value
      since = performance.now()
      return false
    },
    20_000,
  )
  return last
}
