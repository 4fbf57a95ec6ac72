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

/** What programs behind a proxy need besides. Never a credential: those are for the gateway alone. */
const PROXY_REQUEST_ALLOWED = [
  'content-disposition',
  'content-language',
  'if-range',
  'if-unmodified-since',
  'last-event-id',
  'pragma',
  'range',
  'x-requested-with',
] as const

/** Not among them: cookies and policies for the whole origin, which is that of the gateway itself. */
const PROXY_RESPONSE_ALLOWED = new Set([
  'accept-ranges',
  'age',
  'allow',
  'audit-id',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-range',
  'content-security-policy',
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
  'pragma',
  'retry-after',
  'vary',
  'warning',
  'x-content-type-options',
  'x-frame-options',
])

/** Of a request to a program behind a pod, a service or a node. */
export function proxyRequestHeaders(client: IncomingHttpHeaders): Record<string, string> {
  const headers = requestHeaders(client)
  for (const name of PROXY_REQUEST_ALLOWED) {
    const value = client[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}

/** @param location where the client may be sent, if anywhere */
export function proxyResponseHeaders(
  upstream: IncomingHttpHeaders,
  location: string | undefined,
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(upstream)) {
    if (value !== undefined && PROXY_RESPONSE_ALLOWED.has(name)) headers[name] = value
  }
  return location === undefined ? headers : { ...headers, location }
}

export function responseHeaders(upstream: IncomingHttpHeaders): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(upstream)) {
    if (value !== undefined && !RESPONSE_DROPPED.has(name)) headers[name] = value
  }
  return headers
}
