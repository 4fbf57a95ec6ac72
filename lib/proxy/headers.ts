/**
 * The header sets that cross the gateway. PURE.
 *
 * Upstream gets an allow-list, so nothing a client sends (`Impersonate-*`,
 * `X-Remote-*`, `Connection: Impersonate-User`, cookies, bearer subprotocols)
 * can add to or take from what the gateway sets (I4; CVE-2021-31999 in Rancher
 * was a header named in `Connection`).
 */
import type { IncomingHttpHeaders } from 'node:http'

const REQUEST_ALLOWED = [
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'content-encoding',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'kubectl-command',
  'kubectl-session',
  'user-agent',
] as const

/** Hop-by-hop (RFC 9110 section 7.6.1) and what speaks of the API server's own sign-in. */
const RESPONSE_DROPPED = new Set([
  'alt-svc',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
])

export function requestHeaders(client: IncomingHttpHeaders): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of REQUEST_ALLOWED) {
    const value = client[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}

/** True when the client tries to act as somebody else (`kubectl --as`). */
export function asksToImpersonate(client: IncomingHttpHeaders): boolean {
  return Object.keys(client).some((name) => name.startsWith('impersonate-'))
}

export function responseHeaders(upstream: IncomingHttpHeaders): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(upstream)) {
    if (value !== undefined && !RESPONSE_DROPPED.has(name)) headers[name] = value
  }
  return headers
}
