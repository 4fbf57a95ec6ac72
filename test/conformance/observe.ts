/**
 * A watcher of one session: what came, in which order, and waiting for it
 * without sleeping.
 */
import { createCipheriv } from 'node:crypto'

import type { StreamName } from '../../lib/streams/channel.ts'
import type { CloseInfo, StreamSession } from '../../lib/streams/session.ts'

/** How long "nothing comes" is watched; a real fault shows within a few turns of the event loop. */
const QUIET_MS = 150

export interface Observed {
  /** Channel names of data, `end:<channel>` and `close`, as they came (drains are not in it). */
  readonly order: string[]
  readonly ended: StreamName[]
  readonly closes: CloseInfo[]
  readonly drains: number
  /** Runs after each piece of data. */
  afterData: (channel: StreamName) => void
  chunks(channel: StreamName): readonly Uint8Array[]
  received(channel: StreamName): number
  text(channel: StreamName): string
  /** Resolves when `condition` holds; looked at after every event. */
  until(condition: () => boolean): Promise<void>
  /** False when `condition` still does not hold after a quiet moment. */
  comesSoon(condition: () => boolean): Promise<boolean>
}

class Watcher implements Observed {
  readonly order: string[] = []
  readonly ended: StreamName[] = []
  readonly closes: CloseInfo[] = []
  drains = 0
  afterData: (channel: StreamName) => void = () => {}
  readonly #chunks = new Map<StreamName, Uint8Array[]>()
  readonly #received = new Map<StreamName, number>()
  #waiting: { condition: () => boolean; resolve: () => void }[] = []

  onData(channel: StreamName, data: Uint8Array): void {
    const chunks = this.#chunks.get(channel)
    if (chunks === undefined) this.#chunks.set(channel, [data])
    else chunks.push(data)
    this.#received.set(channel, this.received(channel) + data.length)
    this.order.push(channel)
    this.afterData(channel)
    this.#changed()
  }

  onEnd(channel: StreamName): void {
    this.ended.push(channel)
    this.order.push(`end:${channel}`)
    this.#changed()
  }

  onDrain(): void {
    this.drains += 1
    this.#changed()
  }

  onClose(info: CloseInfo): void {
    this.closes.push(info)
    this.order.push('close')
    this.#changed()
  }

  chunks(channel: StreamName): readonly Uint8Array[] {
    return this.#chunks.get(channel) ?? []
  }

  received(channel: StreamName): number {
    return this.#received.get(channel) ?? 0
  }

  text(channel: StreamName): string {
    return Buffer.concat(this.chunks(channel)).toString()
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }))
  }

  async comesSoon(condition: () => boolean): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const quiet = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(condition()), QUIET_MS)
    })
    try {
      return await Promise.race([this.until(condition).then(() => true), quiet])
    } finally {
      clearTimeout(timer)
    }
  }

  #changed(): void {
    const ready = this.#waiting.filter(({ condition }) => condition())
    if (ready.length === 0) return
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter))
    for (const { resolve } of ready) resolve()
  }
}

/** Starts `session` and watches it. */
export function observe(session: StreamSession): Observed {
  const watcher = new Watcher()
  session.start(watcher)
  return watcher
}

/** Writes all pieces, waiting for `onDrain` (or the end) whenever the leg asks to. */
export async function sendAll(
  session: StreamSession,
  watcher: Observed,
  channel: StreamName,
  pieces: readonly Uint8Array[],
): Promise<void> {
  for (const piece of pieces) {
    const drains = watcher.drains
    if (session.write(channel, piece)) continue
    await watcher.until(() => watcher.drains > drains || watcher.closes.length > 0)
  }
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** mulberry32: small, seeded and good enough to cut streams with. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** The key stream of AES in counter mode: reproducible, and fast enough for many megabytes. */
export function pseudoRandomBytes(seed: number, length: number): Uint8Array {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Pieces of 1 to `maxLength` bytes that together are `data`. */
export function sliceRandomly(seed: number, data: Uint8Array, maxLength: number): Uint8Array[] {
  const random = seededRandom(seed)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < data.length;) {
    const length = 1 + Math.floor(random() * maxLength)
    pieces.push(data.subarray(at, at + length))
    at += length
  }
  return pieces
}
