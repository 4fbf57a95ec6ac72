/** Refusals in words: what was refused, why, and what to type next. */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { Decision, PolicyRef, PolicySubject } from './decision.ts'
import type { PolicyInput } from './evaluate.ts'
import type { Mismatch } from './mismatch.ts'

type Deny = Extract<Decision, { kind: 'deny' }>

/** Longer lists do not fit into a Status that kubectl shows whole. */
const MAX_LISTED = 5

/** Images and names of people may be of any length. */
const MAX_NAME = 80

export function clipped(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME)}…`
}

export function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_LISTED).join(', ')
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown
}

/** `AccessPolicy shop/web` or `ClusterAccessPolicy baseline`. */
export function policyName({ kind, namespace, name }: PolicyRef): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`
}

/** As a policy names them: `group oncall, cy, service account ci/deployer`. */
export function subjectNames(subjects: readonly PolicySubject[]): string {
  const words = subjects.map((subject) => {
    const { kind, name } = subject
    if (kind === 'ServiceAccount') return `service account ${subject.namespace}/${name}`
    return kind === 'Group' ? `group ${name}` : name
  })
  return listed([...new Set(words)])
}

function describeCommand({ kind, namespace, name }: PolicyRef): string {
  return kind === 'AccessPolicy'
    ? `kubectl describe apol ${name} -n ${namespace ?? ''}`
    : `kubectl describe capol ${name}`
}

type Described = Pick<
  PolicyInput,
  'operation' | 'port' | 'service' | 'node' | 'serviceAccount' | 'impersonate' | 'container'
> & { namespace: { name: string }; pod: { name: string } | undefined }

function whom({ impersonate }: Described): string {
  const { user = 'somebody else', groups = [] } = impersonate ?? {}
  const named = clipped(user)
  return groups.length === 0 ? named : `${named} (groups: ${listed(groups.map(clipped))})`
}

/** What is asked for: `exec into shop/web-0 (container main)`, `mint tokens for …`. */
function action(input: Described): string {
  const { operation, namespace, pod, container, port, service, node, serviceAccount } = input
  const inside = container === '' ? '' : ` (container ${container})`
  const place = pod === undefined ? `namespace ${namespace.name}` : `${namespace.name}/${pod.name}`
  switch (operation) {
    case 'Exec':
      return `exec into ${place}${inside}`
    case 'Attach':
      return `attach to ${place}${inside}`
    case 'PortForward':
      return port === undefined ? `forward ports of ${place}` : `forward port ${port} of ${place}`
    case 'Logs':
      return `read logs of ${place}${inside}`
    case 'Copy':
      return `copy files from or to ${place}${inside}`
    case 'Debug':
      return `debug ${place}${inside}`
    case 'Proxy': {
      const what =
        pod !== undefined
          ? `pod ${place}`
          : node !== undefined
            ? `node ${node}`
            : `service ${namespace.name}/${service ?? ''}`
      return `use the proxy of ${what}${port === undefined ? '' : ` port ${port}`}`
    }
    case 'TokenRequest':
      return `mint tokens for service account ${namespace.name}/${serviceAccount ?? ''}`
    case 'Impersonate':
      return `act as ${whom(input)}`
  }
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

export function beyondLimits(policy: CompiledPolicy, input: PolicyInput, objection: string): Deny {
  const { ref } = policy
  return {
    kind: 'deny',
    id: 1034,
    policy: ref,
    message:
      `${action(input)} is refused by ${policyName(ref)}: ${objection}, or ask its author. ` +
      `Read it: ${describeCommand(ref)}`,
  }
}

export function otherSignIn(input: PolicyInput, policy: PolicyRef, words: string): Deny {
  const message = `${action(input)} is not allowed with this sign-in by ${words}`
  return { kind: 'deny', id: 1060, policy, message }
}

function only(what: string, names: readonly (string | number)[]): string {
  return names.length === 0
    ? `names no ${what}`
    : `is about the ${what} ${listed(names.map(String).map(clipped))} only`
}

function otherPods({ proxiesPods }: CompiledPolicy, { operation, pod }: PolicyInput): string {
  if (pod === undefined) return 'is about pods only'
  if (operation === 'Proxy' && !proxiesPods) return 'is about the proxy of services or nodes'
  return 'is about pods with other labels'
}

function otherPeople({ impersonate }: CompiledPolicy): string {
  const { users = [], groups = [] } = impersonate ?? {}
  const inGroups =
    groups.length === 0 ? 'without groups' : `in groups ${listed(groups.map(clipped))}`
  return `is about acting as ${listed(users.map(clipped))} ${inGroups} only`
}

const KEPT_BY: Record<Mismatch, (policy: CompiledPolicy, input: PolicyInput) => string> = {
  namespace: () => 'is about other namespaces',
  subject: () => 'is about other people',
  operation: ({ operations }) => `is about ${operations.join(' and ')} only`,
  person: otherPeople,
  serviceAccount: ({ serviceAccounts }) => only('service accounts', serviceAccounts),
  node: ({ nodes }) => only('nodes', nodes),
  service: ({ services }) => only('services', services),
  pod: otherPods,
  container: ({ containers }) => only('containers', containers),
  port: ({ ports }) => only('ports', ports),
}

function listCommand({ namespace }: PolicyInput): string {
  return namespace.name === '' ? 'kubectl get capol' : `kubectl get apol -n ${namespace.name}`
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
      : ` ${policyName(nearest.policy.ref)} comes closest, but ${KEPT_BY[nearest.why](nearest.policy, input)}.`
  return {
    kind: 'deny',
    id: 1002,
    message:
      `no policy allows ${who} to ${action(input)}, and what no policy allows is denied.${hint} ` +
      `See what is allowed: ${listCommand(input)}`,
  }
}
