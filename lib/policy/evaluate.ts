/**
 * lib/policy decides what a request may do: policies and a request in, a decision out.
 *
 * May import: errors, api, streams. Pure: no node:, no packages, no clock, no randomness.
 */
import type { CompiledPolicy } from './compiled-policy.ts'
import type {
  Decision,
  Obligations,
  Operation,
  PolicyRef,
  RecordingContent,
  Subject,
} from './decision.ts'
import { deniedByPolicy, notAllowed, notReady } from './deny-message.ts'
import type { DebugFacts } from '../api/debug-facts.ts'
import { matchesGlob } from './glob.ts'
import { matchesLabels, type Labels } from './label-selector.ts'
import { mergeApproval, mergeMasking } from './merge.ts'

export interface PolicyInput {
  user: { username: string; groups: readonly string[] }
  operation: Operation
  namespace: { name: string; labels: Labels }
  /** Undefined where it is about no pod: services, nodes, service accounts, other people. */
  pod: { name: string; labels: Labels } | undefined
  /** Empty where it is about no container. */
  container: string
  /** Of Proxy, and of one connection of PortForward; undefined when a port-forward is opened. */
  port?: number
  service?: string
  node?: string
  serviceAccount?: string
  /** Whom the person wants to act as. */
  impersonate?: { user: string; groups: readonly string[] }
  debug?: DebugFacts
  /** All policies of the cluster; those of other namespaces are left aside here. */
  policies: readonly CompiledPolicy[]
}

/** The first thing about a request that a policy is not meant for. */
export type Mismatch = 'namespace' | 'subject' | 'operation' | 'pod' | 'container'

/** What is kept where no policy says: of bulk transfers only how much it was and its digest. */
const CONTENT: Readonly<Record<Operation, RecordingContent>> = {
  Exec: 'Full',
  Attach: 'Full',
  Debug: 'Full',
  PortForward: 'Digest',
  Logs: 'Digest',
  Copy: 'Digest',
  Proxy: 'Digest',
  TokenRequest: 'Digest',
  Impersonate: 'Digest',
}

/** The API server puts everybody who proved who they are into this group, so we do too. */
const EVERYBODY = 'system:authenticated'

export function isAmong(
  subjects: readonly Subject[],
  user: { username: string; groups: readonly string[] },
): boolean {
  return subjects.some(({ kind, name }) => {
    if (kind === 'User') return name === user.username
    return kind === 'Group' && (name === EVERYBODY || user.groups.includes(name))
  })
}

/** Why a policy does not apply to a request, or undefined when it does. */
export function mismatch(policy: CompiledPolicy, input: PolicyInput): Mismatch | undefined {
  const { kind, namespace } = policy.ref
  if (kind === 'AccessPolicy' && namespace !== input.namespace.name) return 'namespace'
  if (!matchesLabels(policy.namespaceSelector, input.namespace.labels)) return 'namespace'
  if (!isAmong(policy.subjects, input.user)) return 'subject'
  if (!policy.operations.includes(input.operation)) return 'operation'
  if (!matchesLabels(policy.podSelector, input.pod?.labels ?? {})) return 'pod'
  const { containers } = policy
  if (containers.length > 0 && !containers.some((glob) => matchesGlob(glob, input.container))) {
    return 'container'
  }
  return undefined
}

function sortKey({ ref }: CompiledPolicy): string {
  return `${ref.kind}/${ref.namespace ?? ''}/${ref.name}`
}

/** Makes the decision independent of the order in which policies arrive from the cache. */
function byName(a: CompiledPolicy, b: CompiledPolicy): number {
  return sortKey(a) < sortKey(b) ? -1 : 1
}

/**
 * Deny before Allow, broken before whole, and nothing at all is a refusal (I1). A broken Allow
 * refuses what it matches instead of merely not allowing it: it may have demanded approval or masks
 * on top of what other policies allow, and nobody can tell any more.
 */
export function evaluate(input: PolicyInput): Decision {
  const matching = input.policies
    .filter((policy) => mismatch(policy, input) === undefined)
    .toSorted(byName)
  const denying = matching.find(({ effect, errors }) => effect === 'Deny' && errors.length === 0)
  if (denying !== undefined) return deniedByPolicy(denying, input)
  const broken = matching.find(({ errors }) => errors.length > 0)
  if (broken !== undefined) return notReady(broken, input)
  if (matching.length === 0) return notAllowed(input, nearest(input))

  const policies: PolicyRef[] = matching.map(({ ref }) => ref)
  const obligations: Obligations = {
    masking: mergeMasking(matching),
    content: CONTENT[input.operation],
    copy: undefined,
  }
  const approval = mergeApproval(matching)
  return approval === undefined
    ? { kind: 'allow', policies, obligations }
    : { kind: 'requireApproval', policies, obligations, approval }
}

const CLOSENESS: readonly Mismatch[] = ['operation', 'pod', 'container']

/** The Allow policy for this very person that fits best, to say what keeps it from applying. */
function nearest(input: PolicyInput): { policy: CompiledPolicy; why: Mismatch } | undefined {
  let best: { policy: CompiledPolicy; why: Mismatch } | undefined
  for (const policy of input.policies.toSorted(byName)) {
    const why = policy.effect === 'Allow' ? mismatch(policy, input) : undefined
    if (why === undefined || !CLOSENESS.includes(why)) continue
    if (best === undefined || CLOSENESS.indexOf(why) > CLOSENESS.indexOf(best.why)) {
      best = { policy, why }
    }
  }
  return best
}
