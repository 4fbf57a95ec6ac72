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
}

export function createUpload({ request, recording, elapsedMs }: UploadOptions): Upload {
  let bytes = 0
  let released = 0
  let hasEnded = false
  let isDone = false
  let paused = false
  const body = new Readable({ read: go })

  function onTheWay(): number {
    return recording.outstandingBytes + body.readableLength
  }

  function go(): void {
    if (!paused || onTheWay() > LOW_WATER_BYTES) return
    paused = false
    request.resume()
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
      request.off('data', onData).off('end', onEnd)
      body.destroy()
    },
  }
}
