/** Ends the sessions a person has at the sandbox's identity provider, at all browsers at once. */
import type { Provider, Session } from 'oidc-provider'

import { errorText } from '../errors/gateway-error.ts'
import { createStoreAdapter, idsOf, type ProviderStore } from './provider-store.ts'

export async function endSessions(
  provider: Provider,
  store: ProviderStore,
  accountId: string,
): Promise<void> {
  const ids = idsOf('Session', store, (payload) => payload['accountId'] === accountId)
  const sessions = await Promise.all(ids.map((id) => provider.Session.find(id)))
  const ended = sessions.filter((session) => session !== undefined)
  // First all of them: a client that is slow to hear of it must not keep a session alive.
  for (const session of ended) await end(session, store)
  const problems: string[] = []
  for (const session of ended) {
    for (const [clientId, { sid }] of Object.entries(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId)
      if (client?.backchannelLogoutUri === undefined) continue
      await client.backchannelLogout(accountId, sid).catch((error: unknown) => {
        problems.push(`${clientId}: ${errorText(error)}`)
      })
    }
  }
  if (problems.length > 0) {
    throw new Error(`not told that the sessions of ${accountId} ended: ${problems.join('; ')}`)
  }
}

/** With it ends what lives no longer than the session, as the library does at its own sign-out. */
async function end(session: Session, store: ProviderStore): Promise<void> {
  const grants = Object.values(session.authorizations ?? {})
    .filter(({ persistsLogout }) => persistsLogout !== true)
    .map(({ grantId }) => grantId)
    .filter((grantId) => grantId !== undefined)
  const adapter = createStoreAdapter('Grant', store)
  for (const grantId of grants) {
    await adapter.revokeByGrantId(grantId)
    await adapter.destroy(grantId)
  }
  await session.destroy()
}
