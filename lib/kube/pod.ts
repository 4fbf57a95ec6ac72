/**
 * The facts about a pod that decisions and records need. Reading is done as the
 * impersonated user, so a person learns nothing here that the API server would
 * not tell.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { ApiClient, HeaderMap } from './api-client.ts'

interface ContainerSpec {
  name: string
  image?: string
  ports?: { containerPort: number }[]
}

interface ContainerStatus {
  name: string
  containerID?: string
  restartCount?: number
}

export interface PodObject {
  metadata: {
    name: string
    namespace: string
    uid: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  spec: {
    nodeName?: string
    containers: ContainerSpec[]
    initContainers?: ContainerSpec[]
    ephemeralContainers?: ContainerSpec[]
  }
  status?: {
    phase?: string
    containerStatuses?: ContainerStatus[]
    initContainerStatuses?: ContainerStatus[]
    ephemeralContainerStatuses?: ContainerStatus[]
  }
}

/** One running container of one pod: what an approval is bound to and what is checked again. */
export interface ContainerFacts {
  namespace: string
  pod: string
  podUID: string
  labels: Record<string, string>
  node: string | undefined
  container: string
  image: string
  containerID: string | undefined
  restartCount: number
}

export async function readPod(
  client: ApiClient,
  identityHeaders: HeaderMap,
  namespace: string,
  name: string,
): Promise<PodObject> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
  return await client.request<PodObject>('GET', path, { headers: identityHeaders })
}

function allContainers(pod: PodObject): ContainerSpec[] {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec
  return [...containers, ...initContainers, ...ephemeralContainers]
}

/**
 * A running pod as a whole, for what is about no container of it.
 *
 * @throws GatewayError BadRequest
 */
export function podFacts(pod: PodObject): ContainerFacts {
  const { name, namespace, uid, labels = {} } = pod.metadata
  const phase = pod.status?.phase
  if (phase === 'Succeeded' || phase === 'Failed') {
    throw new GatewayError(
      'BadRequest',
      `pod ${name} has ended (${phase}); a container must be running`,
      { id: 1020 },
    )
  }
  if (pod.spec.nodeName === undefined) {
    throw new GatewayError('BadRequest', `pod ${name} does not have a host assigned`, { id: 1020 })
  }
  return {
    namespace,
    pod: name,
    podUID: uid,
    labels,
    node: pod.spec.nodeName,
    container: '',
    image: '',
    containerID: undefined,
    restartCount: 0,
  }
}

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

/**
 * The container a request means; the refusals are the API server's own words
 * (k8s.io/kubernetes pkg/registry/core/pod/strategy.go).
 *
 * @throws GatewayError BadRequest
 */
export function containerFacts(pod: PodObject, wanted: string | undefined): ContainerFacts {
  const { name } = pod.metadata
  const facts = podFacts(pod)
  const { containers } = pod.spec
  const annotated = pod.metadata.annotations?.[DEFAULT_CONTAINER]
  const chosen = wanted ?? annotated ?? (containers.length === 1 ? containers[0]?.name : undefined)
  if (chosen === undefined) {
    const names = containers.map((container) => container.name).join(' ')
    throw new GatewayError(
      'BadRequest',
      `a container name must be specified for pod ${name}, choose one of: [${names}]`,
      { id: 1021 },
    )
  }
  const spec = allContainers(pod).find((container) => container.name === chosen)
  if (spec === undefined) {
    throw new GatewayError('BadRequest', `container ${chosen} is not valid for pod ${name}`, {
      id: 1021,
    })
  }
  const status = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ].find((candidate) => candidate.name === chosen)
  return {
    ...facts,
    container: chosen,
    image: spec.image ?? '',
    containerID: status?.containerID,
    restartCount: status?.restartCount ?? 0,
  }
}

/** True when both readings speak of the same run of the same container (security: pod swap under one name). */
export function isSameContainer(before: ContainerFacts, after: ContainerFacts): boolean {
  return (
    before.podUID === after.podUID &&
    before.containerID === after.containerID &&
    before.restartCount === after.restartCount &&
    before.image === after.image
  )
}
