/**
 * Write ahead (invariant I2): what is appended comes back by `onRelease` only after the store has
 * acknowledged the frame that holds it, in the order it was appended.
 *
 *   append --> pending --> frame n+2 (encoding) ┐
 *                          frame n+1 (acked)    ├ in flight --> released from the front
 *                          frame n   (inserting)┘
 *
 * Group commit: with nothing in flight an entry leaves at once, so that an echo waits for one
 * insert and no timer; meanwhile entries gather, up to `frameBytes` a frame.
 */
import { randomUUID } from 'node:crypto'

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { layOut, packFrame, type Entry } from './frame.ts'
import { Gatherer } from './gather.ts'
import { LEASE_MS, leaseKeeperOf, type LeaseKeeper } from './lease.ts'
import { retryWhileAway } from './retry.ts'
import { MAX_IN_FLIGHT, sealSession } from './seal.ts'
import {
  sessionDocument,
  terminalRecord,
  type SessionEnd,
  type SessionStart,
} from './session-document.ts'
import type { TranscriptStore } from './store.ts'
import { systemTimers, type Timers } from './timers.ts'

export interface RecordingHooks {
  onRelease(entries: Entry[]): void
  /** Once. Nothing is released after it; the session must end. `seal` is still to be called. */
  onFailure(error: GatewayError): void
}

export interface RecordingOptions {
  /** A frame is closed when its entries reach this many bytes. */
  frameBytes?: number
  maxInFlight?: number
  /** How long the store may stay silent in a running session. */
  stallMs?: number
  /** How long it may take to accept a new session. */
  openMs?: number
  /** How long to go on trying to write the terminal record. */
  sealMs?: number
  timers?: Timers
  leases?: LeaseKeeper
}

export interface Recording {
  readonly id: string
  append(entry: Entry): void
  /** Memory of what was appended and not yet released, in bytes. */
  readonly outstandingBytes: number
  /** Stores what is left, then the terminal record. To be called once the session is over, whatever happened. */
  seal(end: SessionEnd): Promise<void>
}

/**
 * Measured on FerretDB over SQLite, two cores: 384 KiB x 2 stores text and random bytes a third
 * faster than 256 KiB x 3 and for less CPU time on both sides; larger frames win little more and
 * would not fit twice into the 1 MiB of a session, with the next being filled.
 */
export const FRAME_BYTES: number = 384 * 1024
export const IN_FLIGHT = 2
/** Bookkeeping of one entry, so that a flood of small entries counts what it really takes. */
const ENTRY_OVERHEAD_BYTES = 200
const STALL_MS = 20_000
/** kubectl must have its answer within 3 s. */
const OPEN_MS = 2_000
const SEAL_MS = 60_000

type Settings = Required<RecordingOptions>

/** Inserts the session's document; rejects with ServiceUnavailable when the store does not take it in time. */
export async function openRecording(
  store: TranscriptStore,
  start: SessionStart,
  hooks: RecordingHooks,
  options: RecordingOptions = {},
): Promise<Recording> {
  const settings = withDefaults(store, options)
  const { timers, openMs } = settings
  const writer = `${store.replica}/${randomUUID()}`
  const session = sessionDocument(start, writer, new Date(timers.wallMs() + LEASE_MS))
  let late = false
  const stored = retryWhileAway(() => store.putSession(session), { timers, abandoned: () => late })
  let cancel: (() => void) | undefined
  const timeout = new Promise<undefined>((resolve) => {
    cancel = timers.after(openMs, () => resolve(undefined))
  })
  let result
  try {
    result = await Promise.race([stored, timeout])
  } catch (error) {
    throw refusal('MongoDB refused to write', error)
  } finally {
    cancel?.()
  }
  if (result === undefined) {
    late = true
    void closeLateSession(store, start.id, writer, stored, timers)
    throw refusal(`MongoDB did not answer within ${Math.round(openMs / 100) / 10}s`)
  }
  if (result === 'taken') {
    throw new GatewayError('InternalError', `there is a session ${start.id} already`, { id: 1500 })
  }
  return new SessionRecording(store, start.id, writer, hooks, settings)
}

