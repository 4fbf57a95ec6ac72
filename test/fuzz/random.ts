/** Repeatable chance: mulberry32, good enough to choose inputs with. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 … 2^32-1 */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 … end-1; 0 when there is nothing to choose from. */
  below(end: number): number {
    return end <= 1 ? 0 : this.uint32() % end
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)]
  }
}

/** FNV-1a: what is drawn from it is the same whenever the input is the same. */
export function seedOf(input: Uint8Array): number {
  let hash = 0x811c_9dc5
  for (const byte of input) hash = Math.imul(hash ^ byte, 0x0100_0193)
  return hash >>> 0
}
