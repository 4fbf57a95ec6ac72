/**
 * What the policies say of something that nobody does yet: for `kubectl auth can-i`. PURE.
 *
 * Of a pod that is named it is the decision itself. Of pods in general it is who would decide: each
 * policy that could allow it, for what, and under which demands.
 */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { Decision } from './decision.ts'
import { clipped, listed, notAllowed, policyName, subjectNames } from './deny-message.ts'
import { formatDuration } from './duration.ts'
import { evaluate, nearest, type PolicyInput } from './evaluate.ts'
import { isEmptySelector, type LabelSelector } from './label-selector.ts'
import { mismatch, type Mismatch } from './mismatch.ts'

export interface Explanation {
  /** `approval`: yes, once somebody has approved. */
  verdict: 'yes' | 'approval' | 'no'
  reason: string
}

/** Only who, what and where are known; a policy that is about some targets may apply. */
const OPEN: ReadonlySet<Mismatch> = new Set([
  'pod',
  'container',
  'port',
  'service',
  'node',
  'serviceAccount',
])

const MAX_POLICIES = 3

function selectorWords({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`)
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    const list = values.length === 0 ? '' : ` (${listed(values)})`
    return `${key} ${operator}${list}`
  })
  return listed([...labels, ...expressions].map(clipped))
}

function targetWords(policy: CompiledPolicy): string {
  const { podSelector, containers, ports, services, nodes, serviceAccounts } = policy
  const parts = [
    isEmptySelector(podSelector) ? '' : `pods with ${selectorWords(podSelector)}`,
    containers.length === 0 ? '' : `containers ${listed(containers)}`,
    ports.length === 0 ? '' : `ports ${listed(ports.map(String))}`,
    services.length === 0 ? '' : `services ${listed(services)}`,
    nodes.length === 0 ? '' : `nodes ${listed(nodes)}`,
    serviceAccounts.length === 0 ? '' : `service accounts ${listed(serviceAccounts)}`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : ` for ${parts.join(', ')}`
}

function demandWords({ approval, signIn }: CompiledPolicy): string {
  const approvers =
    approval === undefined ? '' : `, with approval by ${subjectNames(approval.approvers)}`
  const age = signIn?.maxAgeMs
  const fresh = age === undefined ? '' : `, with a sign-in within the last ${formatDuration(age)}`
  const way = signIn !== undefined && signIn.acr.length + signIn.amr.length > 0
  return `${fresh}${way ? ', with a sign-in made in a certain way' : ''}${approvers}`
}

function allows(policy: CompiledPolicy): string {
  return `${policyName(policy.ref)} allows it${targetWords(policy)}${demandWords(policy)}`
}

function together(policies: readonly CompiledPolicy[]): string {
  const told = policies.slice(0, MAX_POLICIES).map(allows)
  const more = policies.length - told.length
  const rest = more > 0 ? `; and ${more} more` : ''
  const all = policies.length > 1 ? '. Where several match, all of their demands hold' : ''
  return `${told.join('; ')}${rest}${all}`
}

/** Of a target that is known: the decision, in words. */
export function explainDecision(decision: Decision): Explanation {
  if (decision.kind === 'deny') return { verdict: 'no', reason: decision.message }
  const names = listed(decision.policies.map(policyName))
  if (decision.kind === 'allow') return { verdict: 'yes', reason: `allowed by ${names}` }
  const who = decision.approval.approvers.map(({ subjects }) => subjectNames(subjects))
  return {
    verdict: 'approval',
    reason: `allowed by ${names}, with approval by ${[...new Set(who)].join(', and by ')}`,
  }
}

/** @param input without a target: neither pod nor service nor node nor service account */
export function explainInGeneral(input: PolicyInput): Explanation {
  const whole = (policy: CompiledPolicy): boolean =>
    mismatch(policy, input) === undefined && targetWords(policy) === ''
  const refusing = input.policies.some(
    (policy) => (policy.effect === 'Deny' || policy.errors.length > 0) && whole(policy),
  )
  // Whatever the target, these speak first.
  if (refusing) return explainDecision(evaluate(input))
  const could = input.policies.filter((policy) => {
    const why = mismatch(policy, input)
    return (
      policy.effect === 'Allow' &&
      policy.errors.length === 0 &&
      (why === undefined || OPEN.has(why))
    )
  })
  if (could.length === 0) {
    return { verdict: 'no', reason: notAllowed(input, nearest(input)).message }
  }
  const isFree = could.some(({ approval }) => approval === undefined)
  return { verdict: isFree ? 'yes' : 'approval', reason: together(could) }
}
