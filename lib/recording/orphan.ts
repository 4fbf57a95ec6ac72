/**
 * Gives abandoned sessions their end: the writer crashed, was stopped, or lost the store.
 *
 * A session counts as abandoned when its lease has not changed for `leaseMs` while we watched.
 * Only our own monotonic clock is asked, so clocks that disagree between replicas end nobody's
 * session. Any number of replicas may sweep at once: see seal.ts.
 */
import { randomUUID } from 'node:crypto'

import { asGatewayError, type GatewayError } from '../errors/gateway-error.ts'
import { LEASE_MS } from './lease.ts'
import { findEndOfData, sealSession } from './seal.ts'
import type { TranscriptStore } from './store.ts'
import { systemTimers, type Timers } from './timers.ts'

export interface OrphanSealer {
  /** One round; answers with the sessions sealed in it. */
  sweep(): Promise<string[]>
  start(): void
  stop(): Promise<void>
}

export interface OrphanOptions {
  leaseMs?: number
  sweepMs?: number
  timers?: Timers
  onSealed?(session: string): void
  onError?(error: GatewayError): void
}

const SWEEP_MS = 10_000
const UNCLEAN_MESSAGE =
  'its gateway stopped without ending it, or refused it while the store was away; everything that was shown is recorded'

interface Sighting {
  lease: number
  sinceMs: number
}

export function createOrphanSealer(
  store: TranscriptStore,
  options: OrphanOptions = {},
): OrphanSealer {
  const { leaseMs = LEASE_MS, sweepMs = SWEEP_MS, timers = systemTimers } = options
  const sealedBy = `${store.replica}/${randomUUID()}`
  let sightings = new Map<string, Sighting>()
  let lastLookMs = -Infinity
  let stopped = true
  let cancel: (() => void) | undefined
  let running: Promise<void> = Promise.resolve()

  async function seal(session: string): Promise<void> {
    const firstFree = await findEndOfData(store, session)
    await sealSession(store, session, firstFree, {
      outcome: 'Unclean',
      message: UNCLEAN_MESSAGE,
      bytes: null,
      masked: [],
      endedAt: new Date(timers.wallMs()),
      sealedBy,
    })
    options.onSealed?.(session)
  }

  async function sweep(): Promise<string[]> {
    const open = await store.openSessions()
    const nowMs = timers.monotonicMs()
    // While we could not look, nobody could renew either: what we saw before proves nothing.
    const watched = nowMs - lastLookMs <= sweepMs * 2
    lastLookMs = nowMs
    const next = new Map<string, Sighting>()
    const abandoned: string[] = []
    for (const { id, leaseUntil } of open) {
      const lease = leaseUntil.getTime()
      const before = watched ? sightings.get(id) : undefined
      const sighting = before?.lease === lease ? before : { lease, sinceMs: nowMs }
      next.set(id, sighting)
      if (nowMs - sighting.sinceMs >= leaseMs) abandoned.push(id)
    }
    sightings = next
    const sealed: string[] = []
    for (const id of abandoned) {
      try {
        await seal(id)
        sealed.push(id)
        // Sealing many takes a while, in which the store was there for everybody's renewals.
        lastLookMs = timers.monotonicMs()
      } catch (error) {
        // One session that cannot be sealed does not keep the others from it.
        options.onError?.(asGatewayError(error, `sealing session ${id}`))
      }
    }
    return sealed
  }

  function schedule(): void {
    cancel = timers.after(sweepMs, () => {
      running = sweep()
        .catch((error: unknown) => options.onError?.(asGatewayError(error, 'sweeping')))
        .then(() => {
          if (!stopped) schedule()
        })
    })
  }

  return {
    sweep,
    start() {
      if (!stopped) return
      stopped = false
      schedule()
    },
    async stop() {
      stopped = true
      cancel?.()
      await running
    },
  }
}
