/**
 * Joins the two legs of one session.
 *
 *   pod -> upstream leg -> masker -> recorder -> (acknowledged) -> client leg
 *   person -> client leg -> upstream leg -> pod
 *
 * Output is masked first, then recorded, and leaves only when the store has it
 * (I2). What is on the way counts against one bound per session (I6): above it
 * the upstream leg is not read, and the pod waits. The exit status travels the
 * same road last (I10).
 */
import type { GatewayError } from '../errors/gateway-error.ts'
import type { Masker } from '../masking/masker.ts'
import type { Entry } from '../recording/frame.ts'
import type { Recording } from '../recording/recorder.ts'
import { systemTimers } from '../recording/timers.ts'
import type { StreamName } from '../streams/channel.ts'
import type { CloseInfo, StreamHandlers, StreamSession } from '../streams/session.ts'
import { createEchoWatch } from './echo.ts'
import { joinNeighbours } from './join-neighbours.ts'
import { createResizeRelay } from './resize.ts'

export interface PumpEnd {
  /** Who ended it. */
  by: 'upstream' | 'client' | 'gateway'
  close?: CloseInfo
  /** Bytes of the error stream as the API server sent them; empty when none came. */
  status: Uint8Array
  error?: GatewayError
}

/** A masker, or what stands in for one. */
export type OutputFilter = Pick<Masker, 'push' | 'flush' | 'end' | 'heldBytes' | 'counts'>

export interface InputFilter {
  push(data: Uint8Array): Uint8Array[]
  end(): Uint8Array[]
}

export interface PumpOptions {
  client: StreamSession
  upstream: StreamSession
  recording: Recording
  maskers: { stdout: OutputFilter; stderr: OutputFilter }
  /** What stdin goes through on its way to the pod; undefined: as it comes. */
  stdin?: InputFilter | undefined
  /** Milliseconds since the session began. */
  elapsedMs(): number
  /** Everything is over on one side; called once. The caller finishes the other. */
  onEnd(end: PumpEnd): void
  /** The status given to `appendStatus` is stored, and with it all output before it. */
  onStatusReleased(): void
}

export interface PumpCounts {
  stdin: number
  stdout: number
  stderr: number
}

export interface Pump {
  readonly clientHandlers: StreamHandlers
  readonly counts: PumpCounts
  /** Resolves when `fail` was called, also after the end; never rejects. */
  readonly failed: Promise<GatewayError>
  /** Begins to move bytes; the client leg has been started by the caller with `clientHandlers`. */
  start(): void
  /** The recorder's `onRelease`. */
  release(entries: Entry[]): void
  /** The recorder's `onFailure`, or a reason of our own to end the session. */
  fail(error: GatewayError): void
  /** Queues the final status behind all output; `onStatusReleased` follows. */
  appendStatus(status: Uint8Array): void
}

/**
 * Bytes between the pod and the person's socket above which the pod has to wait. With the 64 KiB
 * that one read of a socket still brings it stays below 1 MiB. It may go on soon after: by the time
 * a frame has left the recorder, the next one must be full, or the store waits for us.
 */
export const HIGH_WATER_BYTES: number = 944 * 1024
export const LOW_WATER_BYTES: number = 848 * 1024
const MAX_STATUS_BYTES = 64 * 1024
/** How long output must be quiet before bytes held back by the masker are let go. */
export const QUIET_MS = 25

type Output = 'stdout' | 'stderr'

