/**
 * The body of a request on its way to the API server: recorded before it passes.
 *
 *   client -> recorder -> (acknowledged, or digested) -> API server
 *
 * Bounded like the other direction: above the mark the client is not read.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

import type { Entry } from '../recording/frame.ts'
import type { Recording } from '../recording/recorder.ts'
import { systemTimers, type Timers } from '../recording/timers.ts'
import { joinNeighbours } from './join-neighbours.ts'
import { HIGH_WATER_BYTES, LOW_WATER_BYTES } from './pump.ts'

export interface Upload {
  /** What the API server gets. */
  readonly body: Readable
  /** From the client so far. */
  readonly bytes: number
  start(): void
  /** The recorder's `onRelease`. */
  release(entries: Entry[]): void
  /** The exchange is over, with all of it or without. */
  stop(): void
}

export interface UploadOptions {
  request: IncomingMessage
  recording: Recording
  /** Milliseconds since the session began. */
  elapsedMs(): number
  /** The program has read nothing for so long, while the client waits. Called once at most. */
  onStuck(): void
  /** A client that leaves while it waits is not noticed, since its socket is not read. */
  stuckMs?: number
  timers?: Timers
}

const STUCK_MS = 120_000

export function createUpload(options: UploadOptions): Upload {
  const { request, recording, elapsedMs, onStuck } = options
  const { stuckMs = STUCK_MS, timers = systemTimers } = options
  let bytes = 0
  let released = 0
  let hasEnded = false
  let isDone = false
  let paused = false
  let cancelWatch: (() => void) | undefined
  const body = new Readable({ read: go })

  function onTheWay(): number {
    return recording.outstandingBytes + body.readableLength
  }

  function go(): void {
    if (!paused || onTheWay() > LOW_WATER_BYTES) return
    paused = false
    cancelWatch?.()
    request.resume()
  }

  function watch(): void {
    const taken = released - body.readableLength
    cancelWatch = timers.after(stuckMs, () => {
      if (released - body.readableLength > taken) watch()
      else onStuck()
    })
  }

  function endWhenDone(): void {
    if (!hasEnded || isDone || released < bytes || body.destroyed) return
    isDone = true
    body.push(null)
  }

  function onData(data: Uint8Array): void {
    bytes += data.length
    recording.append({ kind: 'stdin', atMs: elapsedMs(), data })
    if (paused || onTheWay() < HIGH_WATER_BYTES) return
    paused = true
    request.pause()
    watch()
  }

  function onEnd(): void {
    hasEnded = true
    endWhenDone()
  }

  return {
    body,
    get bytes() {
      return bytes
    },
    start() {
      request.on('data', onData).once('end', onEnd)
    },
    release(entries) {
      for (const { kind, data } of joinNeighbours(entries)) {
        if (kind !== 'stdin') continue
        released += data.length
        if (!body.destroyed) body.push(data)
      }
      endWhenDone()
      go()
    },
    stop() {
      cancelWatch?.()
      request.off('data', onData).off('end', onEnd)
      body.destroy()
    },
  }
}
