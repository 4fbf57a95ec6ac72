/** The transcript store with what belongs to it, and whether its indexes are there yet. */
import type { GatewayConfig } from '../../lib/config/gateway-config.ts'
import { GatewayError, errorText } from '../../lib/errors/gateway-error.ts'
import { createMongoStore } from '../../lib/recording/mongo-store.ts'
import { createOrphanSealer } from '../../lib/recording/orphan.ts'
import type { TranscriptStore } from '../../lib/recording/store.ts'
import type { Logger } from '../../lib/telemetry/logger.ts'

export interface OpenStore {
  store: TranscriptStore
  /** Rejects while sessions could not be recorded. */
  check(): Promise<void>
  close(): Promise<void>
}

const PREPARE_RETRY_MS = 2000

export interface Preparation {
  isReady(): boolean
  stop(): void
}

/** A store may come up after the gateway; until its indexes are there the gateway is not ready. */
export function prepareStore(
  name: string,
  store: { prepare(): Promise<void> },
  log: Logger,
): Preparation {
  let ready = false
  let timer: NodeJS.Timeout | undefined
  function attempt(): void {
    store.prepare().then(
      () => {
        ready = true
      },
      (error: unknown) => {
        log.warn({ reason: errorText(error) }, `${name} is not ready`)
        timer = setTimeout(attempt, PREPARE_RETRY_MS)
      },
    )
  }
  attempt()
  return { isReady: () => ready, stop: () => clearTimeout(timer) }
}

export function openStore(config: GatewayConfig['mongodb'], log: Logger): OpenStore {
  const store = createMongoStore(config)
  const preparation = prepareStore('the transcript store', store, log)
  const orphans = createOrphanSealer(store, {
    onSealed: (session) => log.warn({ session }, 'sealed a session whose gateway went away'),
  })
  orphans.start()
  return {
    store,
    async check() {
      if (!preparation.isReady()) {
        throw new GatewayError('ServiceUnavailable', 'indexes are not there yet')
      }
      await store.ping()
    },
    async close() {
      preparation.stop()
      await orphans.stop()
      await store.close()
    },
  }
}