export function createPump(options: PumpOptions): Pump {
  const { client, upstream, recording, maskers, elapsedMs } = options
  const counts: PumpCounts = { stdin: 0, stdout: 0, stderr: 0 }
  const echo = createEchoWatch()
  const statusParts: Uint8Array[] = []
  const endedOutputs = new Set<StreamName>()
  const failure = Promise.withResolvers<GatewayError>()
  const resize = createResizeRelay((data) => {
    upstream.write('resize', data)
    recording.append({ kind: 'resize', atMs: elapsedMs(), data })
  }, systemTimers)
  let statusBytes = 0
  let ended = false
  let paused = false
  let quietTimer: NodeJS.Timeout | undefined
  let lastOutputAt = 0

  function end(result: Omit<PumpEnd, 'status'>): void {
    if (ended) return
    ended = true
    clearTimeout(quietTimer)
    resize.stop()
    options.onEnd({ ...result, status: Buffer.concat(statusParts) })
  }

  function onTheWay(): number {
    return recording.outstandingBytes + client.bufferedBytes
  }

  function brake(): void {
    if (paused || onTheWay() < HIGH_WATER_BYTES) return
    paused = true
    upstream.pause()
  }

  function release(): void {
    if (!paused || onTheWay() > LOW_WATER_BYTES) return
    paused = false
    upstream.resume()
  }

  function record(kind: Output, pieces: Uint8Array[]): void {
    for (const data of pieces) {
      if (data.length > 0) recording.append({ kind, atMs: elapsedMs(), data })
    }
  }

  function flushQuiet(): void {
    quietTimer = undefined
    const quietFor = performance.now() - lastOutputAt
    if (quietFor < QUIET_MS) {
      quietTimer = setTimeout(flushQuiet, QUIET_MS - quietFor)
      return
    }
    record('stdout', maskers.stdout.flush())
    record('stderr', maskers.stderr.flush())
  }

  function output(kind: Output, data: Uint8Array): void {
    counts[kind] += data.length
    const masker = maskers[kind]
    record(kind, masker.push(data))
    if (masker.heldBytes > 0) {
      if (echo.isEcho(data)) record(kind, masker.flush())
      else {
        lastOutputAt = performance.now()
        quietTimer ??= setTimeout(flushQuiet, QUIET_MS)
      }
    }
    brake()
  }

  function input(pieces: Uint8Array[]): void {
    // A filter that refuses ends the session while it is asked.
    for (const data of pieces) if (!ended && !upstream.write('stdin', data)) client.pause()
  }

  function finishOutput(): void {
    record('stdout', maskers.stdout.end())
    record('stderr', maskers.stderr.end())
  }

  function upstreamOver(close?: CloseInfo): void {
    if (ended) return
    finishOutput()
    end({ by: 'upstream', ...(close === undefined ? {} : { close }) })
  }

  const upstreamHandlers: StreamHandlers = {
    onData(channel, data) {
      if (ended) return
      if (channel === 'stdout' || channel === 'stderr') output(channel, data)
      else if (channel === 'error' && statusBytes + data.length <= MAX_STATUS_BYTES) {
        statusBytes += data.length
        statusParts.push(data)
      }
    },
    onEnd(channel) {
      endedOutputs.add(channel)
      const all = ['stdout', 'stderr', 'error'] as const
      if (all.every((name) => endedOutputs.has(name))) upstreamOver()
    },
    onDrain() {
      client.resume()
    },
    onClose(info) {
      upstreamOver(info)
    },
  }

  const clientHandlers: StreamHandlers = {
    onData(channel, data) {
      if (ended) return
      if (channel === 'stdin') {
        counts.stdin += data.length
        echo.typed(data)
        input(options.stdin === undefined ? [data] : options.stdin.push(data))
      } else if (channel === 'resize') resize.push(data)
    },
    onEnd(channel) {
      if (ended || channel !== 'stdin') return
      input(options.stdin?.end() ?? [])
      upstream.end('stdin')
    },
    onDrain() {
      release()
    },
    onClose(info) {
      end({ by: 'client', close: info })
    },
  }

  return {
    clientHandlers,
    counts,
    failed: failure.promise,
    start() {
      upstream.start(upstreamHandlers)
    },
    release(entries) {
      for (const { kind, data } of joinNeighbours(entries)) {
        if (kind === 'stdout' || kind === 'stderr') client.write(kind, data)
        else if (kind === 'error') options.onStatusReleased()
      }
      release()
    },
    fail(error) {
      failure.resolve(error)
      end({ by: 'gateway', error })
    },
    appendStatus(status) {
      recording.append({ kind: 'error', atMs: elapsedMs(), data: status })
    },
  }
}