function withDefaults(store: TranscriptStore, options: RecordingOptions): Settings {
  return {
    frameBytes: options.frameBytes ?? FRAME_BYTES,
    maxInFlight: Math.min(options.maxInFlight ?? IN_FLIGHT, MAX_IN_FLIGHT),
    stallMs: options.stallMs ?? STALL_MS,
    openMs: options.openMs ?? OPEN_MS,
    sealMs: options.sealMs ?? SEAL_MS,
    timers: options.timers ?? systemTimers,
    leases: options.leases ?? leaseKeeperOf(store),
  }
}

function refusal(why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    `transcripts cannot be written (${why}), so new sessions are refused. Try again in a minute; the operator sees the state at /readyz?verbose`,
    { id: 1012, cause },
  )
}

/** A session that was refused and stored all the same, a moment later, gets its end as well. */
async function closeLateSession(
  store: TranscriptStore,
  id: string,
  writer: string,
  stored: Promise<unknown>,
  timers: Timers,
): Promise<void> {
  try {
    if ((await stored) !== 'stored') return
    await sealSession(store, id, 0, {
      outcome: 'StoreLost',
      message: 'the store answered too late; the session was refused',
      bytes: { stdin: 0, stdout: 0, stderr: 0 },
      masked: [],
      endedAt: new Date(timers.wallMs()),
      sealedBy: writer,
    })
  } catch {
    // Its lease runs out, and whoever sweeps next gives it its end.
  }
}

interface Flight {
  seq: number
  entries: Entry[]
  cost: number
  sinceMs: number
  acknowledged: boolean
}

class SessionRecording implements Recording {
  readonly id: string
  readonly #store: TranscriptStore
  readonly #writer: string
  readonly #hooks: RecordingHooks
  readonly #settings: Settings
  #state: 'open' | 'sealing' | 'failed' = 'open'
  #pending: Entry[] = []
  #pendingCost = 0
  readonly #gatherer = new Gatherer()
  #outstanding = 0
  readonly #flights: Flight[] = []
  #nextSeq = 0
  /** Every place before this one is known to hold our data. */
  #firstUnreleased = 0
  #cancelWatch: (() => void) | undefined
  #drained = (): void => {}
  #sealed: Promise<void> | undefined

