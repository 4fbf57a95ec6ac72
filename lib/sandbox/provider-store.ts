/**
 * Where the sandbox's identity provider keeps its sessions, codes and grants: in memory, because
 * they end with the sandbox. The shape is the adapter interface of `oidc-provider`.
 */

interface Payload {
  grantId?: string
  uid?: string
  userCode?: string
  consumed?: number
  [key: string]: unknown
}

interface Entry {
  payload: Payload
  expiresAt: number
}

/** The same store handed to a second provider continues the sign-ins of the first. */
export type ProviderStore = Map<string, Entry>

export interface StoreAdapter {
  upsert(id: string, payload: Payload, expiresInSeconds?: number): Promise<void>
  find(id: string): Promise<Payload | undefined>
  findByUid(uid: string): Promise<Payload | undefined>
  findByUserCode(userCode: string): Promise<Payload | undefined>
  consume(id: string): Promise<void>
  destroy(id: string): Promise<void>
  revokeByGrantId(grantId: string): Promise<void>
}

export function createStoreAdapter(
  model: string,
  store: ProviderStore,
  now: () => number = Date.now,
): StoreAdapter {
  const keyOf = (id: string): string => `${model}:${id}`
  const findBy = (matches: (payload: Payload) => boolean): Payload | undefined => {
    for (const [key, { payload, expiresAt }] of store) {
      if (expiresAt <= now()) store.delete(key)
      else if (key.startsWith(`${model}:`) && matches(payload)) return payload
    }
    return undefined
  }

  return {
    upsert: async (id, payload, expiresInSeconds) => {
      const lifeMs = (expiresInSeconds ?? Number.POSITIVE_INFINITY) * 1000
      store.set(keyOf(id), { payload, expiresAt: now() + lifeMs })
    },
    find: async (id) => {
      const entry = store.get(keyOf(id))
      return entry === undefined || entry.expiresAt <= now() ? undefined : entry.payload
    },
    findByUid: async (uid) => findBy((payload) => payload.uid === uid),
    findByUserCode: async (userCode) => findBy((payload) => payload.userCode === userCode),
    consume: async (id) => {
      const entry = store.get(keyOf(id))
      if (entry !== undefined) entry.payload.consumed = Math.floor(now() / 1000)
    },
    destroy: async (id) => {
      store.delete(keyOf(id))
    },
    // A used refresh token came twice: everything that came from the same sign-in ends (RFC 9700 2.2.2).
    revokeByGrantId: async (grantId) => {
      for (const [key, { payload }] of store) {
        if (payload.grantId === grantId) store.delete(key)
      }
    },
  }
}

/** The ids of what is kept under a model and has not ended. */
export function idsOf(
  model: string,
  store: ProviderStore,
  matches: (payload: Record<string, unknown>) => boolean,
  now: () => number = Date.now,
): string[] {
  const prefix = `${model}:`
  return [...store]
    .filter(([key, { payload, expiresAt }]) => {
      return key.startsWith(prefix) && expiresAt > now() && matches(payload)
    })
    .map(([key]) => key.slice(prefix.length))
}
