/**
 * What the transcript of a port-forward says, and how far bytes may run ahead of it.
 *
 * With `content: Full` bytes take the road of every other transcript: stored first, then passed on
 * (I2). With `content: Digest` they pass at once; each connection's SHA-256 so far is stored every
 * second or 4 MiB, and above 16 MiB without an answer of the store everything waits.
 */
import { RunningDigest } from '../../recording/digest-recording.ts'
import { eventEntry, type SessionEvent } from '../../recording/event.ts'
import type { Entry } from '../../recording/frame.ts'
import type { Recording } from '../../recording/recorder.ts'
import type { Timers } from '../../recording/timers.ts'
import { decodePayload, encodePayload, type Direction, type Payload } from './payload.ts'

export interface TranscriptOptions {
  recording: Recording
  content: 'Full' | 'Digest'
  elapsedMs(): number
  timers: Timers
  /** `content: Full` only: these are in the store and may go on; no bytes: the side has ended. */
  onStored(payload: Payload): void
  /** Bytes may flow again. */
  onRelief(): void
}

export interface ConnectionDigests {
  readonly up: RunningDigest
  readonly down: RunningDigest
}

const EVERY_MS = 1000
const EVERY_BYTES = 4 * 1024 * 1024
const AHEAD_BYTES = 16 * 1024 * 1024
/** Of `content: Full`: what waits for the store, as in pump.ts. */
const HIGH_WATER_BYTES = 512 * 1024

export class ForwardTranscript {
  readonly #options: TranscriptOptions
  readonly #digests = new Map<number, ConnectionDigests>()
  /** Connections with bytes that no stored digest covers. */
  readonly #untold = new Set<number>()
  /** For each event on its way to the store, what follows from its being there. */
  readonly #onTheWay: (() => void)[] = []
  #untoldBytes = 0
  #aheadBytes = 0
  #isStopped = false
  #isOver = false
  #cancelTimer: (() => void) | undefined

  constructor(options: TranscriptOptions) {
    this.#options = options
  }

  /** No bytes may be taken before `onRelief`. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Resolves when the event is in the store; never, when the store fails, which ends the session. */
  async tell(event: SessionEvent): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#append(event, resolve)
    await promise
  }

  digestsOf(connection: number): ConnectionDigests {
    let digests = this.#digests.get(connection)
    if (digests === undefined) {
      digests = { up: new RunningDigest(), down: new RunningDigest() }
      this.#digests.set(connection, digests)
    }
    return digests
  }

  /** True: pass the bytes on now. False: they come back by `onStored`. */
  take(payload: Payload): boolean {
    const { connection, direction, data } = payload
    this.digestsOf(connection)[direction].add(data)
    if (this.#options.content === 'Full') {
      this.#store(payload)
      return false
    }
    this.#untold.add(connection)
    this.#untoldBytes += data.length
    this.#aheadBytes += data.length
    if (this.#untoldBytes >= EVERY_BYTES) this.#tellDigests()
    else this.#cancelTimer ??= this.#options.timers.after(EVERY_MS, () => this.#tellDigests())
    if (this.#aheadBytes >= AHEAD_BYTES) this.#isStopped = true
    return true
  }

  /** One side sends no more. True: tell the other now. */
  takeEnd(connection: number, direction: Direction): boolean {
    if (this.#options.content === 'Digest') return true
    this.#store({ connection, direction, data: new Uint8Array(0) })
    return false
  }

  forget(connection: number): void {
    this.#digests.delete(connection)
    this.#untold.delete(connection)
  }

  /** From the recording. */
  onRelease(entries: readonly Entry[]): void {
    for (const { kind, data } of entries) {
      if (kind === 'event') this.#onTheWay.shift()?.()
      const payload = kind === 'forward' ? decodePayload(data) : undefined
      if (payload !== undefined) this.#options.onStored(payload)
    }
    this.#relieve()
  }

  stop(): void {
    this.#isOver = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #store(payload: Payload): void {
    if (this.#isOver) return
    const { recording, elapsedMs } = this.#options
    recording.append({ kind: 'forward', atMs: elapsedMs(), data: encodePayload(payload) })
    if (recording.outstandingBytes >= HIGH_WATER_BYTES) this.#isStopped = true
  }

  #append(event: SessionEvent, onStored: () => void): void {
    if (this.#isOver) return
    this.#onTheWay.push(onStored)
    this.#options.recording.append(eventEntry(event, this.#options.elapsedMs()))
  }

  #tellDigests(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const covered = this.#untoldBytes
    this.#untoldBytes = 0
    const connections = [...this.#untold].map((connection) => {
      const { up, down } = this.digestsOf(connection)
      return { connection, up: up.value(), down: down.value() }
    })
    this.#untold.clear()
    this.#append({ type: 'connectionDigests', connections }, () => {
      this.#aheadBytes -= covered
    })
  }

  #relieve(): void {
    if (!this.#isStopped) return
    const isClear =
      this.#options.content === 'Full'
        ? this.#options.recording.outstandingBytes < HIGH_WATER_BYTES / 2
        : this.#aheadBytes < AHEAD_BYTES / 2
    if (!isClear) return
    this.#isStopped = false
    this.#options.onRelief()
  }
}
