/**
 * Hands what came on the wire to a session's handlers: in order, not before
 * `start`, not while paused, and the end exactly once.
 *
 * A chunk from the socket may hold many messages, and `ws` emits them all in
 * one go; those behind a `pause` wait here, so the queue never holds more than
 * one chunk.
 */
import type { StreamName } from '../streams/channel.ts'
import type { CloseInfo, StreamHandlers } from '../streams/session.ts'

type Item =
  { kind: 'data'; channel: StreamName; data: Uint8Array } | { kind: 'end'; channel: StreamName }

export class Delivery {
  readonly #onReady: () => void
  readonly #queue: Item[] = []
  #handlers: StreamHandlers | undefined
  #close: CloseInfo | undefined
  #paused = false
  #running = false
  #stopped = false

  /** `onReady` runs whenever the queue is empty again and more may be read. */
  constructor(onReady: () => void) {
    this.#onReady = onReady
  }

  start(handlers: StreamHandlers): void {
    if (this.#handlers !== undefined) throw new Error('a session is started once')
    this.#handlers = handlers
    this.#schedule()
  }

  push(item: Item): void {
    if (this.#stopped || this.#close !== undefined) return
    if (this.#handlers === undefined || this.#paused || this.#running || this.#queue.length > 0) {
      this.#queue.push(item)
    } else {
      this.#deliver(item, this.#handlers)
    }
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#schedule()
  }

  drained(): void {
    if (!this.#stopped && this.#close === undefined) this.#handlers?.onDrain()
  }

  /** Nothing but the end is told any more. */
  stop(): void {
    this.#stopped = true
    this.#queue.length = 0
    if (this.#close !== undefined) this.#schedule()
  }

  /** The connection is gone; the handlers hear it after what came before it. */
  close(info: CloseInfo): void {
    if (this.#close !== undefined) return
    this.#close = info
    this.#schedule()
  }

  #deliver(item: Item, handlers: StreamHandlers): void {
    if (item.kind === 'data') handlers.onData(item.channel, item.data)
    else handlers.onEnd(item.channel)
  }

  /** Always from a fresh stack: a handler that resumes is not called from inside itself. */
  #schedule(): void {
    if (this.#running || this.#handlers === undefined) return
    this.#running = true
    queueMicrotask(() => this.#run())
  }

  #run(): void {
    const handlers = this.#handlers
    if (handlers === undefined) return
    while (!this.#paused) {
      const item = this.#queue.shift()
      if (item === undefined) break
      this.#deliver(item, handlers)
    }
    this.#running = false
    if (this.#queue.length > 0 || (this.#paused && !this.#stopped)) return
    if (this.#close === undefined) {
      if (!this.#stopped) this.#onReady()
      return
    }
    const info = this.#close
    // Nothing is called after the end: with the handlers gone, no later call finds anyone.
    this.#handlers = undefined
    this.#stopped = true
    handlers.onClose(info)
  }
}
