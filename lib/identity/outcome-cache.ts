/** Remembers so many outcomes, each for its time; the least recently used goes first. */

export interface OutcomeCache<T> {
  get(key: string): T | undefined
  set(key: string, value: T, until: number): void
  delete(key: string): void
  clear(): void
}

/** A Map keeps the order of insertion. */
export function createOutcomeCache<T>(maxEntries: number, now: () => number): OutcomeCache<T> {
  const entries = new Map<string, { value: T; until: number }>()
  return {
    get: (key) => {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.until <= now()) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set: (key, value, until) => {
      entries.set(key, { value, until })
      const oldest = entries.keys().next()
      if (entries.size > maxEntries && oldest.done !== true) entries.delete(oldest.value)
    },
    delete: (key) => void entries.delete(key),
    clear: () => entries.clear(),
  }
}
