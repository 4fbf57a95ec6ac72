/**
 * What somebody asks for, in the words that policies, approvals and records share. PURE.
 *
 * Each operation makes an Access of its request; what follows (admit.ts, consent.ts,
 * conduct-session.ts) is the same for all of them.
 */
import type { DebugFacts } from '../api/debug-facts.ts'
import type { Operation } from '../api/operation.ts'
import type { ApiClient, HeaderMap } from '../kube/api-client.ts'
import type { ReviewTarget } from '../kube/access-review.ts'
import type { Obligations } from '../policy/decision.ts'
import { containerFacts, readPod, type ContainerFacts } from '../kube/pod.ts'

/** What it is done to, as read from the cluster. Empty strings where it is about no pod or container. */
export interface TargetFacts extends ContainerFacts {
  service?: string
  serviceAccount?: string
}

/** Of what is about no pod. */
export const NO_POD: TargetFacts = {
  namespace: '',
  pod: '',
  podUID: '',
  labels: {},
  node: undefined,
  container: '',
  image: '',
  containerID: undefined,
  restartCount: 0,
}

export interface FactReader {
  client: ApiClient
  /** The person's own impersonation: nobody learns here what the API server would not tell. */
  identity: HeaderMap
}

export interface Access {
  operation: Operation
  /** Empty for what belongs to no namespace, such as nodes. */
  namespace: string
  /** The right that the person must have in the cluster itself. */
  review: ReviewTarget
  command: string[]
  tty: boolean
  stdin: boolean
  /** A question that kubectl cp asks before it copies, such as `test -d`; see admit.ts. */
  isProbe?: boolean
  /** Of Proxy, and of one connection of PortForward. */
  port?: number
  debug?: DebugFacts
  impersonate?: { user: string; groups: readonly string[] }
  /** What the obligations of the policies say of the request itself. @throws GatewayError */
  examine?(obligations: Obligations): void
  /** @throws GatewayError, or UpstreamStatusError in the API server's own words. */
  readFacts(reader: FactReader): Promise<TargetFacts>
}

export interface ContainerAccess {
  operation: Operation
  namespace: string
  pod: string
  container: string | undefined
  command: string[]
  tty: boolean
  stdin: boolean
  isProbe?: boolean
  examine?(obligations: Obligations): void
}

/** Running or joining a process in a container. */
export function containerAccess(
  subresource: 'exec' | 'attach',
  { pod, container, ...rest }: ContainerAccess,
): Access {
  return {
    ...rest,
    review: { verb: 'create', namespace: rest.namespace, resource: 'pods', name: pod, subresource },
    readFacts: async ({ client, identity }) =>
      containerFacts(await readPod(client, identity, rest.namespace, pod), container),
  }
}
