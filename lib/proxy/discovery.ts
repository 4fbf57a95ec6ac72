/** What kubectl reads before anything else: which kinds of objects there are. */
import { impersonationHeaders } from '../kube/impersonate.ts'
import type { HeaderMap } from '../kube/api-client.ts'
import type { RequestInfo } from './request-info.ts'

const ROOTS = new Set(['api', 'apis', 'openapi', 'version'])

/** The same for everybody. */
export function isDiscovery({ method, isResourceRequest, segments }: RequestInfo): boolean {
  return method === 'GET' && !isResourceRequest && ROOTS.has(segments[0] ?? '')
}

/** Somebody whose time is over: nobody in particular, with the rights of anybody who is signed in. */
export function signedOutIdentity(): HeaderMap {
  return impersonationHeaders({ username: 'podgate:signed-out', groups: [] })
}
