/** Where tokens come from when the cache has none that live. */
import type { CachedTokens } from '../token-cache.ts'

export interface TokenSource {
  /** Both name the tokens in the cache: those of another source are none of ours. */
  readonly issuer: string
  readonly clientId: string
  /** How long another process of ours may take with the same. */
  readonly patienceMs: number
  /** @param tokens the last ones, which have ended or are about to */
  renew(tokens: CachedTokens | undefined): Promise<CachedTokens>
  /** What to tell the person, in one line. */
  explain(error: unknown): string
}

export class SignInNeeded extends Error {
  readonly code = 'SIGN_IN_NEEDED'
}
