/**
 * Signs of life: one timer per process renews the leases of all its sessions.
 */
import type { TranscriptStore } from './store.ts'
import { systemTimers, type Timers } from './timers.ts'

/** Two renewals may fail before others take a session for abandoned. */
export const LEASE_MS = 35_000
const RENEW_MS = 15_000

export interface LeaseKeeper {
  /** `onLost`: somebody else has ended this session. */
  add(session: string, onLost: () => void): void
  /** Resolves when no renewal of this session is under way any more. */
  remove(session: string): Promise<void>
}

export interface LeaseOptions {
  timers?: Timers
  renewMs?: number
}

export function createLeaseKeeper(
  store: TranscriptStore,
  { timers = systemTimers, renewMs = RENEW_MS }: LeaseOptions = {},
): LeaseKeeper {
  const sessions = new Map<string, () => void>()
  let cancel: (() => void) | undefined
  let renewing = false
  let renewal: Promise<void> = Promise.resolve()

  async function renew(): Promise<void> {
    const ids = [...sessions.keys()]
    try {
      const ended = await store.renewLeases(ids, new Date(timers.wallMs() + LEASE_MS))
      for (const id of ended) {
        const onLost = sessions.get(id)
        sessions.delete(id)
        onLost?.()
      }
    } catch {
      // The store is away: the recordings learn it from their own frames, and the next renewal tries again.
    }
  }

  function schedule(): void {
    if (cancel !== undefined || renewing || sessions.size === 0) return
    cancel = timers.after(renewMs, () => {
      cancel = undefined
      renewing = true
      renewal = renew().finally(() => {
        renewing = false
        schedule()
      })
    })
  }

  return {
    add(session, onLost) {
      sessions.set(session, onLost)
      schedule()
    },
    async remove(session) {
      sessions.delete(session)
      if (sessions.size === 0) {
        cancel?.()
        cancel = undefined
      }
      await renewal
    },
  }
}

const keepers = new WeakMap<TranscriptStore, LeaseKeeper>()

/** The keeper that all recordings of this store share. */
export function leaseKeeperOf(store: TranscriptStore): LeaseKeeper {
  let keeper = keepers.get(store)
  if (keeper === undefined) {
    keeper = createLeaseKeeper(store)
    keepers.set(store, keeper)
  }
  return keeper
}
