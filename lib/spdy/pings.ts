/** The PINGs of one side: their ids, and who waits for the answer to which. PURE. */

const MAX_ID = 0x7fff_ffff

export class Pings {
  readonly #parity: number
  readonly #waiting = new Map<number, () => void>()
  #next: number

  /** A client's ids are odd, a server's even (SPDY/3.1, 2.6.5). */
  constructor(role: 'server' | 'client') {
    this.#parity = role === 'client' ? 1 : 0
    this.#next = role === 'client' ? 1 : 2
  }

  /** The id of a new one. */
  next(answered?: () => void): number {
    const id = this.#next
    if (answered !== undefined) this.#waiting.set(id, answered)
    this.#next = id + 2 > MAX_ID ? id + 2 - (MAX_ID - 1) : id + 2
    return id
  }

  /** False: it is the peer's, and wants an answer. */
  isOurs(id: number): boolean {
    return id % 2 === this.#parity
  }

  answered(id: number): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    waiting?.()
  }
}
