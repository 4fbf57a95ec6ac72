/** What ends a session from our side while it runs: the approved time, and the gateway's own end. */
import { GatewayError } from '../errors/gateway-error.ts'
import type { SessionOutcome } from '../recording/session-document.ts'

export interface SessionLimit {
  /** Aborts with a GatewayError as its reason. */
  readonly signal: AbortSignal
  /** The session is over. */
  lift(): void
}

export interface SessionLimitOptions {
  session: string
  /** Undefined without an approval. */
  expiresInMs: number | undefined
  stop: AbortSignal
}

/** What the record says of an end that came from the gateway itself. */
export function outcomeOf({ id }: GatewayError): SessionOutcome {
  if (id === 1007 || id === 1405) return 'Expired'
  if (id === 1450 || id === 1453) return 'Revoked'
  return id === 1012 ? 'StoreLost' : 'Failed'
}

/** How a session ended, as its record says. */
export interface Ending {
  outcome: SessionOutcome
  message?: string
}

export function gatewayEnding(error: GatewayError): Ending {
  return { outcome: outcomeOf(error), message: error.message }
}

/** setTimeout's own limit; longer accesses are cut to 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1

function expired(session: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `session ${session} ended: the approved time is over; run the command again to ask for more`,
    { id: 1007 },
  )
}

export function limitSession({ session, expiresInMs, stop }: SessionLimitOptions): SessionLimit {
  const ends = new AbortController()
  const expiry =
    expiresInMs === undefined
      ? undefined
      : setTimeout(() => ends.abort(expired(session)), Math.min(expiresInMs, MAX_TIMER_MS))
  const onStop = (): void => {
    const reason: unknown = stop.reason
    ends.abort(
      GatewayError.is(reason)
        ? reason
        : new GatewayError('ServiceUnavailable', 'the gateway is shutting down', { id: 1031 }),
    )
  }
  stop.addEventListener('abort', onStop, { once: true })
  if (stop.aborted) onStop()
  return {
    signal: ends.signal,
    lift() {
      clearTimeout(expiry)
      stop.removeEventListener('abort', onStop)
    },
  }
}
