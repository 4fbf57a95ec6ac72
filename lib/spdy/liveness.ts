/**
 * Whether the peer is still there, judged once per tick. PURE: the connection
 * calls `tick` from its one timer and tells what it heard and sent.
 *
 * A silent peer is not always a dead one. moby/spdystream queues 50 frames per
 * worker and then stops reading altogether, PING included, until its program
 * reads on: `kubectl exec ... | less` is silent for as long as somebody reads a
 * page. So silence counts as death only while the peer has little to read;
 * behind a queue it is merely stalled and gets `stalledTicks`.
 */
export interface LivenessOptions {
  /** Silent ticks after which a peer that owes us nothing but an answer is dead. */
  deadTicks: number
  /** The same for a peer that has unread output of ours before it; 0: TCP alone decides. */
  stalledTicks: number
  /**
   * False towards the API server: a kubelet that has sent all and closed answers
   * a PING with a TCP reset, and what still waits in its send buffer (megabytes,
   * because we do not read) is gone; kubernetes#124571 shows it with plain kubectl.
   */
  pingWhilePaused: boolean
}

/** Below the 50 frames after which moby/spdystream stops answering. */
const STALL_FRAMES = 32

export type Verdict = 'fine' | 'ping' | 'dead'

export class Liveness {
  readonly #options: LivenessOptions
  #heard = true
  #silentTicks = 0
  #dataFramesSinceHeard = 0

  constructor(options: LivenessOptions) {
    this.#options = options
  }

  heard(): void {
    this.#heard = true
    this.#dataFramesSinceHeard = 0
  }

  sentData(frames: number): void {
    this.#dataFramesSinceHeard += frames
  }

  tick(state: { unsentBytes: number; reading: boolean }): Verdict {
    // While we do not read, we cannot hear; a ping still finds a closed socket.
    if (this.#heard || !state.reading) {
      const quiet = this.#heard || !this.#options.pingWhilePaused
      const verdict = quiet ? 'fine' : 'ping'
      this.#heard = false
      this.#silentTicks = 0
      return verdict
    }
    this.#silentTicks += 1
    const { deadTicks, stalledTicks } = this.#options
    const stalled = state.unsentBytes > 0 || this.#dataFramesSinceHeard >= STALL_FRAMES
    const limit = stalled ? stalledTicks : deadTicks
    if (limit > 0 && this.#silentTicks >= limit) return 'dead'
    // More pings behind a queue that does not move would only lengthen it.
    return state.unsentBytes > 0 ? 'fine' : 'ping'
  }
}
