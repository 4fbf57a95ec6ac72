/** Stops a source of bytes for as long as there is any reason to. PURE. */

export interface Pausable {
  pause(): void
  resume(): void
}

/** `peer`: of this connection; `wire`: which all connections of the client share. */
export type StopReason = 'peer' | 'wire' | 'record'

export class Valve {
  readonly #source: Pausable
  readonly #reasons = new Set<StopReason>()

  constructor(source: Pausable) {
    this.#source = source
  }

  stop(reason: StopReason): void {
    if (this.#reasons.size === 0) this.#source.pause()
    this.#reasons.add(reason)
  }

  release(reason: StopReason): void {
    if (this.#reasons.delete(reason) && this.#reasons.size === 0) this.#source.resume()
  }
}
