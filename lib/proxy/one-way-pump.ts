/**
 * Moves one body from the API server to the client: the half of pump.ts that logs have.
 *
 *   answer -> masker -> recorder -> (acknowledged) -> sink
 *
 * The same bound: what is on its way counts against one mebibyte per session, above it the answer
 * is not read, and the node waits.
 */
import type { IncomingMessage } from 'node:http'

import type { GatewayError } from '../errors/gateway-error.ts'
import type { Masker } from '../masking/masker.ts'
import type { Entry } from '../recording/frame.ts'
import type { Recording } from '../recording/recorder.ts'
import type { ByteSink } from './http-exchange.ts'
import { joinNeighbours } from './join-neighbours.ts'
import { HIGH_WATER_BYTES, LOW_WATER_BYTES, QUIET_MS } from './pump.ts'

export type OneWayEnd =
  /** `complete` is false for a body that broke off. */
  { by: 'upstream'; complete: boolean } | { by: 'client' } | { by: 'gateway'; error: GatewayError }

export interface OneWayPumpOptions {
  answer: IncomingMessage
  sink: ByteSink
  recording: Recording
  masker: Masker
  /** Milliseconds since the session began. */
  elapsedMs(): number
}

export interface OneWayPump {
  /** From the pod, before masking. */
  readonly bytes: number
  /** Resolves once; never rejects. */
  readonly ended: Promise<OneWayEnd>
  /** Resolves when `fail` was called, also after the end; never rejects. */
  readonly failed: Promise<GatewayError>
  start(): void
  /** The recorder's `onRelease`. */
  release(entries: Entry[]): void
  /** The recorder's `onFailure`, or a reason of our own to end the session. */
  fail(error: GatewayError): void
  /** Queues an event behind all bytes; resolves when it, and with it all of them, is stored. */
  appendLast(event: Entry): Promise<void>
}

export function createOneWayPump(options: OneWayPumpOptions): OneWayPump {
  const { answer, sink, recording, masker, elapsedMs } = options
  const ended = Promise.withResolvers<OneWayEnd>()
  const failure = Promise.withResolvers<GatewayError>()
  const last = Promise.withResolvers<void>()
  let bytes = 0
  let isOver = false
  let paused = false
  let quietTimer: NodeJS.Timeout | undefined
  let lastOutputAt = 0

  function end(result: OneWayEnd): void {
    if (isOver) return
    isOver = true
    clearTimeout(quietTimer)
    ended.resolve(result)
  }

  function onTheWay(): number {
    return recording.outstandingBytes + sink.bufferedBytes
  }

  function go(): void {
    if (!paused || onTheWay() > LOW_WATER_BYTES) return
    paused = false
    answer.resume()
  }

  function record(pieces: Uint8Array[]): void {
    for (const data of pieces) {
      if (data.length > 0) recording.append({ kind: 'stdout', atMs: elapsedMs(), data })
    }
  }

  function flushQuiet(): void {
    quietTimer = undefined
    const quietFor = performance.now() - lastOutputAt
    if (quietFor < QUIET_MS) quietTimer = setTimeout(flushQuiet, QUIET_MS - quietFor)
    else record(masker.flush())
  }

  function onData(data: Uint8Array): void {
    if (isOver) return
    bytes += data.length
    record(masker.push(data))
    if (masker.heldBytes > 0) {
      lastOutputAt = performance.now()
      quietTimer ??= setTimeout(flushQuiet, QUIET_MS)
    }
    if (paused || onTheWay() < HIGH_WATER_BYTES) return
    paused = true
    answer.pause()
  }

  function onUpstreamOver(complete: boolean): void {
    if (isOver) return
    record(masker.end())
    end({ by: 'upstream', complete })
  }

  return {
    get bytes() {
      return bytes
    },
    ended: ended.promise,
    failed: failure.promise,
    start() {
      answer.on('data', onData)
      answer.once('end', () => onUpstreamOver(answer.complete))
      answer.once('close', () => onUpstreamOver(false))
      if (answer.destroyed && !answer.readableEnded) onUpstreamOver(false)
      sink.listen({ onDrain: go, onGone: () => end({ by: 'client' }) })
    },
    release(entries) {
      for (const { kind, data } of joinNeighbours(entries)) {
        if (kind === 'stdout') sink.write(data)
        else if (kind === 'event') last.resolve()
      }
      go()
    },
    fail(error) {
      failure.resolve(error)
      end({ by: 'gateway', error })
    },
    async appendLast(event) {
      recording.append(event)
      await last.promise
    },
  }
}
