/**
 * Which way a request goes. PURE. Unknown ways into a pod are refused (I1).
 */
import type { RequestInfo } from './request-info.ts'

export type Route =
  | { kind: 'stream'; operation: 'Exec' | 'Attach'; namespace: string; pod: string }
  | { kind: 'console' }
  | { kind: 'passThrough' }
  | { kind: 'refuse'; what: string }

/** Subresources that reach into pods, nodes or credentials, and what to call them in a refusal. */
const CLOSED_ROADS: Record<string, Record<string, string>> = {
  pods: {
    portforward: 'port-forward',
    log: 'reading logs',
    proxy: 'the pod proxy',
    ephemeralcontainers: 'debug containers',
    attach: 'attach',
    exec: 'exec',
  },
  services: { proxy: 'the service proxy' },
  nodes: { proxy: 'the node proxy', log: 'node logs', checkpoint: 'container checkpoints' },
  serviceaccounts: { token: 'minting service-account tokens' },
}

const READ_METHODS = new Set(['GET', 'HEAD'])
/** Subresources any resource has, and the built-in ones that give no way into a pod. */
const OPEN_SUBRESOURCES = new Set([
  'status',
  'scale',
  'finalize',
  'eviction',
  'binding',
  'approval',
  'resize',
])

function coreRoute(info: RequestInfo, subresource: string): Route {
  const head = subresource.split('/')[0] ?? ''
  const closed = CLOSED_ROADS[info.resource ?? '']?.[head]
  if (info.resource === 'pods' && (subresource === 'exec' || subresource === 'attach')) {
    if (info.namespace !== undefined && info.name !== undefined) {
      const operation = subresource === 'exec' ? 'Exec' : 'Attach'
      return { kind: 'stream', operation, namespace: info.namespace, pod: info.name }
    }
  }
  if (closed === undefined) {
    return OPEN_SUBRESOURCES.has(subresource)
      ? { kind: 'passThrough' }
      : { kind: 'refuse', what: `the subresource ${info.resource ?? ''}/${head}` }
  }
  // Reading the list of debug containers is harmless; adding one is not.
  if (head === 'ephemeralcontainers' && READ_METHODS.has(info.method))
    return { kind: 'passThrough' }
  return { kind: 'refuse', what: closed }
}

export function routeOf(info: RequestInfo, upgrade: boolean): Route {
  if (info.segments[0] === 'podgate')
    return upgrade ? { kind: 'refuse', what: 'an upgrade here' } : { kind: 'console' }
  let route: Route = { kind: 'passThrough' }
  if (info.isResourceRequest) {
    // `/api/v1/proxy/...` and `/api/v1/watch/...` are legacy forms that put a verb where the resource stands.
    if (info.resource === 'proxy' || info.resource === 'redirect')
      return { kind: 'refuse', what: 'the legacy proxy path' }
    if (info.apiGroup === '' && info.subresource !== undefined)
      route = coreRoute(info, info.subresource)
  }
  if (upgrade && route.kind === 'passThrough')
    return { kind: 'refuse', what: 'an upgrade of this path' }
  return route
}
