/** What somebody is told whose token is of no use (any more), and what helps. PURE. */
import { clockTime } from '../errors/clock-time.ts'
import { GatewayError } from '../errors/gateway-error.ts'

export function unknownToken(): GatewayError {
  return new GatewayError(
    'Unauthorized',
    'this gateway does not know the sign-in that was sent. Sign in: kubectl podgate login',
    { id: 1451 },
  )
}

export function ended(reason: string): GatewayError {
  const why = reason === '' ? '' : `: ${reason}`
  return new GatewayError(
    'Unauthorized',
    `your sign-in has ended${why}. Sign in again: kubectl podgate login`,
    { id: 1453 },
  )
}

export function expired(atMs: number): GatewayError {
  return new GatewayError(
    'Unauthorized',
    `sign-in expired at ${clockTime(atMs)}. Run the same command again to renew it; if that does not help: kubectl podgate login`,
    { id: 1405 },
  )
}
