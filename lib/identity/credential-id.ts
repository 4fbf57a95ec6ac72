/** Names of credentials in records and for `revoke token`. PURE. */
import type { Hash } from 'node:crypto'

/** 132 bits of a digest: a name, of which nobody finds a second owner; not a secret. */
export function credentialId(prefix: 'a' | 'c' | 't', digest: Hash): string {
  return `${prefix}-${digest.digest('base64url').slice(0, 22)}`
}
