/** What a proxied request asks for, in the words of policies, approvals and records. */
import { createHash } from 'node:crypto'

import type { ApiClient, HeaderMap } from '../kube/api-client.ts'
import { podFacts, readPod } from '../kube/pod.ts'
import { type Access, NO_POD, type TargetFacts } from './access.ts'
import {
  KUBELET_PORT,
  assertNoKubeletRoad,
  parseProxyName,
  podPort,
  proxiedPath,
  servicePort,
  type ProxiedResource,
  type ProxyName,
  type ServiceObject,
} from './proxy-path.ts'
import type { RequestInfo } from './request-info.ts'

export interface ProxyTarget {
  resource: ProxiedResource
  /** Empty for nodes. */
  namespace: string
  /** As it stands in the path: `scheme:name:port` and shorter. */
  name: string
}

/** k8s.io/apiserver pkg/endpoints/request/requestinfo.go; of OPTIONS it makes no verb at all. */
const VERBS = new Map([
  ['GET', 'get'],
  ['HEAD', 'get'],
  ['POST', 'create'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
])

/** The methods that pass, as `Allow` names them. */
export const PROXY_METHODS: string = [...VERBS.keys()].join(', ')

export function isProxyMethod(method: string): boolean {
  return VERBS.has(method)
}

/**
 * For the record, and what an approval is bound to. A query may hold what nobody should read later,
 * so of it there is only a digest.
 */
export function requestWords(info: RequestInfo): string[] {
  const { method, query } = info
  const words = [method, proxiedPath(info) === '' ? '/' : proxiedPath(info)]
  if (query === '') return words
  return [...words, `?sha256=${createHash('sha256').update(query).digest('hex').slice(0, 32)}`]
}

async function readService(
  client: ApiClient,
  headers: HeaderMap,
  namespace: string,
  name: string,
): Promise<ServiceObject> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/${encodeURIComponent(name)}`
  return await client.request<ServiceObject>('GET', path, { headers })
}

/** Ports that stand in no path are those of the object, read as the person. */
async function portOf(
  client: ApiClient,
  identity: HeaderMap,
  { resource, namespace }: ProxyTarget,
  name: ProxyName,
): Promise<number | undefined> {
  if (typeof name.port === 'number') return name.port
  if (resource === 'nodes') return KUBELET_PORT
  if (resource === 'pods')
    return podPort(await readPod(client, identity, namespace, name.name), name)
  return servicePort(await readService(client, identity, namespace, name.name), name)
}

async function readFacts(
  client: ApiClient,
  identity: HeaderMap,
  { resource, namespace }: ProxyTarget,
  name: string,
): Promise<TargetFacts> {
  if (resource === 'nodes') return { ...NO_POD, node: name }
  if (resource === 'pods') return podFacts(await readPod(client, identity, namespace, name))
  const service = await readService(client, identity, namespace, name)
  return { ...NO_POD, namespace, service: service.metadata.name }
}

/**
 * Of a method that passes.
 *
 * @throws GatewayError for what no policy could allow, or UpstreamStatusError where the object
 * cannot be read by the person
 */
export async function proxyAccess(
  client: ApiClient,
  identity: HeaderMap,
  info: RequestInfo,
  target: ProxyTarget,
  hasBody: boolean,
): Promise<Access> {
  const { resource, namespace, name: id } = target
  const name = parseProxyName(resource, id)
  const port = await portOf(client, identity, target, name)
  assertNoKubeletRoad(resource, port, proxiedPath(info))
  return {
    operation: 'Proxy',
    namespace,
    review: {
      verb: VERBS.get(info.method) ?? '',
      namespace,
      resource,
      name: id,
      subresource: 'proxy',
    },
    command: requestWords(info),
    tty: false,
    stdin: hasBody,
    ...(port === undefined ? {} : { port }),
    readFacts: async (reader) => await readFacts(reader.client, reader.identity, target, name.name),
  }
}
