/**
 * Keeps a WebSocket alive and notices when its peer is not.
 *
 * kubectl pings every 5 s and gives up 61 s after the last pong; nothing else
 * moves that deadline (client-go tools/remotecommand/websocket.go). A paused
 * `ws` reads no pings and so answers none: while paused we send pongs unasked,
 * which RFC 6455 section 5.5.3 allows.
 */

export interface Clock {
  now(): number
  /** Calls `run` every `ms` until the returned function is called. */
  every(ms: number, run: () => void): () => void
  /** Calls `run` once after `ms` unless the returned function is called before. */
  after(ms: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every(ms, run) {
    const timer = setInterval(run, ms)
    timer.unref()
    return () => clearInterval(timer)
  },
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export interface KeepAlivePeer {
  ping(): void
  pong(): void
  /** Bytes the socket has read so far, in whatever state the messages are. */
  bytesRead(): number
  /** The peer is dead or sends a message that never ends. */
  giveUp(detail: string): void
}

export interface KeepAliveOptions {
  tickMs: number
  pingMs: number
  /** Silence after which the peer is dead; noticed at the next tick. 0 = never. */
  deadAfterMs: number
  /** A message must be whole within this time; looked at every tick. 0 = no limit. */
  messageTimeoutMs: number
  pongWhilePaused: boolean
}

/** kubectl: a ping every 30 s, dead within 75 s, pongs far more often than its 61 s. */
export const TOWARDS_KUBECTL: KeepAliveOptions = {
  tickMs: 15_000,
  pingMs: 30_000,
  deadAfterMs: 60_000,
  messageTimeoutMs: 30_000,
  pongWhilePaused: true,
}

/**
 * The API server stops reading, pings included, while the process in the pod
 * does not read its stdin: silence there proves nothing, TCP keep-alive has to
 * find the dead host. The pings keep what stands between from timing out.
 */
export const TOWARDS_API_SERVER: KeepAliveOptions = {
  tickMs: 15_000,
  pingMs: 30_000,
  deadAfterMs: 0,
  messageTimeoutMs: 0,
  pongWhilePaused: false,
}

export class KeepAlive {
  readonly #peer: KeepAlivePeer
  readonly #clock: Clock
  readonly #options: KeepAliveOptions
  readonly #stop: () => void
  #paused = true
  #lastPing: number
  #lastLife: number
  #bytesRead: number
  #heardSinceTick = false
  /** Since when bytes have come without a whole message. */
  #incompleteSince: number | undefined

  constructor(peer: KeepAlivePeer, clock: Clock, options: KeepAliveOptions) {
    this.#peer = peer
    this.#clock = clock
    this.#options = options
    this.#lastPing = this.#lastLife = clock.now()
    this.#bytesRead = peer.bytesRead()
    this.#stop = clock.every(options.tickMs, () => this.#tick())
  }

  /** A whole message, ping or pong came. */
  heard(): void {
    this.#heardSinceTick = true
  }

  /** We stopped reading: the peer's silence is ours. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#lastLife = this.#clock.now()
    this.#incompleteSince = undefined
  }

  stop(): void {
    this.#stop()
  }

  #tick(): void {
    const now = this.#clock.now()
    if (this.#paused) {
      if (this.#options.pongWhilePaused) this.#peer.pong()
      return
    }
    const verdict = this.#verdict(now)
    if (verdict !== undefined) {
      this.#peer.giveUp(verdict)
      return
    }
    if (now - this.#lastPing >= this.#options.pingMs) {
      this.#lastPing = now
      this.#peer.ping()
    }
  }

  #verdict(now: number): string | undefined {
    const { deadAfterMs, messageTimeoutMs, tickMs } = this.#options
    const bytesRead = this.#peer.bytesRead()
    const moved = bytesRead !== this.#bytesRead
    this.#bytesRead = bytesRead
    const heard = this.#heardSinceTick
    this.#heardSinceTick = false
    if (heard) this.#incompleteSince = undefined
    if (heard || moved) this.#lastLife = now
    if (moved && !heard) {
      this.#incompleteSince ??= now - tickMs
      if (messageTimeoutMs > 0 && now - this.#incompleteSince > messageTimeoutMs) {
        return `no whole message within ${messageTimeoutMs / 1000} s`
      }
    }
    if (deadAfterMs > 0 && now - this.#lastLife >= deadAfterMs) {
      return `no sign of life for ${Math.round((now - this.#lastLife) / 1000)} s`
    }
    return undefined
  }
}
