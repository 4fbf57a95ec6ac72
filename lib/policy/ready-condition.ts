/** What the gateway writes into a policy's status, for whoever applied it. */
import type { AccessPolicyCondition } from '../api/access-policy.generated.ts'
import type { CompiledPolicy } from './compiled-policy.ts'

const READY = 'Ready'

function wanted({
  errors,
}: CompiledPolicy): Pick<AccessPolicyCondition, 'status' | 'reason' | 'message'> {
  const [first] = errors
  if (first === undefined) {
    return { status: 'True', reason: 'Compiled', message: 'the gateway decides by this policy' }
  }
  const isPattern = /^spec\.masking\.patterns\b/.test(first.field)
  const text = errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
  return {
    status: 'False',
    reason: isPattern ? 'InvalidPattern' : 'InvalidField',
    message: `${text}. Until this is mended, what the policy matches is refused`,
  }
}

/**
 * The conditions to write, or undefined when those that are there already say so: every replica
 * comes to the same result, and only the first has to write it.
 */
export function readyConditions(
  policy: CompiledPolicy,
  generation: number,
  existing: readonly AccessPolicyCondition[],
  now: Date,
): AccessPolicyCondition[] | undefined {
  const next = wanted(policy)
  const previous = existing.find(({ type }) => type === READY)
  if (
    previous !== undefined &&
    previous.observedGeneration === generation &&
    previous.status === next.status &&
    previous.reason === next.reason &&
    previous.message === next.message
  ) {
    return undefined
  }
  const lastTransitionTime =
    previous?.status === next.status
      ? previous.lastTransitionTime
      : now.toISOString().replace(/\.\d+Z$/, 'Z')
  return [
    ...existing.filter(({ type }) => type !== READY),
    { type: READY, ...next, observedGeneration: generation, lastTransitionTime },
  ]
}
