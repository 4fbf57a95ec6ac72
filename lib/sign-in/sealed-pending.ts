/**
 * What is begun in one request and finished in another, sealed under a token that only the other side
 * has: what lies in the store is of no use to a thief.
 */
import { digestOf, isWellFormed, newToken, unwrapKey, wrapKey } from '../identity/gateway-token.ts'
import type { LoginStore } from '../identity/login-store.ts'

const KINDS = { Browser: 'browser', Code: 'code' } as const

export interface SealedPending<T> {
  /** Gives the token that opens it again. */
  seal(value: T): Promise<string>
  /** Once only; undefined: it is not there (any more), was never begun, or is over. */
  open(token: string): Promise<T | undefined>
}

export function createSealedPending<T>(
  kind: keyof typeof KINDS,
  lifeMs: number,
  store: Pick<LoginStore, 'putPending' | 'takePending'>,
  now: () => number,
): SealedPending<T> {
  return {
    async seal(value) {
      const token = newToken(KINDS[kind])
      await store.putPending({
        _id: digestOf(token),
        kind,
        expiresAt: new Date(now() + lifeMs),
        state: 'Open',
        data: wrapKey(token, Buffer.from(JSON.stringify(value))).toString('base64'),
      })
      return token
    },
    async open(token) {
      if (!isWellFormed(KINDS[kind], token)) return undefined
      const found = await store.takePending(digestOf(token))
      if (found?.kind !== kind || found.expiresAt.getTime() <= now()) return undefined
      const plain = unwrapKey(token, Buffer.from(found.data, 'base64'))
      return JSON.parse(plain.toString('utf8')) as T
    },
  }
}
