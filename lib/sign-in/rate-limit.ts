/** How often one address may begin something that costs the store a write. */
import { isIP } from 'node:net'

import { GatewayError } from '../errors/gateway-error.ts'

export interface RateLimit {
  /** @throws GatewayError TooManyRequests */
  take(address: string): void
}

export interface RateLimitOptions {
  burst: number
  perSecond: number
  now(): number
  /** Addresses that are remembered; beyond them the oldest is forgotten. */
  maxAddresses?: number
}

/** Who has one address of IPv6 has 2^64 of them: those of one network count together. */
function networkOf(address: string): string {
  if (isIP(address) !== 6 || address.toLowerCase().startsWith('::ffff:')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const more = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - more.length) }, () => '0')
  return [...groups, ...zeros, ...more].slice(0, 4).join(':')
}

/** A bucket for each address that fills up again; one that is full is as good as none. */
export function createRateLimit({
  burst,
  perSecond,
  now,
  maxAddresses = 10_000,
}: RateLimitOptions): RateLimit {
  const buckets = new Map<string, { left: number; at: number }>()
  return {
    take(address) {
      const at = now()
      const network = networkOf(address)
      const bucket = buckets.get(network) ?? { left: burst, at }
      const left = Math.min(burst, bucket.left + (Math.max(0, at - bucket.at) / 1000) * perSecond)
      buckets.delete(network)
      // Who is refused takes nothing: a flood lets through what drips in, and not less.
      buckets.set(network, { left: left < 1 ? left : left - 1, at })
      const oldest = buckets.keys().next()
      if (buckets.size > maxAddresses && oldest.done !== true) buckets.delete(oldest.value)
      if (left < 1) {
        throw new GatewayError(
          'TooManyRequests',
          'too many sign-ins were begun from this address; wait a minute and try again',
          { id: 1458 },
        )
      }
    },
  }
}
