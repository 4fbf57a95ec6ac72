/**
 * Which way a request goes. PURE. Unknown ways into a pod are refused (I1).
 */
import { isReview } from './is-review.ts'
import type { RequestInfo } from './request-info.ts'

/** One object of a namespace, or of none. */
export interface ObjectName {
  namespace: string
  name: string
}

export type Route =
  | { kind: 'stream'; operation: 'Exec' | 'Attach'; namespace: string; pod: string }
  | { kind: 'forward'; namespace: string; pod: string }
  | { kind: 'logs'; namespace: string; pod: string }
  /** A change of the debug containers of a pod. */
  | { kind: 'debugContainer'; namespace: string; pod: string }
  /** A pod of one's own: `kubectl run`, `kubectl debug --copy-to`, `kubectl debug node/…`. */
  | { kind: 'createPod'; namespace: string }
  | ({ kind: 'proxy'; resource: 'pods' | 'services' | 'nodes' } & ObjectName)
  | ({ kind: 'token' } & ObjectName)
  /** What somebody may, asked by themselves. */
  | { kind: 'review' }
  | { kind: 'console' }
  | { kind: 'passThrough' }
  | { kind: 'refuse'; what: string }

/** Subresources that reach into nodes, and what to call them in a refusal. */
const CLOSED_ROADS: Record<string, Record<string, string>> = {
  nodes: { log: 'node logs', checkpoint: 'container checkpoints' },
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
/** With something behind them they are none that we know. */
const POD_ROADS: Readonly<Record<string, 'Exec' | 'Attach' | 'forward' | 'logs'>> = {
  exec: 'Exec',
  attach: 'Attach',
  portforward: 'forward',
  log: 'logs',
}

function podRoute(info: RequestInfo, namespace: string, pod: string): Route | undefined {
  const road = POD_ROADS[info.subresource ?? '']
  if (road === 'Exec' || road === 'Attach')
    return { kind: 'stream', operation: road, namespace, pod }
  if (road !== undefined) return { kind: road, namespace, pod }
  if (info.subresource !== 'ephemeralcontainers') return undefined
  // Reading the list of debug containers is harmless; adding one is not.
  if (READ_METHODS.has(info.method)) return { kind: 'passThrough' }
  return info.method === 'PATCH' || info.method === 'PUT'
    ? { kind: 'debugContainer', namespace, pod }
    : undefined
}

function decidedRoute(info: RequestInfo, head: string): Route | undefined {
  const { resource, namespace, name } = info
  if (name === undefined) return undefined
  if (resource === 'nodes' && head === 'proxy')
    return { kind: 'proxy', resource, namespace: '', name }
  if (namespace === undefined) return undefined
  if ((resource === 'pods' || resource === 'services') && head === 'proxy')
    return { kind: 'proxy', resource, namespace, name }
  if (resource === 'pods') return podRoute(info, namespace, name)
  const isToken = resource === 'serviceaccounts' && info.subresource === 'token'
  return isToken && info.method === 'POST' ? { kind: 'token', namespace, name } : undefined
}

function subresourceRoute(info: RequestInfo, subresource: string): Route {
  const head = subresource.split('/')[0] ?? ''
  const decided = decidedRoute(info, head)
  if (decided !== undefined) return decided
  const closed = CLOSED_ROADS[info.resource ?? '']?.[head]
  if (closed !== undefined) return { kind: 'refuse', what: closed }
  return OPEN_SUBRESOURCES.has(subresource)
    ? { kind: 'passThrough' }
    : { kind: 'refuse', what: `the subresource ${info.resource ?? ''}/${head}` }
}

function resourceRoute(info: RequestInfo): Route {
  const { resource, namespace, name, subresource } = info
  // `/api/v1/proxy/...` and `/api/v1/watch/...` are legacy forms that put a verb where the resource stands.
  if (resource === 'proxy' || resource === 'redirect')
    return { kind: 'refuse', what: 'the legacy proxy path' }
  if (isReview(info)) return { kind: 'review' }
  if (info.apiGroup !== '') return { kind: 'passThrough' }
  if (subresource !== undefined) return subresourceRoute(info, subresource)
  if (resource === 'pods' && name === undefined && info.method === 'POST')
    return namespace === undefined
      ? { kind: 'refuse', what: 'a pod without a namespace' }
      : { kind: 'createPod', namespace }
  return { kind: 'passThrough' }
}

/** Those that may be upgraded; everything else an `Upgrade` makes suspect. */
const UPGRADED = new Set<Route['kind']>(['stream', 'forward', 'logs'])

export function routeOf(info: RequestInfo, upgrade: boolean): Route {
  if (info.segments[0] === 'podgate')
    return upgrade ? { kind: 'refuse', what: 'an upgrade here' } : { kind: 'console' }
  const route: Route = info.isResourceRequest ? resourceRoute(info) : { kind: 'passThrough' }
  if (!upgrade || UPGRADED.has(route.kind) || route.kind === 'refuse') return route
  return { kind: 'refuse', what: 'an upgrade of this path' }
}