  constructor(
    store: TranscriptStore,
    id: string,
    writer: string,
    hooks: RecordingHooks,
    settings: Settings,
  ) {
    this.id = id
    this.#store = store
    this.#writer = writer
    this.#hooks = hooks
    this.#settings = settings
    settings.leases.add(id, () => this.#fail(endedElsewhere()))
  }

  get outstandingBytes(): number {
    return this.#outstanding
  }

  append(entry: Entry): void {
    if (this.#sealed !== undefined) {
      throw new GatewayError('InternalError', 'nothing can be recorded after the end of a session')
    }
    if (this.#state === 'failed') return
    const isJoined = this.#gatherer.join(this.#pending.at(-1), entry)
    const cost = entry.data.length + (isJoined ? 0 : ENTRY_OVERHEAD_BYTES)
    if (!isJoined) this.#pending.push(entry)
    this.#pendingCost += cost
    this.#outstanding += cost
    this.#launch()
  }

  seal(end: SessionEnd): Promise<void> {
    this.#sealed ??= this.#seal(end)
    return this.#sealed
  }

  #launch(): void {
    const { frameBytes, maxInFlight } = this.#settings
    while (
      this.#pending.length > 0 &&
      this.#flights.length < maxInFlight &&
      (this.#flights.length === 0 || this.#pendingCost >= frameBytes || this.#state === 'sealing')
    ) {
      const { entries, cost } = this.#takePending(frameBytes)
      const flight: Flight = {
        seq: this.#nextSeq++,
        entries,
        cost,
        sinceMs: this.#settings.timers.monotonicMs(),
        acknowledged: false,
      }
      this.#flights.push(flight)
      void this.#fly(flight)
    }
    this.#watch()
  }

  #takePending(maxBytes: number): { entries: Entry[]; cost: number } {
    let cost = 0
    let count = 0
    for (const { data } of this.#pending) {
      if (cost >= maxBytes) break
      cost += data.length + ENTRY_OVERHEAD_BYTES
      count++
    }
    const entries = count === this.#pending.length ? this.#pending : this.#pending.splice(0, count)
    if (entries === this.#pending) this.#pending = []
    this.#pendingCost -= cost
    return { entries, cost }
  }

  async #fly(flight: Flight): Promise<void> {
    try {
      const place = { session: this.id, seq: flight.seq, writer: this.#writer }
      const { body, entries } = layOut(flight.entries)
      // What came in is free to go; and bytes that lie together leave in few and large writes.
      flight.entries = entries
      const frame = await packFrame(body, place)
      const result = await retryWhileAway(() => this.#store.putFrame(frame), {
        timers: this.#settings.timers,
        abandoned: () => this.#state === 'failed',
      })
      if (this.#state === 'failed' || result === undefined) return
      if (result === 'taken') {
        this.#fail(endedElsewhere())
        return
      }
      flight.acknowledged = true
      this.#release()
      this.#launch()
    } catch (error) {
      const cause = asGatewayError(error, 'writing the transcript')
      this.#fail(interrupted('writing it failed', cause))
    }
  }

  #release(): void {
    for (;;) {
      const flight = this.#flights[0]
      if (flight === undefined || !flight.acknowledged || this.#state === 'failed') break
      this.#flights.shift()
      this.#firstUnreleased = flight.seq + 1
      this.#outstanding -= flight.cost
      this.#hooks.onRelease(flight.entries)
    }
    if (this.#flights.length === 0 && this.#pending.length === 0) this.#drained()
  }

  /** One timer while anything is in flight: the oldest frame may wait `stallMs`, however that is spent. */
  #watch(): void {
    const oldest = this.#flights[0]
    if (oldest === undefined) {
      this.#cancelWatch?.()
      this.#cancelWatch = undefined
      return
    }
    if (this.#cancelWatch !== undefined) return
    const { timers, stallMs } = this.#settings
    const restMs = oldest.sinceMs + stallMs - timers.monotonicMs()
    this.#cancelWatch = timers.after(Math.max(0, restMs), () => {
      this.#cancelWatch = undefined
      const first = this.#flights[0]
      if (first !== undefined && timers.monotonicMs() - first.sinceMs >= stallMs) {
        const seconds = Math.round(stallMs / 1000)
        this.#fail(interrupted(`MongoDB has not answered for ${seconds}s`))
      } else {
        this.#watch()
      }
    })
  }

  #fail(error: GatewayError): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    this.#cancelWatch?.()
    this.#cancelWatch = undefined
    this.#pending = []
    this.#pendingCost = 0
    this.#flights.length = 0
    this.#outstanding = 0
    this.#drained()
    this.#hooks.onFailure(error)
  }

  async #seal(end: SessionEnd): Promise<void> {
    const { timers, sealMs, leases } = this.#settings
    if (this.#state === 'open') {
      this.#state = 'sealing'
      const drained = new Promise<void>((resolve) => {
        this.#drained = resolve
      })
      this.#launch()
      if (this.#flights.length > 0) await drained
    }
    const record = terminalRecord(
      this.#hasFailed() ? { ...end, outcome: 'StoreLost' } : end,
      this.#writer,
    )
    let late = false
    const cancel = timers.after(sealMs, () => {
      late = true
    })
    try {
      // Before the end, so that no renewal under way overwrites it with what it read before.
      await leases.remove(this.id)
      const result = await retryWhileAway(
        () => sealSession(this.#store, this.id, this.#firstUnreleased, record),
        { timers, abandoned: () => late },
      )
      if (result === undefined) {
        throw interrupted(
          'MongoDB did not take the end of this session; it will be sealed as unclean',
        )
      }
    } finally {
      cancel()
    }
  }

  /** A method, since the compiler cannot know that `#state` changes while we wait. */
  #hasFailed(): boolean {
    return this.#state === 'failed'
  }
}

function interrupted(why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    `the transcript of this session cannot be written any more (${why}), so the session is closed; what was not recorded was not shown. Try again in a minute`,
    { id: 1012, cause },
  )
}

function endedElsewhere(): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    'the transcript of this session was closed by another replica of the gateway, which took this one for dead, so the session ends here. Try again',
    { id: 1012 },
  )
}
