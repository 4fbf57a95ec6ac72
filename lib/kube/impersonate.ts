/**
 * The verified identity as the API server's impersonation headers. PURE.
 *
 * This is the only place that makes `Impersonate-*` headers (invariant I4):
 * they are computed from the identity alone and never from what a client sent.
 * Source: k8s.io/client-go transport/round_trippers.go.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { isHeaderSafe } from './header-safe.ts'
import {
  accountGroups,
  ACCOUNT_EXTRA_PREFIX,
  GATEWAY_ACCOUNT,
  parseAccountName,
} from './service-account-name.ts'

export interface Impersonation {
  username: string
  uid?: string
  groups: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
  /**
   * What they have proved it with, as a User says it. Only `ServiceAccount`, which the API server
   * itself has verified, may bear the name of one. Who is acted as has none.
   */
  credential?: { readonly kind: string }
}

/** The extra by which admission tells requests of the gateway from direct ones. */
export const SESSION_EXTRA = 'podgate.dev/session'

/** RFC 7230 token characters except `%`, which starts an escape. */
const TOKEN_BYTE = /[!#$&'*+\-.^_`|~0-9A-Za-z]/

function escapeExtraKey(key: string): string {
  let escaped = ''
  for (const byte of Buffer.from(key.toLowerCase(), 'utf8')) {
    const char = String.fromCharCode(byte)
    escaped += TOKEN_BYTE.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}

function assertHeaderSafe(what: string, value: string): void {
  if (isHeaderSafe(value)) return
  throw new GatewayError(
    'Forbidden',
    `your ${what} holds characters that cannot be passed to the cluster; ask your identity provider's admin for a plain ASCII ${what}`,
    { id: 1411 },
  )
}

const RESERVED_USER = /^system:/
const RESERVED_GROUP = /^system:(?!authenticated$)/

/** A service account is exactly what its name says: any other group or name is somebody's forgery. */
function isAccount({ username, groups }: Impersonation, ownAccount: string): boolean {
  const account = parseAccountName(username)
  // As itself the gateway could write conclusions of approvals, and impersonate once more.
  if (account === undefined || username === ownAccount || username === GATEWAY_ACCOUNT) return false
  const possible = accountGroups(account.namespace)
  return groups.every((group) => possible.includes(group))
}

function isPerson({ username, groups, extra = {} }: Impersonation): boolean {
  return (
    !RESERVED_USER.test(username) &&
    !groups.some((group) => RESERVED_GROUP.test(group)) &&
    !Object.keys(extra).some((key) => key.toLowerCase().startsWith(ACCOUNT_EXTRA_PREFIX))
  )
}

function assertNotReserved(identity: Impersonation, ownAccount: string): void {
  const { credential } = identity
  if (credential?.kind === 'ServiceAccount') {
    if (isAccount(identity, ownAccount)) return
    throw new GatewayError(
      'Forbidden',
      'this service account cannot be acted as: it is the gateway itself, or its name and groups are not those of one service account',
      { id: 1410 },
    )
  }
  if (isPerson(identity)) return
  throw new GatewayError(
    'Forbidden',
    'names that start with "system:", and extras of "authentication.kubernetes.io/", belong to the cluster itself and cannot sign in here',
    { id: 1410 },
  )
}

/**
 * The API server knows the groups of a service account by itself, and sets them where none are
 * sent: so the gateway needs no right to act as those groups (gateway-rbac-constrained.yaml).
 */
function saidGroups({ username, groups, credential }: Impersonation): string[] {
  const account = credential?.kind === 'ServiceAccount' ? parseAccountName(username) : undefined
  if (account === undefined) return [...groups]
  const own = accountGroups(account.namespace)
  return own.every((group) => groups.includes(group)) ? [] : [...groups]
}

/**
 * @param ownAccount whom the gateway is to the API server
 * @throws GatewayError Forbidden for names that cannot be a header and for
 * names the API server reserves: `system:masters` skips every authorisation.
 */
export function impersonationHeaders(
  identity: Impersonation,
  ownAccount: string = GATEWAY_ACCOUNT,
): Record<string, string | string[]> {
  assertHeaderSafe('username', identity.username)
  assertNotReserved(identity, ownAccount)
  for (const group of identity.groups) assertHeaderSafe('group', group)
  const headers: Record<string, string | string[]> = { 'Impersonate-User': identity.username }
  if (identity.uid !== undefined) {
    assertHeaderSafe('uid', identity.uid)
    headers['Impersonate-Uid'] = identity.uid
  }
  const groups = saidGroups(identity)
  if (groups.length > 0) headers['Impersonate-Group'] = groups
  for (const [key, values] of Object.entries(identity.extra ?? {})) {
    for (const value of values) assertHeaderSafe(`extra ${key}`, value)
    headers[`Impersonate-Extra-${escapeExtraKey(key)}`] = [...values]
  }
  return headers
}
