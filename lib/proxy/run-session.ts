/**
 * One admitted session from its open legs to its terminal record.
 */
import { GatewayError, asGatewayError } from '../errors/gateway-error.ts'
import type { Recording } from '../recording/recorder.ts'
import type { SessionEnd, SessionOutcome } from '../recording/session-document.ts'
import { encodeStatus, parseErrorStream } from '../streams/exit-status.ts'
import type { StreamSession } from '../streams/session.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { limitSession, outcomeOf } from './session-limit.ts'
import { createPump, type InputFilter, type OutputFilter, type Pump, type PumpEnd } from './pump.ts'

export interface RunOptions {
  client: StreamSession
  upstream: StreamSession
  recording: Recording
  maskers: { stdout: OutputFilter; stderr: OutputFilter }
  stdin?: InputFilter | undefined
  elapsedMs(): number
  /** Access ends then, also in the middle; undefined without an approval. */
  expiresInMs: number | undefined
  /** Aborts with a GatewayError as its reason when the gateway has to end the session. */
  stop: AbortSignal
  metrics: Metrics
}

export interface RunningSession {
  readonly pump: Pump
  /** Begins to move bytes; resolves with what goes into the terminal record. */
  run(): Promise<SessionEnd>
}

interface StatusEnding {
  outcome: SessionOutcome
  status: Uint8Array
  exitCode?: number
  message?: string
}

const LOST = 'the connection to the pod broke before the command ended; how it ended is not known'

function failed(outcome: SessionOutcome, error: GatewayError): StatusEnding {
  return { outcome, status: encodeStatus(error.toStatus()), message: error.message }
}

/** What the person is told, and what the record says, of an end that came from the pod. */
export function upstreamEnding(end: PumpEnd, protocol: string): StatusEnding {
  const cut = end.close !== undefined && end.close.kind !== 'clean'
  // Over WebSocket the API server always sends a Status; over SPDY an empty error stream is success.
  const silent = end.status.length === 0 && (cut || protocol.startsWith('WebSocket'))
  const lost = new GatewayError('InternalError', LOST, { id: 1030 })
  if (silent) return failed('UpstreamLost', lost)
  const exit = parseErrorStream(end.status)
  switch (exit.kind) {
    case 'success':
      return { outcome: 'Completed', status: end.status, exitCode: 0 }
    case 'exit':
      return { outcome: 'Completed', status: end.status, exitCode: exit.code }
    case 'failure':
      return { outcome: 'Failed', status: end.status, message: exit.status.message ?? '' }
    default:
      return failed('UpstreamLost', lost)
  }
}

function merged(maskers: RunOptions['maskers']): Record<string, number> {
  const counts = new Map<string, number>()
  for (const masker of [maskers.stdout, maskers.stderr]) {
    for (const [name, count] of masker.counts) counts.set(name, (counts.get(name) ?? 0) + count)
  }
  return Object.fromEntries(counts)
}

export function createRunningSession(options: RunOptions): RunningSession {
  const { client, upstream, recording, maskers, metrics, stop } = options
  const ended = Promise.withResolvers<PumpEnd>()
  const statusReleased = Promise.withResolvers<void>()
  const pump = createPump({
    client,
    upstream,
    recording,
    maskers,
    stdin: options.stdin,
    elapsedMs: () => options.elapsedMs(),
    onEnd: ended.resolve,
    onStatusReleased: statusReleased.resolve,
  })

  async function conclude(end: PumpEnd): Promise<StatusEnding> {
    if (end.by === 'client') {
      upstream.abort('the client went away')
      return {
        outcome: 'ClientLost',
        status: new Uint8Array(),
        message: 'the client went away before the end',
      }
    }
    if (end.by === 'gateway') {
      upstream.abort('ended by the gateway')
      const error = end.error ?? new GatewayError('InternalError', 'ended by the gateway')
      const ending = failed(outcomeOf(error), error)
      await client.finish(ending.status)
      return ending
    }
    upstream.abort('the session is over')
    const ending = upstreamEnding(end, upstream.protocol)
    pump.appendStatus(ending.status)
    const failure = await Promise.race([statusReleased.promise, pump.failed])
    if (failure === undefined) {
      await client.finish(ending.status)
      return ending
    }
    // The store went away with output still unstored: what was not stored is not shown (I2).
    const lost = failed(outcomeOf(failure), failure)
    await client.finish(lost.status)
    return lost
  }

  async function run(): Promise<SessionEnd> {
    const { expiresInMs } = options
    const limit = limitSession({ session: recording.id, expiresInMs, stop })
    const onLimit = (): void => pump.fail(asGatewayError(limit.signal.reason))
    limit.signal.addEventListener('abort', onLimit, { once: true })
    if (limit.signal.aborted) onLimit()
    try {
      pump.start()
      const ending = await conclude(await ended.promise)
      const { stdin, stdout, stderr } = pump.counts
      metrics.streamBytes.inc({ channel: 'stdin' }, stdin)
      metrics.streamBytes.inc({ channel: 'stdout' }, stdout)
      metrics.streamBytes.inc({ channel: 'stderr' }, stderr)
      const masked = merged(maskers)
      for (const [detector, count] of Object.entries(masked))
        metrics.maskHits.inc({ detector }, count)
      return {
        outcome: ending.outcome,
        ...(ending.exitCode === undefined ? {} : { exitCode: ending.exitCode }),
        ...(ending.message === undefined ? {} : { message: ending.message }),
        bytes: { ...pump.counts },
        masked,
        endedAt: new Date(),
      }
    } finally {
      limit.lift()
    }
  }

  return { pump, run }
}
