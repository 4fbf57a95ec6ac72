/** What the API server does with debug containers and new pods, as far as the gateway can tell. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { PodSpec, SpecContainer } from '../../../lib/proxy/debug/pod-spec.ts'
import type { StoredObject } from '../../fakes/object-store.ts'
import { json, readBytes, refuse, type ScriptedCluster } from '../../fakes/scripted-cluster.ts'

export interface Write {
  method: string
  contentType: string
  dryRun: boolean
  query: string
  /** The session's mark. */
  mark: string | undefined
  user: string
  body: Buffer
}

export interface DebugCluster {
  /** Of debug containers and pods, tries included. */
  readonly writes: Write[]
  /** Runs before each write that is none by the name of `dryRun`. */
  beforeWrite: () => void
  /** What admission makes of a pod's spec. */
  admitPod: (spec: PodSpec) => PodSpec
}

const CONTAINERS = /^\/api\/v1\/namespaces\/shop\/pods\/([^/]+)\/ephemeralcontainers$/
const PODS = '/api/v1/namespaces/shop/pods'
export const PROTOBUF = 'application/vnd.kubernetes.protobuf'

function containersOf(object: { spec?: unknown }): SpecContainer[] {
  return (object.spec as PodSpec | undefined)?.ephemeralContainers ?? []
}

/** What the body asks for, given what is there. */
function wanted({ contentType, body }: Write, old: SpecContainer[]): SpecContainer[] {
  if (contentType === PROTOBUF) {
    return [...old, { name: body.toString('latin1').split('\0').at(-1) ?? '', image: 'sh:1' }]
  }
  const given = JSON.parse(body.toString()) as StoredObject
  if (!contentType.startsWith('application/strategic')) return containersOf(given)
  const named = new Map(containersOf(given).map((one) => [one.name, one]))
  const merged = old.map((one) => ({ ...one, ...named.get(one.name) }))
  const known = new Set(old.map(({ name }) => name))
  return [...merged, ...containersOf(given).filter(({ name }) => !known.has(name))]
}

/** Defaults are filled in, so that what was sent is never what comes back. */
function defaulted(container: SpecContainer): SpecContainer {
  return { ...container, terminationMessagePath: '/dev/termination-log' } as SpecContainer
}

function changeContainers(
  cluster: ScriptedCluster,
  response: ServerResponse,
  name: string,
  write: Write,
): void {
  const pod = cluster.objects.get('pods', 'shop', name)
  if (pod === undefined) {
    refuse(response, 404, 'NotFound', `pods "${name}" not found`)
    return
  }
  if (write.mark === undefined) {
    refuse(response, 403, 'Forbidden', 'podgate-exec-through-gateway: direct access is closed')
    return
  }
  if (write.contentType !== PROTOBUF) {
    const { metadata } = JSON.parse(write.body.toString()) as Partial<StoredObject>
    const { uid = pod.metadata.uid, resourceVersion } = metadata ?? {}
    const isOld = resourceVersion !== undefined && resourceVersion !== pod.metadata.resourceVersion
    if (uid !== pod.metadata.uid || isOld) {
      refuse(response, 409, 'Conflict', 'the object has been modified; please apply your changes')
      return
    }
  }
  const ephemeralContainers = wanted(write, containersOf(pod)).map(defaulted)
  const changed = { ...pod, spec: { ...(pod.spec as PodSpec), ephemeralContainers } }
  json(response, 200, write.dryRun ? changed : cluster.objects.put('pods', changed))
}

let pods = 0

function createPod(
  cluster: ScriptedCluster,
  response: ServerResponse,
  write: Write,
  admit: (spec: PodSpec) => PodSpec,
): void {
  const given = JSON.parse(write.body.toString()) as StoredObject & {
    metadata: { generateName?: string }
  }
  const { name = `${given.metadata.generateName}x${++pods}` } = given.metadata as { name?: string }
  if (cluster.objects.get('pods', 'shop', name) !== undefined) {
    refuse(response, 409, 'AlreadyExists', `pods "${name}" already exists`)
    return
  }
  const volume = `kube-api-access-${randomUUID().slice(0, 5)}`
  const spec = admit(given.spec as PodSpec)
  const made: StoredObject = {
    ...given,
    metadata: { ...given.metadata, name, namespace: 'shop', uid: randomUUID() },
    spec: { ...spec, volumes: [...(spec.volumes ?? []), { name: volume, projected: {} }] },
  }
  json(response, 201, write.dryRun ? made : cluster.objects.put('pods', made))
}

export function serveDebugging(cluster: ScriptedCluster): DebugCluster {
  const self: DebugCluster = { writes: [], beforeWrite: () => {}, admitPod: (spec) => spec }

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    const mark = request.headers['impersonate-extra-podgate.dev%2fsession']
    const write: Write = {
      method: request.method ?? '',
      contentType: request.headers['content-type'] ?? 'application/json',
      dryRun: url.searchParams.has('dryRun'),
      query: url.search,
      mark: typeof mark === 'string' ? mark : undefined,
      user: String(request.headers['impersonate-user']),
      body: await readBytes(request),
    }
    self.writes.push(write)
    if (!write.dryRun) self.beforeWrite()
    const name = CONTAINERS.exec(url.pathname)?.[1]
    if (name === undefined) createPod(cluster, response, write, self.admitPod)
    else changeContainers(cluster, response, name, write)
  }

  cluster.intercept = (request, response, url) => {
    const isOurs =
      (CONTAINERS.test(url.pathname) && request.method !== 'GET') ||
      (url.pathname === PODS && request.method === 'POST') ||
      (url.pathname === `${PODS}/mine` && request.method === 'PATCH')
    if (isOurs) void serve(request, response, url).catch(() => response.destroy())
    return isOurs
  }
  return self
}
