/** Whether a policy is about a request, and if not, why not. */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { PolicySubject } from './decision.ts'
import type { PolicyInput } from './evaluate.ts'
import { matchesGlob } from './glob.ts'
import { isEmptySelector, matchesLabels } from './label-selector.ts'

/** The first thing about a request that a policy is not meant for. */
export type Mismatch =
  | 'namespace'
  | 'subject'
  | 'operation'
  | 'person'
  | 'serviceAccount'
  | 'node'
  | 'service'
  | 'pod'
  | 'container'
  | 'port'

/** The API server puts everybody who proved who they are into this group, so we do too. */
const EVERYBODY = 'system:authenticated'

export function isAmong(
  subjects: readonly PolicySubject[],
  user: { username: string; groups: readonly string[] },
): boolean {
  return subjects.some((subject) => {
    const { kind, name } = subject
    if (kind === 'User') return name === user.username
    if (kind === 'Group') return name === EVERYBODY || user.groups.includes(name)
    return (
      kind === 'ServiceAccount' &&
      user.username === `system:serviceaccount:${subject.namespace}:${name}`
    )
  })
}

function matchesAny(globs: readonly string[], name: string | undefined): boolean {
  return name !== undefined && globs.some((glob) => matchesGlob(glob, name))
}

/** A policy that refuses has to reach further than one that allows where something is unclear. */
function refuses({ effect, errors }: CompiledPolicy): boolean {
  return effect === 'Deny' || errors.length > 0
}

/** Why a policy does not apply to a request, or undefined when it does. */
export function mismatch(policy: CompiledPolicy, input: PolicyInput): Mismatch | undefined {
  if (!matchesNamespace(policy, input.namespace)) return 'namespace'
  if (!isAmong(policy.subjects, input.user)) return 'subject'
  if (!policy.operations.includes(input.operation)) return 'operation'
  return mismatchOfTarget(policy, input) ?? (matchesPort(policy, input) ? undefined : 'port')
}

/** What is in no namespace has no labels either, and NotIn would hold for it. */
function matchesNamespace(
  { ref, namespaceSelector }: CompiledPolicy,
  { name, labels }: PolicyInput['namespace'],
): boolean {
  if (ref.kind === 'AccessPolicy' && (name === '' || ref.namespace !== name)) return false
  return name === '' ? isEmptySelector(namespaceSelector) : matchesLabels(namespaceSelector, labels)
}

/** Services, nodes, service accounts and people are never meant by a policy that names none. */
function mismatchOfTarget(policy: CompiledPolicy, input: PolicyInput): Mismatch | undefined {
  const { operation, pod, service, node, serviceAccount, container } = input
  if (operation === 'Impersonate' && !matchesPerson(policy, input.impersonate)) return 'person'
  if (operation === 'TokenRequest' && !matchesAny(policy.serviceAccounts, serviceAccount)) {
    return 'serviceAccount'
  }
  if (operation === 'Proxy' && pod === undefined) {
    const isNode = node !== undefined
    if (isNode && !matchesAny(policy.nodes, node)) return 'node'
    if (!isNode && !matchesAny(policy.services, service)) return 'service'
  }
  if (pod === undefined) return isEmptySelector(policy.podSelector) ? undefined : 'pod'
  if (operation === 'Proxy' && !policy.proxiesPods) return 'pod'
  if (!matchesLabels(policy.podSelector, pod.labels)) return 'pod'
  const { containers } = policy
  const isNamed = containers.length === 0 || container === '' || matchesAny(containers, container)
  return isNamed ? undefined : 'container'
}

/** Allow: the user and each group. Deny: the user, and any group where the policy names groups. */
function matchesPerson(policy: CompiledPolicy, person: PolicyInput['impersonate']): boolean {
  const { impersonate } = policy
  if (person === undefined || impersonate === undefined) return false
  if (!matchesAny(impersonate.users, person.user)) return false
  const isNamed = (group: string): boolean => matchesAny(impersonate.groups, group)
  if (!refuses(policy)) return person.groups.every(isNamed)
  return impersonate.groups.length === 0 || person.groups.some(isNamed)
}

/** Without a port: a port-forward that is being opened, or a port with a name nobody looked up. */
function matchesPort(policy: CompiledPolicy, { operation, port }: PolicyInput): boolean {
  if (operation !== 'PortForward' && operation !== 'Proxy') return true
  if (policy.ports.length === 0) return true
  if (port === undefined) return operation === 'PortForward' || refuses(policy)
  return policy.ports.includes(port)
}
