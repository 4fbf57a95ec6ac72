/**
 * What a request for logs asks for, in the words of policies and records. PURE but for reading the
 * pod.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { readPod, type PodObject } from '../kube/pod.ts'
import type { Access, TargetFacts } from './access.ts'
import { logWords, type LogOptions } from './log-options.ts'

/**
 * The container whose log is meant, by the API server's rules and in its words
 * (k8s.io/kubernetes pkg/registry/core/pod/strategy.go, validateContainer): the pod may have ended
 * or not have begun, and the annotation for a default container is the client's business.
 *
 * @throws GatewayError BadRequest
 */
export function logFacts(pod: PodObject, wanted: string | undefined): TargetFacts {
  const { name, namespace, uid, labels = {} } = pod.metadata
  const { nodeName, containers, initContainers = [], ephemeralContainers = [] } = pod.spec
  const all = [...initContainers, ...containers, ...ephemeralContainers]
  const chosen = wanted ?? (containers.length === 1 ? containers[0]?.name : undefined)
  if (chosen === undefined) {
    const names = all.map((container) => container.name).join(' ')
    throw new GatewayError(
      'BadRequest',
      `a container name must be specified for pod ${name}, choose one of: [${names}]`,
      { id: 1021 },
    )
  }
  const spec = all.find((container) => container.name === chosen)
  if (spec === undefined) {
    throw new GatewayError('BadRequest', `container ${chosen} is not valid for pod ${name}`, {
      id: 1021,
    })
  }
  return {
    namespace,
    pod: name,
    podUID: uid,
    labels,
    node: nodeName,
    container: chosen,
    image: spec.image ?? '',
    // A log outlives the run of its container; which run is meant the node decides.
    containerID: undefined,
    restartCount: 0,
  }
}

/** True when the name still stands for the pod that was decided on. */
export function isSamePod(before: TargetFacts, after: TargetFacts): boolean {
  return before.podUID === after.podUID && before.image === after.image
}

export function logAccess(
  { namespace, pod }: { namespace: string; pod: string },
  options: LogOptions,
): Access {
  return {
    operation: 'Logs',
    namespace,
    review: { verb: 'get', namespace, resource: 'pods', name: pod, subresource: 'log' },
    command: logWords(options),
    tty: false,
    stdin: false,
    readFacts: async ({ client, identity }) =>
      logFacts(await readPod(client, identity, namespace, pod), options.container),
  }
}
