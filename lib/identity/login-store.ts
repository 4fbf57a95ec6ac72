/**
 * What the replicas share about who is signed in: sign-ins, the digests of their tokens, what is
 * under way, what was used once, and who was revoked.
 *
 * Plain operations only, so that any server of the MongoDB wire protocol can be the store. No value
 * in it is a credential: tokens are digests, and what has to be read again is sealed under keys
 * that only the tokens open (gateway-token.ts).
 */
import type { SpentIds } from './spent-ids.ts'
import type { Person } from './user.ts'

/** The command that asks for a sign-in, as its request tells. */
export interface ClientFacts {
  address: string
  userAgent: string
}

/** One sign-in of one person, and all the tokens that come of it. */
export interface LoginDocument {
  _id: string
  person: Person
  /** Name of the provider in the configuration. */
  provider: string
  /** The provider's own names of the person and of their session there, for back-channel logout. */
  subject: string
  providerSession?: string
  createdAt: Date
  /** However often it is renewed, it is over then. */
  endsAt: Date
  /** When the provider last said that the person may. */
  checkedAt: Date
  /** A replica is asking the provider until then at most. */
  checkingUntil: Date | null
  refresh: { digest: string; wrapped: Buffer; since: Date }
  /** Digests of refresh tokens that were used, the latest last. */
  spent: string[]
  /** The provider's refresh token under the key of the sign-in; null: it gave none. */
  upstream: Buffer | null
  client: ClientFacts
  endedAt: Date | null
  endReason: string | null
}

export interface TokenDocument {
  /** Digest of the token. */
  _id: string
  login: string
  person: Person
  issuedAt: Date
  expiresAt: Date
  /** The key of the sign-in, for whoever brings the token. */
  wrapped: Buffer
}

/** Something begun in one request and finished in another, at any replica. */
export interface PendingDocument {
  /** Digest of what the other side has to bring. */
  _id: string
  kind: 'Browser' | 'Code' | 'Device' | 'UserCode'
  expiresAt: Date
  /** Opaque here; secrets in it are sealed. */
  data: string
  state: 'Open' | 'Done' | 'Refused'
}

export type RevocationTarget =
  | { kind: 'User'; username: string; issuer?: string }
  /** Everybody of one provider. */
  | { kind: 'Issuer'; issuer: string }
  | { kind: 'Login'; id: string }
  | { kind: 'Token'; id: string }
  | { kind: 'Session'; id: string }

export interface RevocationDocument {
  _id: string
  target: RevocationTarget
  /** Kept out until it is lifted; otherwise what was issued before `at` ends, and no more. */
  block: boolean
  at: Date
  /** Forgotten then: whatever it could be about has ended by itself. Null: never. */
  until: Date | null
  by: string
  reason: string
}

export type LoginSelector =
  | { id: string }
  | { username: string; issuer?: string }
  | { issuer: string }
  /** With a subject also those of theirs of which no session is known. */
  | { provider: string; providerSession: string; subject?: string | undefined }
  | { provider: string; subject: string }

export interface CheckedLogin {
  checkedAt: Date
  person?: Person
  upstream?: Buffer
}

/**
 * Every method rejects with a GatewayError, ServiceUnavailable when the store cannot be reached or
 * has not acknowledged.
 */
export interface LoginStore extends SpentIds {
  prepare(): Promise<void>
  close(): Promise<void>

  insertLogin(login: LoginDocument): Promise<void>
  getLogin(id: string): Promise<LoginDocument | undefined>
  /** True when the token was still `from` and the sign-in had not ended. */
  rotateRefresh(id: string, from: string, next: LoginDocument['refresh']): Promise<boolean>
  /** True for one replica only, when nobody has checked since `seen`. */
  claimCheck(id: string, seen: Date, now: Date, until: Date): Promise<boolean>
  /** Only by whoever has claimed it until `claimed`, and only while it has not ended. */
  finishCheck(id: string, claimed: Date, checked: CheckedLogin): Promise<void>
  /** Ids of those that have not ended. */
  findLogins(which: LoginSelector): Promise<string[]>
  /** Ends those that have not ended; answers with their ids. */
  endLogins(which: LoginSelector, at: Date, reason: string): Promise<string[]>
  /** Newest first, the ended ones left out. */
  listLogins(username: string | undefined, limit: number): Promise<LoginDocument[]>

  insertToken(token: TokenDocument): Promise<void>
  getToken(digest: string): Promise<TokenDocument | undefined>

  putPending(pending: PendingDocument): Promise<void>
  getPending(id: string): Promise<PendingDocument | undefined>
  /** Gives it to one caller only, and it is gone. */
  takePending(id: string): Promise<PendingDocument | undefined>
  /** True when it was still `Open`. */
  settlePending(id: string, state: 'Done' | 'Refused', data: string): Promise<boolean>

  /** Takes the place of one of the same name. */
  putRevocation(revocation: RevocationDocument): Promise<void>
  /** False: there is none. */
  liftRevocation(id: string): Promise<boolean>
  listRevocations(): Promise<RevocationDocument[]>
  /** Changes whenever a revocation has come or gone. */
  revocationVersion(): Promise<number>

  /** Removes what has been over for long. */
  sweep(now: Date): Promise<void>
}
