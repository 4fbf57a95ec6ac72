/**
 * Revoking: writes the rule that all replicas follow, and ends the sign-ins that it is about, so
 * that they do not come back when the rule is forgotten.
 */
import { createHash, randomBytes } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import type {
  LoginSelector,
  LoginStore,
  RevocationDocument,
  RevocationTarget,
} from './login-store.ts'
import type { Revocations } from './revocations.ts'

export interface RevokeAsk {
  target: RevocationTarget
  /** For a User or an Issuer: kept out until it is lifted, or until `until`. */
  block: boolean
  until?: Date
  by: string
  reason: string
}

export interface Revoker {
  revoke(ask: RevokeAsk): Promise<RevocationDocument>
  /** Sign-ins that a provider has ended, by its own names of them. Answers how many. */
  endLogins(which: LoginSelector, by: string, reason: string): Promise<number>
  /** @throws GatewayError NotFound */
  lift(id: string): Promise<void>
  list(): Promise<RevocationDocument[]>
}

export interface RevokerDeps {
  store: LoginStore
  revocations: Pick<Revocations, 'refresh'>
  /** Longest life of a sign-in at the gateway. */
  keepMs: number
  now?: () => number
}

/** Who ends a sign-in when no person does. */
export const THE_GATEWAY = 'the gateway'

/** A running session has ended long before. */
const KEEP_SESSION_MS = 60 * 60_000

export function createRevoker(deps: RevokerDeps): Revoker {
  const { store, revocations, now = Date.now } = deps

  async function put(ask: RevokeAsk): Promise<RevocationDocument> {
    const at = new Date(now())
    const { target, block, by, reason } = ask
    const until = ask.until ?? forgottenAt(target, at, deps.keepMs)
    const _id = block ? newId() : idOf(target)
    const document = { _id, target, block, at, until, by, reason }
    await store.putRevocation(document)
    return document
  }

  async function endAll(which: LoginSelector, by: string, reason: string): Promise<void> {
    const why = reason === '' ? '' : `: ${reason}`
    const words = by === THE_GATEWAY ? reason : `revoked by ${by}${why}`
    await store.endLogins(which, new Date(now()), words)
  }

  return {
    async revoke(ask) {
      const { target, by, reason } = ask
      // The rule first: what begins in between is caught by it.
      const document = await put(ask)
      // This replica does not wait for its next look.
      await revocations.refresh()
      if (target.kind === 'Login') await endAll({ id: target.id }, by, reason)
      if (target.kind === 'User') {
        const { username, issuer } = target
        await endAll({ username, ...(issuer === undefined ? {} : { issuer }) }, by, reason)
      }
      if (target.kind === 'Issuer') await endAll({ issuer: target.issuer }, by, reason)
      return document
    },
    async endLogins(which, by, reason) {
      // Rules first here, too: should the store fail in between, what runs has ended all the same.
      const ids = await store.findLogins(which)
      for (const id of ids) await put({ target: { kind: 'Login', id }, block: false, by, reason })
      await revocations.refresh()
      await endAll(which, by, reason)
      return ids.length
    },
    async lift(id) {
      if (!(await store.liftRevocation(id))) {
        throw new GatewayError(
          'NotFound',
          `there is no revocation "${id.slice(0, 40)}"; list them: kubectl podgate revocations`,
          { id: 1454 },
        )
      }
      await revocations.refresh()
    },
    list: () => store.listRevocations(),
  }
}

/** Null: never, since certificates and tokens of others may live for years. */
function forgottenAt({ kind }: RevocationTarget, at: Date, keepMs: number): Date | null {
  if (kind === 'Session') return new Date(at.getTime() + KEEP_SESSION_MS)
  // Of ours we know when the last one has ended.
  return kind === 'Login' ? new Date(at.getTime() + keepMs) : null
}

/** The same each time, so that nobody fills the list by ending one thing again and again. */
function idOf(target: RevocationTarget): string {
  const { kind, ...what } = target
  const digest = createHash('sha256').update(JSON.stringify([kind, ...Object.values(what)]))
  return `r-${digest.digest('hex').slice(0, 20)}`
}

function newId(): string {
  return `r-${randomBytes(10).toString('hex')}`
}
