/**
 * When a leg with many connections is read, and which connection has to go so that it is. PURE, the
 * clock is given.
 *
 * The wires have no windows: not to read the socket is the only brake, and it stops every
 * connection on it. So a paused connection may hold some bytes while the others flow; above that the
 * leg stops, and after a while the connection that stopped it is reset.
 */
import type { ForwardLimits } from './forward.ts'

export interface GateMember {
  /** Received bytes that wait for their reader. */
  readonly heldBytes: number
  /** Ends this connection, telling the peer; what it holds is thrown away. */
  resetStuck(): void
}

export interface GateWire {
  pause(): void
  resume(): void
  /** Runs `task` once after `ms`; returns how to call it off. */
  after(ms: number, task: () => void): () => void
}

export class ForwardGate<Member extends GateMember> {
  readonly #wire: GateWire
  readonly #limits: ForwardLimits
  /** Those that hold anything; a stalled leg has few, an idle one none. */
  readonly #holding = new Set<Member>()
  readonly #above = new Set<Member>()
  #bytes = 0
  #shut = false
  #stopped = false
  #cancel: () => void = () => {}

  constructor(wire: GateWire, limits: ForwardLimits) {
    this.#wire = wire
    this.#limits = limits
  }

  /** Bytes held in the whole session. */
  get heldBytes(): number {
    return this.#bytes
  }

  get isShut(): boolean {
    return this.#shut
  }

  /** `member` holds `delta` bytes more, or fewer. */
  changed(member: Member, delta: number): void {
    this.#bytes += delta
    if (member.heldBytes > 0) this.#holding.add(member)
    else this.#holding.delete(member)
    if (member.heldBytes > this.#limits.maxConnectionBytes) this.#above.add(member)
    else this.#above.delete(member)
    this.#settle()
  }

  /** The leg is over: no timer is left behind, and nothing is paused or resumed again. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #settle(): void {
    const shut = this.#above.size > 0 || this.#bytes > this.#limits.maxSessionBytes
    if (this.#stopped || shut === this.#shut) return
    this.#shut = shut
    this.#cancel()
    if (shut) {
      this.#wire.pause()
      this.#watch()
    } else {
      this.#wire.resume()
    }
  }

  #watch(): void {
    if (this.#limits.stuckMs === Infinity) return
    this.#cancel = this.#wire.after(this.#limits.stuckMs, () => {
      for (const member of this.#stuck()) member.resetStuck()
      if (this.#shut && !this.#stopped) this.#watch()
    })
  }

  /** Those above their own bound; when it is all of them together, the one that holds most. */
  #stuck(): Member[] {
    if (this.#above.size > 0) return [...this.#above]
    const most = [...this.#holding].sort((one, two) => two.heldBytes - one.heldBytes)[0]
    return most === undefined ? [] : [most]
  }
}
