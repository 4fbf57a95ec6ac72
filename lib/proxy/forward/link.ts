/**
 * Joins one connection of the client with one of the pod: bytes, half-closes and ends both ways.
 */
import type { ConnectionEnd, ConnectionHandlers, ForwardConnection } from '../../streams/forward.ts'
import type { Direction } from './payload.ts'
import type { ForwardTranscript } from './transcript.ts'
import { Valve } from './valve.ts'

export interface LinkOptions {
  client: ForwardConnection
  pod: ForwardConnection
  transcript: ForwardTranscript
  /** What the client is to be told of a failure: the words, or nothing but a reset. */
  wordsFor(message: string): string | undefined
  /** The client's wire has no room, for any connection, or has it again. */
  onWire(hasRoom: boolean): void
  /** The transcript can take no more, of any connection, until `relieve`. */
  onFull(): void
  /** Both are over; once. */
  onOver(reason: string): void
}

interface Side {
  connection: ForwardConnection
  valve: Valve
  isOver: boolean
  /** No bytes will come from it, and all that came have been passed on. */
  isDone: boolean
}

export class Link {
  readonly id: number
  readonly #options: LinkOptions
  readonly #client: Side
  readonly #pod: Side
  #reason = ''

  constructor(options: LinkOptions) {
    const { client, pod } = options
    this.#options = options
    this.id = client.id
    this.#client = { connection: client, valve: new Valve(client), isOver: false, isDone: false }
    this.#pod = { connection: pod, valve: new Valve(pod), isOver: false, isDone: false }
  }

  start(): void {
    this.#client.connection.start(this.#handlers(this.#client, this.#pod, 'up'))
    this.#pod.connection.start(this.#handlers(this.#pod, this.#client, 'down'))
  }

  /** What the store has taken goes on; no bytes: that side sends no more. */
  pass(direction: Direction, data: Uint8Array): void {
    const [from, to] = direction === 'up' ? [this.#client, this.#pod] : [this.#pod, this.#client]
    if (data.length === 0) this.#end(from, to)
    else this.#write(from, to, data)
  }

  /** The transcript can take bytes again. */
  relieve(): void {
    this.#client.valve.release('record')
    this.#pod.valve.release('record')
  }

  /** What its pod sends waits in the kernel, which has a socket for each. */
  holdPod(reason: 'wire' | 'record'): void {
    this.#pod.valve.stop(reason)
  }

  releasePod(): void {
    this.#pod.valve.release('wire')
  }

  /** Ends both sides; the client is told why where there are words. */
  cut(reason: string, words: string | undefined): void {
    this.#reason ||= reason
    if (!this.#client.isOver) this.#client.connection.fail(words)
    if (!this.#pod.isOver) this.#pod.connection.fail()
  }

  #handlers(from: Side, to: Side, direction: Direction): ConnectionHandlers {
    const { transcript } = this.#options
    return {
      onData: (data) => {
        const passes = transcript.take({ direction, connection: this.id, data })
        if (transcript.isStopped) {
          from.valve.stop('record')
          this.#options.onFull()
        }
        if (passes) this.#write(from, to, data)
      },
      onEnd: () => {
        if (transcript.takeEnd(this.id, direction)) this.#end(from, to)
      },
      onDrain: () => {
        to.valve.release('peer')
        if (from === this.#client) this.#options.onWire(true)
      },
      onClose: (end) => this.#onClose(from, to, end),
    }
  }

  #write(from: Side, to: Side, data: Uint8Array): void {
    if (to.isOver || to.connection.write(data)) return
    from.valve.stop('peer')
    if (to === this.#client) this.#options.onWire(false)
  }

  #end(from: Side, to: Side): void {
    from.isDone = true
    // Over and not only half closed: whatever the other would still send, nobody takes it.
    if (from.isOver) to.connection.finish()
    else to.connection.end()
  }

  #onClose(from: Side, to: Side, { kind, detail }: ConnectionEnd): void {
    from.isOver = true
    // It may have been the one that was to be told of room.
    if (from === this.#client) this.#options.onWire(true)
    if (kind !== 'clean') this.#reason ||= kind === 'failed' ? detail : kind
    if (!to.isOver && (kind === 'failed' || kind === 'reset')) {
      const words =
        kind === 'failed' && to === this.#client ? this.#options.wordsFor(detail) : undefined
      to.connection.fail(words)
    } else if (!to.isOver && kind === 'clean' && from.isDone) to.connection.finish()
    if (from.isOver && to.isOver) this.#options.onOver(this.#reason || 'ended')
  }
}
