/**
 * Signatures that prove who issued a token. PURE.
 *
 * RFC 7518 3.1: by a private key only. A shared secret (HS*) is no proof of the issuer, and
 * `none` is none at all.
 */
export const SAFE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const
export type SafeAlgorithm = (typeof SAFE_ALGORITHMS)[number]

export function isSafeAlgorithm(name: string): name is SafeAlgorithm {
  return SAFE_ALGORITHMS.some((safe) => safe === name)
}
