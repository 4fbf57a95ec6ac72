/**
 * A port-forward towards the API server as many legs ("lanes"), each with one connection at a time.
 *
 * On a leg that connections share, one holds up others: moby/spdystream, at the other end, waits with
 * a frame until its stream is read, and the frames of a fifth of all streams wait behind it. containerd
 * stops to read a stream when nobody listens on its port or when the pod hangs up first, and never
 * says so. Hence a lane is used again only once the node has shown that nothing waits in it.
 *
 * May import: errors.
 */
import type { ForwardClientSession, ForwardConnection, ForwardUpstream } from './forward.ts'

export interface ForwardLanesOptions {
  /** Dialled before the client was answered. */
  first: ForwardClientSession
  dial(signal: AbortSignal): Promise<ForwardClientSession>
}

/** Browsers open six at a time, pools of database clients tens; each spares a way through the API server. */
const MAX_IDLE = 32
/** A lane that takes longer to say that it is free is not worth waiting for. */
const SETTLE_MS = 5000

class ForwardLanes implements ForwardUpstream {
  readonly #dial: ForwardLanesOptions['dial']
  readonly #lanes = new Set<ForwardClientSession>()
  readonly #idle = new Set<ForwardClientSession>()
  readonly #stop = new AbortController()

  constructor({ first, dial }: ForwardLanesOptions) {
    this.#dial = dial
    this.#take(first)
    this.#idle.add(first)
  }

  async open(port: number): Promise<ForwardConnection> {
    const lane = this.#idleLane()
    if (lane !== undefined) {
      try {
        return await lane.open(port)
      } catch (error) {
        // Gone while nobody used it, as after a restart of the API server: nothing was sent on it.
        if (lane.isOpen || this.#stop.signal.aborted) throw error
      }
    }
    const fresh = await this.#dial(this.#stop.signal)
    this.#take(fresh)
    if (this.#stop.signal.aborted) fresh.abort('the session is over')
    return await fresh.open(port)
  }

  abort(detail: string): void {
    this.#stop.abort()
    this.#idle.clear()
    for (const lane of this.#lanes) lane.abort(detail)
  }

  #idleLane(): ForwardClientSession | undefined {
    for (const lane of this.#idle) {
      this.#idle.delete(lane)
      if (lane.isOpen) return lane
    }
    return undefined
  }

  #take(lane: ForwardClientSession): void {
    this.#lanes.add(lane)
    lane.start({
      onClose: () => {
        this.#lanes.delete(lane)
        this.#idle.delete(lane)
      },
      onIdle: () => void this.#release(lane),
    })
  }

  async #release(lane: ForwardClientSession): Promise<void> {
    const isFree = this.#idle.size < MAX_IDLE && (await lane.settled(SETTLE_MS))
    if (isFree && this.#idle.size < MAX_IDLE && !this.#stop.signal.aborted) this.#idle.add(lane)
    else lane.abort('not used again')
  }
}

/** Opens every connection on a lane that has no other, and dials where there is none. */
export function createForwardLanes(options: ForwardLanesOptions): ForwardUpstream {
  return new ForwardLanes(options)
}
