/**
 * lib/approval: what an approval is bound to, what it is called, and what became of it.
 *
 * May import: errors, api, streams, policy, kube. No sockets and no clock of its own: callers read
 * and write the requests.
 *
 * An approval is spent only on the very thing that was approved (I9). All of that thing goes into
 * one digest, so a check is one comparison and nothing can be left out of it by mistake.
 */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { ApprovalRequestSpec } from '../api/approval-request.generated.ts'
import type { ClusterAccessPolicy } from '../api/cluster-access-policy.generated.ts'
import type { DebugFacts } from '../api/debug-facts.ts'
import type { Operation } from '../api/operation.ts'
import type { PolicyRef } from '../policy/decision.ts'
import { sha256Digest, type Canonical } from './canonical-json.ts'

export interface Binding {
  requester: { username: string; uid?: string; groups: readonly string[] }
  operation: Operation
  target: {
    /** The uid of the namespace kube-system: names repeat from cluster to cluster, this does not. */
    cluster: string
    namespace: string
    pod: string
    podUID: string
    container: string
    image: string
    ports?: readonly number[]
    service?: string
    serviceAccount?: string
  }
  /** The container or pod to be made, for Debug. */
  debug?: DebugFacts
  command: readonly string[]
  tty: boolean
  stdin: boolean
  policies: readonly PolicyRef[]
}

/** Told apart from digests of anything else, and from those of later versions of this list. */
const REQUEST_FORMAT = 'podgate.dev/v1alpha1 ApprovalRequest'
const POLICY_FORMAT = 'podgate.dev/v1alpha1 policy'

/** What a list holds, whatever its order. */
function asSet(words: readonly string[]): string[] {
  return [...new Set(words)].toSorted()
}

/** All that approvers are shown, and the digest of what they are not. */
function debugPart(debug: DebugFacts): Canonical {
  const { image, command, targetContainer, capabilities, privileged, digest } = debug
  return {
    image,
    command: [...command],
    targetContainer,
    capabilities: asSet(capabilities),
    privileged,
    digest,
  }
}

/**
 * Order and repetition of groups and policies mean nothing; those of the command do. What a request
 * does not name is left out, so that digests of before it could be named stay what they are.
 */
export function requestDigest(binding: Binding): string {
  const { requester, operation, target, debug, command, tty, stdin, policies } = binding
  const { cluster, namespace, pod, podUID, container, image, ports, ...others } = target
  const { service, serviceAccount } = others
  return sha256Digest({
    format: REQUEST_FORMAT,
    requester: {
      username: requester.username,
      uid: requester.uid,
      groups: asSet(requester.groups),
    },
    operation,
    target: {
      cluster,
      namespace,
      pod,
      podUID,
      container,
      image,
      ...(ports === undefined ? {} : { ports: ports.toSorted((a, b) => a - b) }),
      ...(service === undefined ? {} : { service }),
      ...(serviceAccount === undefined ? {} : { serviceAccount }),
    },
    ...(debug === undefined ? {} : { debug: debugPart(debug) }),
    command: [...command],
    tty,
    stdin,
    policies: policies
      .map((policy) => ({
        kind: policy.kind,
        namespace: policy.namespace,
        name: policy.name,
        uid: policy.uid,
        digest: policy.digest,
      }))
      .toSorted((a, b) => (policyKey(a) < policyKey(b) ? -1 : 1)),
  })
}

function policyKey(policy: { kind: string; namespace: string | undefined; name: string }): string {
  return `${policy.kind}/${policy.namespace ?? ''}/${policy.name}`
}

/** The digest of what a policy says. Status, labels and bookkeeping do not change it. */
export function policyDigest(policy: AccessPolicy | ClusterAccessPolicy): string {
  const { name, namespace, uid } = policy.metadata
  return sha256Digest({
    format: POLICY_FORMAT,
    kind: policy.kind,
    namespace,
    name,
    uid,
    // A spec is JSON by nature: it came out of the API as such.
    spec: policy.spec as unknown as Canonical,
  })
}

/** What a request says it is bound to. */
export function bindingOf(spec: ApprovalRequestSpec): Binding {
  return {
    requester: spec.requester,
    operation: spec.operation,
    target: spec.target,
    ...(spec.debug === undefined ? {} : { debug: spec.debug }),
    command: spec.command ?? [],
    tty: spec.tty,
    stdin: spec.stdin,
    policies: spec.policies,
  }
}

/** False when the digest belongs to something else than what approvers were shown. */
export function isSelfConsistent(spec: ApprovalRequestSpec): boolean {
  return requestDigest(bindingOf(spec)) === spec.digest
}
