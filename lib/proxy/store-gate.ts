/**
 * Remembers for a moment that the store did not take a new session.
 *
 * kubectl asks twice when a WebSocket is refused. The first try waits for the
 * store; the second would wait as long again, so it gets the same answer at
 * once, and so does everybody else in that moment.
 */
import { GatewayError } from '../errors/gateway-error.ts'

export interface StoreGate {
  /** Runs `open`, or rejects at once with what it rejected with a moment ago. */
  pass<T>(open: () => Promise<T>): Promise<T>
}

/** Longer than kubectl takes to try again, shorter than a person does. */
const REMEMBER_MS = 1500

export function createStoreGate(now: () => number = () => performance.now()): StoreGate {
  let refusal: { error: GatewayError; atMs: number } | undefined
  return {
    async pass(open) {
      if (refusal !== undefined && now() - refusal.atMs < REMEMBER_MS) throw refusal.error
      try {
        const opened = await open()
        refusal = undefined
        return opened
      } catch (error) {
        if (GatewayError.is(error) && error.reason === 'ServiceUnavailable') {
          refusal = { error, atMs: now() }
        }
        throw error
      }
    },
  }
}
