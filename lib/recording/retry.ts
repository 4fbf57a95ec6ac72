/**
 * Doing a store's work again while the store is away.
 */
import { asGatewayError, type GatewayError } from '../errors/gateway-error.ts'
import { wait, type Timers } from './timers.ts'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000
/** A full disk or a missing right does not heal in a second: fail closed soon, but not for one hiccup. */
const MAX_REFUSALS = 3

export interface RetryOptions {
  timers: Timers
  /** True: nobody waits for the result any more. */
  abandoned(): boolean
}

/**
 * Repeats `attempt` until it succeeds or the store has refused it for good (then rejects with the
 * refusal). Resolves with undefined once abandoned.
 */
export async function retryWhileAway<Result>(
  attempt: () => Promise<Result>,
  { timers, abandoned }: RetryOptions,
): Promise<Result | undefined> {
  let refusals = 0
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    if (abandoned()) return undefined
    try {
      return await attempt()
    } catch (error) {
      const known: GatewayError = asGatewayError(error, 'writing the transcript')
      if (known.reason !== 'ServiceUnavailable' && ++refusals >= MAX_REFUSALS) throw known
    }
    if (abandoned()) return undefined
    await wait(timers, pauseMs)
  }
}
