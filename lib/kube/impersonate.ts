/**
 * The verified identity as the API server's impersonation headers. PURE.
 *
 * This is the only place that makes `Impersonate-*` headers (invariant I4):
 * they are computed from the identity alone and never from what a client sent.
 * Source: k8s.io/client-go transport/round_trippers.go.
 */
import { GatewayError } from '../errors/gateway-error.ts'

export interface Impersonation {
  username: string
  uid?: string
  groups: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

/** The extra by which admission tells requests of the gateway from direct ones. */
export const SESSION_EXTRA = 'podgate.dev/session'

/** RFC 7230 token characters except `%`, which starts an escape. */
const TOKEN_BYTE = /[!#$&'*+\-.^_`|~0-9A-Za-z]/
/** Header values the API server and Node agree on: visible ASCII and inner spaces. */
const HEADER_SAFE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

function escapeExtraKey(key: string): string {
  let escaped = ''
  for (const byte of Buffer.from(key.toLowerCase(), 'utf8')) {
    const char = String.fromCharCode(byte)
    escaped += TOKEN_BYTE.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}

function assertHeaderSafe(what: string, value: string): void {
  if (HEADER_SAFE.test(value)) return
  throw new GatewayError(
    'Forbidden',
    `your ${what} holds characters that cannot be passed to the cluster; ask your identity provider's admin for a plain ASCII ${what}`,
    { id: 1411 },
  )
}

const RESERVED_USER = /^system:/
const RESERVED_GROUP = /^system:(?!authenticated$)/

/**
 * @throws GatewayError Forbidden for names that cannot be a header and for
 * names the API server reserves: `system:masters` skips every authorisation.
 */
export function impersonationHeaders(identity: Impersonation): Record<string, string | string[]> {
  assertHeaderSafe('username', identity.username)
  if (
    RESERVED_USER.test(identity.username) ||
    identity.groups.some((group) => RESERVED_GROUP.test(group))
  ) {
    throw new GatewayError(
      'Forbidden',
      'names that start with "system:" belong to the cluster itself and cannot sign in here',
      { id: 1410 },
    )
  }
  for (const group of identity.groups) assertHeaderSafe('group', group)
  const headers: Record<string, string | string[]> = { 'Impersonate-User': identity.username }
  if (identity.uid !== undefined) {
    assertHeaderSafe('uid', identity.uid)
    headers['Impersonate-Uid'] = identity.uid
  }
  if (identity.groups.length > 0) headers['Impersonate-Group'] = [...identity.groups]
  for (const [key, values] of Object.entries(identity.extra ?? {})) {
    for (const value of values) assertHeaderSafe(`extra ${key}`, value)
    headers[`Impersonate-Extra-${escapeExtraKey(key)}`] = [...values]
  }
  return headers
}
