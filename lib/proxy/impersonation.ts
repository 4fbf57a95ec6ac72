/**
 * Whom a client asks to act as (`kubectl --as`, `--as-group`): what its headers say. PURE.
 *
 * Nothing of this goes on to the API server: what does is made anew by lib/kube/impersonate.ts from
 * what was decided (I4). Rules: k8s.io/apiserver pkg/endpoints/filters/impersonation.go; where that
 * one passes over what makes no sense, this one refuses.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { isHeaderSafe } from '../kube/header-safe.ts'

export interface ImpersonationAsk {
  user: string
  /** Each once. */
  groups: string[]
  uid?: string
  /** Values by key; keys decoded and in lower case. */
  extra: Record<string, string[]>
}

const PREFIX = 'impersonate-'
const EXTRA_PREFIX = 'extra-'
/** Each group is a question to the API server. */
const MAX_GROUPS = 16

function malformed(why: string): GatewayError {
  return new GatewayError(
    'BadRequest',
    `the Impersonate headers cannot be read: ${why}; use kubectl --as and --as-group`,
    { id: 1048 },
  )
}

function plain(name: string, value: string): string {
  if (isHeaderSafe(value)) return value
  throw malformed(value === '' ? `${name} is empty` : `${name} is not plain ASCII`)
}

function single(name: string, values: readonly string[]): string | undefined {
  if (values.length > 1) throw malformed(`${name} is given ${values.length} times`)
  return values[0]
}

function extraKey(encoded: string): string {
  try {
    const key = decodeURIComponent(encoded).toLowerCase()
    if (key !== '') return key
  } catch {
    // Said below.
  }
  throw malformed('the key of an Impersonate-Extra header is empty or badly escaped')
}

/** The lines that begin with `Impersonate-`, in the order they came; names in lower case. */
function impersonateLines(rawHeaders: readonly string[]): [string, string][] {
  const lines: [string, string][] = []
  for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
    const name = (rawHeaders[n] ?? '').toLowerCase()
    if (name.startsWith(PREFIX)) lines.push([name.slice(PREFIX.length), rawHeaders[n + 1] ?? ''])
  }
  return lines
}

/**
 * @param rawHeaders names and values by turns, as node:http has them
 * @returns undefined where nobody is asked for
 * @throws GatewayError BadRequest
 */
export function parseImpersonation(rawHeaders: readonly string[]): ImpersonationAsk | undefined {
  const lines = impersonateLines(rawHeaders)
  if (lines.length === 0) return undefined
  const users: string[] = []
  const uids: string[] = []
  const groups = new Set<string>()
  const extra = new Map<string, string[]>()
  for (const [name, raw] of lines) {
    const value = plain(`Impersonate-${name}`, raw)
    if (name === 'user') users.push(value)
    else if (name === 'uid') uids.push(value)
    else if (name === 'group') groups.add(value)
    else if (name.startsWith(EXTRA_PREFIX)) {
      const key = extraKey(name.slice(EXTRA_PREFIX.length))
      extra.set(key, [...(extra.get(key) ?? []), value])
    } else throw malformed(`there is no header Impersonate-${name.slice(0, 40)}`)
  }
  const user = single('Impersonate-User', users)
  const uid = single('Impersonate-Uid', uids)
  if (user === undefined) throw malformed('they name no user')
  if (groups.size > MAX_GROUPS) throw malformed(`they name more than ${MAX_GROUPS} groups`)
  return {
    user,
    groups: [...groups],
    ...(uid === undefined ? {} : { uid }),
    extra: Object.fromEntries(extra),
  }
}
