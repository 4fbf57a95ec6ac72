/**
 * What the path of a proxied request means: which port, which page, and whether a redirect stays
 * within it. PURE.
 *
 * Rules: k8s.io/apimachinery util/net SplitSchemeNamePort; ResourceLocation in k8s.io/kubernetes
 * pkg/registry/core/{pod,service,node}.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { PodObject } from '../kube/pod.ts'
import type { RequestInfo } from './request-info.ts'

export type ProxiedResource = 'pods' | 'services' | 'nodes'

/** `https:web-0:8443` and shorter forms. */
export interface ProxyName {
  scheme: '' | 'http' | 'https'
  name: string
  /** Undefined: whatever is usual for the resource. A string: by name, of services only. */
  port: number | string | undefined
}

const OBJECT_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/
const PORT_NUMBER = /^[1-9][0-9]{0,4}$/
/** IANA_SVC_NAME, as k8s.io/apimachinery util/validation has it. */
const PORT_NAME = /^(?=.*[a-z])[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?$/
const MAX_PORT = 65_535

function unreadable(why: string): GatewayError {
  return new GatewayError('BadRequest', `the proxy cannot be used like this: ${why}`, { id: 1047 })
}

function parsePort(resource: ProxiedResource, text: string): ProxyName['port'] {
  if (text === '') return undefined
  if (PORT_NUMBER.test(text) && Number(text) <= MAX_PORT) return Number(text)
  // The API server dials a pod's or node's port by whatever name its own system has for it.
  if (resource === 'services' && PORT_NAME.test(text)) return text
  const hint = resource === 'services' ? 'by its number or name' : 'by its number, from 1 to 65535'
  throw unreadable(`name the port ${hint}, such as ${resource === 'services' ? 'web' : 'web-0'}:80`)
}

/**
 * What stands where other requests have a name. Stricter than the API server, which takes `+80` for
 * 80: what it could read in another way than policies did is refused.
 *
 * @throws GatewayError BadRequest
 */
export function parseProxyName(resource: ProxiedResource, id: string): ProxyName {
  const parts = id.split(':')
  const [scheme = '', name = '', port = ''] =
    parts.length === 3 ? parts : ['', parts[0], parts[1] ?? '']
  if (parts.length > 3 || !OBJECT_NAME.test(name)) {
    throw unreadable('it is addressed as NAME, NAME:PORT or SCHEME:NAME:PORT')
  }
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') {
    throw unreadable('the scheme is http or https, in lower case')
  }
  return { scheme, name, port: parsePort(resource, port) }
}

const USUAL_PORT = { '': 80, http: 80, https: 443 } as const

/** The first port that a container names, or that of the scheme. */
export function podPort({ spec }: PodObject, { scheme, port }: ProxyName): number {
  if (typeof port === 'number') return port
  const [first] = spec.containers.flatMap(({ ports = [] }) => ports)
  return first?.containerPort ?? USUAL_PORT[scheme]
}

export interface ServiceObject {
  metadata: { name: string }
  spec?: { ports?: { name?: string; port: number }[] }
}

/** The number of a port of the service itself; undefined where it has no such port. */
export function servicePort({ spec }: ServiceObject, { port }: ProxyName): number | undefined {
  if (typeof port === 'number') return port
  // Without a port the API server takes the one that has no name.
  return spec?.ports?.find(({ name = '' }) => name === (port ?? ''))?.port
}

export const KUBELET_PORT = 10_250
const KUBELET_PORTS: readonly (number | undefined)[] = [KUBELET_PORT, 10_255]

/** Ways into containers and their output; k8s.io/kubernetes pkg/kubelet/server/server.go. */
const KUBELET_ROADS = new Set([
  'run',
  'exec',
  'attach',
  'portforward',
  'cri',
  'containerlogs',
  'logs',
  'checkpoint',
  'debug',
])
/** What else a kubelet serves, and what it shows harms less. */
const KUBELET_PAGES = new Set([
  '',
  'metrics',
  'stats',
  'healthz',
  'pods',
  'runningpods',
  'configz',
  'statusz',
  'flagz',
])

/** What follows `proxy`, with its slashes: `/metrics/cadvisor`, `/`, or nothing at all. */
export function proxiedPath({ subresource = '', trailingSlash }: RequestInfo): string {
  return subresource.slice('proxy'.length) + (trailingSlash ? '/' : '')
}

/**
 * The kubelet has an exec of its own. Through its proxy it would be a shell that nobody records and
 * nothing masks, so no policy can open it.
 *
 * @throws GatewayError Forbidden
 */
export function assertNoKubeletRoad(
  resource: ProxiedResource,
  port: number | undefined,
  path: string,
): void {
  const isKubelet = KUBELET_PORTS.includes(port)
  if (resource !== 'nodes' && !isKubelet) return
  const page = (path.split('/')[1] ?? '').toLowerCase()
  if (!KUBELET_ROADS.has(page) && (!isKubelet || KUBELET_PAGES.has(page))) return
  throw new GatewayError(
    'Forbidden',
    `/${page} of a node reaches into its containers past every record and mask, so it is closed here whatever a policy says; use kubectl exec, attach, port-forward or logs`,
    { id: 1046 },
  )
}

/** Path of the proxy itself, to which all that it serves belongs. */
export function proxyRoot({ path, subresource = '' }: RequestInfo): string {
  const whole = path.endsWith('/') ? path.slice(0, -1) : path
  const below = subresource.split('/').length - 1
  return whole
    .split('/')
    .slice(0, whole.split('/').length - below)
    .join('/')
}

/** Anything that is a host; only the path is compared. */
const HERE = 'https://here.invalid'

/**
 * Where a redirect may send the client: to a page behind the very same proxy, which is decided anew
 * when it comes. Undefined for every other place.
 *
 * @param basePath below which the API server itself is reached, which the client knows nothing of
 */
export function redirectWithin(
  info: RequestInfo,
  location: string | undefined,
  basePath = '',
): string | undefined {
  if (location === undefined || !URL.canParse(location, HERE + basePath + info.path))
    return undefined
  const to = new URL(location, HERE + basePath + info.path)
  if (to.origin !== HERE || to.username !== '' || to.password !== '') return undefined
  const root = basePath + proxyRoot(info)
  if (to.pathname !== root && !to.pathname.startsWith(`${root}/`)) return undefined
  return to.pathname.slice(basePath.length) + to.search + to.hash
}
