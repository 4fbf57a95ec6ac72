/** Waiting with an end. */

/** Resolves at the latest after so many ms; what is still under way has an owner of its own. */
export async function within(work: Promise<void> | undefined, ms: number): Promise<void> {
  if (work === undefined) return
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, ms)
  try {
    await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
