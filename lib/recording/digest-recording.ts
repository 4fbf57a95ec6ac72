/**
 * `content: Digest`: of what is shown the transcript keeps how much it was and its SHA-256, not the
 * bytes.
 *
 * Bytes leave at once, since no frame will hold them; but never more than `aheadBytes` beyond the
 * last digest that the store has acknowledged, so that a session cannot outrun a store that is away.
 * Everything else (status, window sizes, events) takes the road of any other transcript.
 */
import { createHash, type Hash } from 'node:crypto'

import { eventEntry, type ChannelDigest } from './event.ts'
import type { Entry } from './frame.ts'
import type { Recording, RecordingHooks } from './recorder.ts'
import type { SessionEnd } from './session-document.ts'
import { systemTimers, type Timers } from './timers.ts'

export interface DigestOptions {
  /** A digest is written after so many bytes … */
  everyBytes?: number
  /** … or after so much time with any. */
  everyMs?: number
  /** How far bytes may leave ahead of the last stored digest. */
  aheadBytes?: number
  timers?: Timers
}

const EVERY_BYTES = 4 * 1024 * 1024
const EVERY_MS = 1000
const AHEAD_BYTES = 16 * 1024 * 1024

type Channel = 'stdin' | 'stdout' | 'stderr'

function isBytes(entry: Entry): entry is Entry & { kind: Channel } {
  return entry.kind === 'stdout' || entry.kind === 'stderr' || entry.kind === 'stdin'
}

/** SHA-256 and length of a stream of bytes, to be looked at in between. */
export class RunningDigest {
  readonly #hash: Hash = createHash('sha256')
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  add(data: Uint8Array): void {
    this.#hash.update(data)
    this.#bytes += data.length
  }

  /** Of all bytes so far; more may follow. */
  value(): ChannelDigest {
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex') }
  }
}

export interface DigestRecorder {
  /** To be given to the recording below. */
  readonly hooks: RecordingHooks
  over(recording: Recording): Recording
}

class DigestRecording implements DigestRecorder, Recording {
  readonly hooks: RecordingHooks
  readonly #above: RecordingHooks
  readonly #settings: Required<DigestOptions>
  readonly #digests = new Map<Channel, RunningDigest>()
  readonly #told = new Map<Channel, number>()
  #below: Recording | undefined
  /** Released and in no acknowledged digest. */
  #ahead = 0
  /** Of these, in no digest at all. */
  #untold = 0
  /** What each digest on its way to the store stands for. */
  readonly #onTheWay: { entry: Entry; bytes: number }[] = []
  #waiting: Entry[] = []
  #waitingBytes = 0
  #lastAtMs = 0
  #cancelTimer: (() => void) | undefined
  #failed = false

  constructor(above: RecordingHooks, options: DigestOptions) {
    this.#above = above
    this.#settings = {
      everyBytes: options.everyBytes ?? EVERY_BYTES,
      everyMs: options.everyMs ?? EVERY_MS,
      aheadBytes: options.aheadBytes ?? AHEAD_BYTES,
      timers: options.timers ?? systemTimers,
    }
    this.hooks = {
      onRelease: (entries) => this.#onStored(entries),
      onFailure: (error) => {
        this.#failed = true
        this.#stopTimer()
        this.#waiting = []
        this.#waitingBytes = 0
        above.onFailure(error)
      },
    }
  }

  over(recording: Recording): Recording {
    this.#below = recording
    return this
  }

  get id(): string {
    return this.#recording.id
  }

  get outstandingBytes(): number {
    return this.#recording.outstandingBytes + this.#waitingBytes
  }

  append(entry: Entry): void {
    if (this.#failed) return
    this.#lastAtMs = entry.atMs
    if (isBytes(entry)) {
      this.#waiting.push(entry)
      this.#waitingBytes += entry.data.length
      this.#letGo()
      return
    }
    // What was shown before is told before.
    this.#tell()
    this.#recording.append(entry)
  }

  async seal(end: SessionEnd): Promise<void> {
    this.#stopTimer()
    if (!this.#failed) this.#tell()
    await this.#recording.seal(end)
  }

  get #recording(): Recording {
    if (this.#below === undefined) throw new TypeError('over() comes first')
    return this.#below
  }

  #letGo(): void {
    const { everyBytes, aheadBytes } = this.#settings
    const released: Entry[] = []
    while (this.#ahead < aheadBytes) {
      const entry = this.#waiting.shift()
      if (entry === undefined || !isBytes(entry)) break
      this.#waitingBytes -= entry.data.length
      this.#digestOf(entry.kind).add(entry.data)
      this.#ahead += entry.data.length
      this.#untold += entry.data.length
      released.push(entry)
    }
    if (this.#untold >= everyBytes) this.#tell()
    else if (this.#untold > 0) this.#startTimer()
    if (released.length > 0) this.#above.onRelease(released)
  }

  #digestOf(channel: Channel): RunningDigest {
    let digest = this.#digests.get(channel)
    if (digest === undefined) {
      digest = new RunningDigest()
      this.#digests.set(channel, digest)
    }
    return digest
  }

  #tell(): void {
    this.#stopTimer()
    if (this.#untold === 0) return
    let bytes = this.#untold
    this.#untold = 0
    for (const [channel, digest] of this.#digests) {
      if (this.#told.get(channel) === digest.bytes) continue
      this.#told.set(channel, digest.bytes)
      const entry = eventEntry({ type: 'digest', channel, ...digest.value() }, this.#lastAtMs)
      this.#onTheWay.push({ entry, bytes })
      bytes = 0
      this.#recording.append(entry)
    }
  }

  #onStored(entries: Entry[]): void {
    const others: Entry[] = []
    for (const entry of entries) {
      const [first] = this.#onTheWay
      // Entries come back in the order they went, as views of another memory.
      if (first !== undefined && entry.kind === 'event' && isSame(first.entry, entry)) {
        this.#onTheWay.shift()
        this.#ahead -= first.bytes
      } else others.push(entry)
    }
    this.#letGo()
    // Also when nothing is left: what was held back by the bound of the session may go on.
    this.#above.onRelease(others)
  }

  #startTimer(): void {
    this.#cancelTimer ??= this.#settings.timers.after(this.#settings.everyMs, () => {
      this.#cancelTimer = undefined
      if (!this.#failed) this.#tell()
    })
  }

  #stopTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}

function isSame(a: Entry, b: Entry): boolean {
  return Buffer.compare(a.data, b.data) === 0
}

export function recordDigests(above: RecordingHooks, options: DigestOptions = {}): DigestRecorder {
  return new DigestRecording(above, options)
}
