/**
 * lib/policy decides what a request may do: policies and a request in, a decision out.
 *
 * May import: errors, api, streams. Pure: no node:, no packages, no clock, no randomness.
 */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { Decision, Obligations, Operation, PolicyRef, RecordingContent } from './decision.ts'
import type { DebugFacts } from '../api/debug-facts.ts'
import { debugObjection } from './debug-limits.ts'
import { beyondLimits, deniedByPolicy, notAllowed, notReady, otherSignIn } from './deny-message.ts'
import type { Labels } from './label-selector.ts'
import { mergeApproval, mergeContent, mergeCopy, mergeMasking } from './merge.ts'
import { mismatch, type Mismatch } from './mismatch.ts'
import { signInObjection, type SignInFacts } from './sign-in-demand.ts'

export { isAmong } from './mismatch.ts'

export interface PolicyInput {
  user: { username: string; groups: readonly string[]; signIn?: SignInFacts }
  /** ms since the epoch. Left out, no demand on the age of a sign-in is met. */
  now?: number
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

const MAX_PORT = 65_535

function sortKey({ ref }: CompiledPolicy): string {
  return `${ref.kind}/${ref.namespace ?? ''}/${ref.name}`
}

/** Makes the decision independent of the order in which policies arrive from the cache. */
function byName(a: CompiledPolicy, b: CompiledPolicy): number {
  return sortKey(a) < sortKey(b) ? -1 : 1
}

/** What the policies say about a request: I1, nothing said is a refusal. */
export function evaluate(input: PolicyInput): Decision {
  const matching = input.policies
    .filter((policy) => mismatch(policy, input) === undefined)
    .toSorted(byName)
  const decision =
    input.operation === 'PortForward' && input.port === undefined
      ? judgeOpening(matching, input)
      : judge(matching, input)
  return decision ?? notAllowed(input, nearest(input))
}

/**
 * Deny before Allow, broken before whole, and nothing at all is a refusal (I1). A broken Allow
 * refuses what it matches instead of merely not allowing it: it may have demanded approval or masks
 * on top of what other policies allow, and nobody can tell any more.
 *
 * @returns undefined where nothing matches.
 */
function judge(matching: CompiledPolicy[], input: PolicyInput): Decision | undefined {
  const denying = matching.find(({ effect, errors }) => effect === 'Deny' && errors.length === 0)
  if (denying !== undefined) return deniedByPolicy(denying, input)
  const broken = matching.find(({ errors }) => errors.length > 0)
  if (broken !== undefined) return notReady(broken, input)
  if (matching.length === 0) return undefined
  if (input.operation === 'Debug') {
    for (const policy of matching) {
      const objection = policy.debug && debugObjection(policy.debug, input.debug)
      if (objection !== undefined) return beyondLimits(policy, input, objection)
    }
  }
  const objection = signInObjection(matching, input.user.signIn, input.now)
  if (objection !== undefined) return otherSignIn(input, objection.policy, objection.words)
  return allowing(matching, matching, input)
}

/**
 * @param policies what allows it, and may demand approval
 * @param obliging whose other demands hold as well
 */
function allowing(
  policies: CompiledPolicy[],
  obliging: CompiledPolicy[],
  { operation }: PolicyInput,
): Decision {
  const refs: PolicyRef[] = policies.map(({ ref }) => ref)
  const obligations: Obligations = {
    masking: mergeMasking(obliging),
    content: mergeContent(obliging, CONTENT[operation]),
    copy: operation === 'Copy' ? mergeCopy(obliging) : undefined,
  }
  const approval = mergeApproval(policies)
  return approval === undefined
    ? { kind: 'allow', policies: refs, obligations }
    : { kind: 'requireApproval', policies: refs, obligations, approval }
}

/**
 * A port-forward is opened before anybody knows for which ports. It may be where some port may be
 * used: without approval if there is such a port, otherwise with the approval of all that ask for
 * one. Each connection is decided again, with its port.
 */
function judgeOpening(matching: CompiledPolicy[], input: PolicyInput): Decision | undefined {
  const outcomes = candidatePorts(matching).map((port) => {
    const policies = matching.filter(({ ports }) => ports.length === 0 || ports.includes(port))
    return { policies, decision: judge(policies, input) }
  })
  const obliging = matching.filter(
    ({ effect, errors }) => effect === 'Allow' && errors.length === 0,
  )
  for (const kind of ['allow', 'requireApproval'] as const) {
    const open = outcomes.filter(({ decision }) => decision?.kind === kind)
    if (open.length === 0) continue
    const counting = new Set(open.flatMap(({ policies }) => policies))
    const policies = matching.filter((policy) => counting.has(policy))
    return allowing(policies, obliging, input)
  }
  const refusals = outcomes.flatMap(({ decision }) => (decision?.kind === 'deny' ? [decision] : []))
  // Another sign-in is something that the person can do about it.
  return refusals.find(({ id }) => id === 1060) ?? refusals[0]
}

/** Every port that a policy lists, and one that stands for all others. */
function candidatePorts(policies: readonly CompiledPolicy[]): number[] {
  const ports = new Set(policies.flatMap((policy) => policy.ports))
  let other = 1
  while (ports.has(other)) other++
  return other > MAX_PORT ? [...ports] : [...ports, other]
}

/** From the first thing that is compared to the last. */
const CLOSENESS: readonly Mismatch[] = [
  'operation',
  'person',
  'serviceAccount',
  'node',
  'service',
  'pod',
  'container',
  'port',
]

/** The Allow policy for this very person that fits best, to say what keeps it from applying. */
export function nearest(input: PolicyInput): { policy: CompiledPolicy; why: Mismatch } | undefined {
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
