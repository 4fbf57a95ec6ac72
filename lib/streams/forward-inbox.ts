/**
 * What came for one forwarded connection and its owner has not taken yet: in order, not before
 * `start`, not while paused, the end exactly once. PURE but for the turn of the event loop after
 * which it delivers.
 *
 * May import: errors.
 */
import { errorText } from '../errors/gateway-error.ts'
import type { ConnectionEnd, ConnectionHandlers } from './forward.ts'

export interface InboxEvents {
  /** Held bytes became more (above 0) or fewer. */
  onHeld(delta: number): void
  /** A handler threw: a fault of ours in one connection, which must end that one only. */
  onFault(detail: string): void
}

export class ForwardInbox {
  readonly #events: InboxEvents
  readonly #queue: Uint8Array[] = []
  #bytes = 0
  #handlers: ConnectionHandlers | undefined
  #ended = false
  #endTold = false
  #close: ConnectionEnd | undefined
  #paused = false
  #scheduled = false
  #over = false

  constructor(events: InboxEvents) {
    this.#events = events
  }

  /** Held and not delivered. */
  get bytes(): number {
    return this.#bytes
  }

  start(handlers: ConnectionHandlers): void {
    if (this.#handlers !== undefined || this.#over) throw new Error('a connection is started once')
    this.#handlers = handlers
    this.#schedule()
  }

  push(data: Uint8Array): void {
    if (data.length === 0 || this.#ended || this.#close !== undefined) return
    const handlers = this.#handlers
    if (handlers !== undefined && !this.#paused && !this.#scheduled) {
      this.#call(() => handlers.onData(data))
      return
    }
    this.#queue.push(data)
    this.#hold(data.length)
  }

  /** The peer sends no more bytes. */
  end(): void {
    this.#ended = true
    this.#deliver()
  }

  /** Nothing comes any more. With `drop` what is held is thrown away and pausing delays nothing. */
  close(end: ConnectionEnd, drop: boolean): void {
    if (this.#over || (this.#close !== undefined && !drop)) return
    this.#close = end
    if (drop) {
      this.#queue.length = 0
      this.#paused = false
      this.#endTold = true
      this.#hold(-this.#bytes)
    }
    this.#schedule()
  }

  pause(): void {
    if (!this.#over) this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#schedule()
  }

  drained(): void {
    const handlers = this.#handlers
    if (handlers !== undefined && this.#close === undefined) this.#call(() => handlers.onDrain())
  }

  /** From a fresh stack: a handler that resumes is not called from inside itself. */
  #schedule(): void {
    if (this.#scheduled || this.#over || this.#handlers === undefined) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const handlers = this.#handlers
    if (handlers === undefined || this.#scheduled || this.#over) return
    while (!this.#paused) {
      const data = this.#queue.shift()
      if (data === undefined) break
      this.#hold(-data.length)
      this.#call(() => handlers.onData(data))
      // A handler may have ended all this.
      if (this.#scheduled || this.#over) return
    }
    if (this.#paused) return
    if (this.#ended && !this.#endTold) {
      this.#endTold = true
      this.#call(() => handlers.onEnd())
      if (this.#scheduled || this.#over) return
    }
    const close = this.#close
    if (close === undefined) return
    this.#over = true
    this.#call(() => handlers.onClose(close))
  }

  #hold(delta: number): void {
    if (delta === 0) return
    this.#bytes += delta
    this.#events.onHeld(delta)
  }

  #call(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#events.onFault(`handling a forwarded connection: ${errorText(error)}`)
    }
  }
}
