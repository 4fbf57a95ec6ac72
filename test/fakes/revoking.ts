/** Revocations over a login store in memory, looked at when a test says so. */
import { createRevocations, type Revocations } from '../../lib/identity/revocations.ts'
import { createRevoker, type Revoker } from '../../lib/identity/revoke.ts'
import { createMemoryLoginStore, type MemoryLoginStore } from './memory-login-store.ts'

export interface Revoking {
  logins: MemoryLoginStore
  revocations: Revocations
  revoker: Revoker
}

/** @param logins of another replica */
export async function startRevoking(
  stop: AbortSignal,
  logins: MemoryLoginStore = createMemoryLoginStore(),
  onError: (message: string) => void = () => undefined,
): Promise<Revoking> {
  const revocations = createRevocations({
    store: logins,
    stop,
    onError,
    maxAgeMs: Number.POSITIVE_INFINITY,
  })
  await revocations.refresh()
  const revoker = createRevoker({ store: logins, revocations, keepMs: 3_600_000 })
  return { logins, revocations, revoker }
}
