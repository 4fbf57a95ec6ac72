/** Refusals in words: what was refused, why, and what to type next. */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { Decision, PolicyRef, Subject } from './decision.ts'
import type { Mismatch, PolicyInput } from './evaluate.ts'

type Deny = Extract<Decision, { kind: 'deny' }>

/** Longer lists do not fit into a Status that kubectl shows whole. */
const MAX_LISTED = 5

export function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_LISTED).join(', ')
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown
}

/** `AccessPolicy shop/web` or `ClusterAccessPolicy baseline`. */
export function policyName({ kind, namespace, name }: PolicyRef): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`
}

/** People as a policy names them: `group oncall, cy`. */
export function subjectNames(subjects: readonly Subject[]): string {
  const words = subjects.map(({ kind, name }) => (kind === 'Group' ? `group ${name}` : name))
  return listed([...new Set(words)])
}

function describeCommand({ kind, namespace, name }: PolicyRef): string {
  return kind === 'AccessPolicy'
    ? `kubectl describe apol ${name} -n ${namespace ?? ''}`
    : `kubectl describe capol ${name}`
}

/** `exec into shop/web-0 (container main)`. */
function action({ operation, namespace, pod, container }: PolicyInput): string {
  const verb = operation === 'Exec' ? 'exec into' : 'attach to'
  return `${verb} ${namespace.name}/${pod?.name ?? ''} (container ${container})`
}

export function deniedByPolicy(policy: CompiledPolicy, input: PolicyInput): Deny {
  const { ref } = policy
  return {
    kind: 'deny',
    id: 1001,
    policy: ref,
    message:
      `${action(input)} is denied by ${policyName(ref)}, which is about ` +
      `${subjectNames(policy.subjects)}. Read it: ${describeCommand(ref)}`,
  }
}

export function notReady(policy: CompiledPolicy, input: PolicyInput): Deny {
  const { ref, errors } = policy
  const [first] = errors
  const error = first === undefined ? '' : ` (${first.field} ${first.message})`
  return {
    kind: 'deny',
    id: 1003,
    policy: ref,
    message:
      `${action(input)} is refused, because ${policyName(ref)} matches but cannot be ` +
      `applied${error}. Its author has to mend it: ${describeCommand(ref)}`,
  }
}

const KEPT_BY: Record<Mismatch, (policy: CompiledPolicy) => string> = {
  namespace: () => 'is about other namespaces',
  subject: () => 'is about other people',
  operation: ({ operations }) => `is about ${operations.join(' and ')} only`,
  pod: () => 'is about pods with other labels',
  container: ({ containers }) => `is about the containers ${listed(containers)} only`,
}

export function notAllowed(
  input: PolicyInput,
  nearest: { policy: CompiledPolicy; why: Mismatch } | undefined,
): Deny {
  const { username, groups } = input.user
  const who = groups.length > 0 ? `${username} (groups: ${listed(groups)})` : username
  const hint =
    nearest === undefined
      ? ''
      : ` ${policyName(nearest.policy.ref)} comes closest, but ${KEPT_BY[nearest.why](nearest.policy)}.`
  return {
    kind: 'deny',
    id: 1002,
    message:
      `no policy allows ${who} to ${action(input)}, and what no policy allows is denied.${hint} ` +
      `See what is allowed: kubectl get apol -n ${input.namespace.name}`,
  }
}
