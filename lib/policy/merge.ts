/**
 * All matching Allow policies speak at once, and the strictest of them wins in every respect. So a
 * policy can add to what another one demands, never take away from it.
 */
import type { CompiledPolicy } from './compiled-policy.ts'
import type { CopyRules } from '../api/copy-rules.ts'
import type { ApprovalDemand, ApproverSet, MaskSpec, RecordingContent } from './decision.ts'

/** Approval when any policy demands it: from each policy's own people, within the shortest times. */
export function mergeApproval(policies: CompiledPolicy[]): ApprovalDemand | undefined {
  const approvers: ApproverSet[] = []
  let waitMs = Number.POSITIVE_INFINITY
  let validForMs = Number.POSITIVE_INFINITY
  for (const { ref, approval } of policies) {
    if (approval === undefined) continue
    approvers.push({ policy: ref, subjects: approval.approvers })
    waitMs = Math.min(waitMs, approval.waitMs)
    validForMs = Math.min(validForMs, approval.validForMs)
  }
  return approvers.length === 0 ? undefined : { approvers, waitMs, validForMs }
}

/** Every detector and every pattern that any policy names. */
export function mergeMasking(policies: CompiledPolicy[]): MaskSpec | undefined {
  const masks = policies.flatMap(({ masking }) => masking ?? [])
  if (masks.length === 0) return undefined
  const detectors = new Set(masks.flatMap((mask) => mask.detectors))
  const patterns = new Map<string, string>()
  for (const { name, pattern } of masks.flatMap((mask) => mask.patterns)) {
    patterns.set(freeName(patterns, name, pattern), pattern)
  }
  return {
    detectors: [...detectors].toSorted(),
    patterns: Array.from(patterns, ([name, pattern]) => ({ name, pattern })),
    mode: 'Redact',
  }
}

/** Two policies may give one name to two patterns; both apply, and counts tell them apart. */
function freeName(taken: Map<string, string>, name: string, pattern: string): string {
  let free = name
  for (let n = 2; taken.has(free) && taken.get(free) !== pattern; n++) free = `${name}-${n}`
  return free
}

/** Full when any policy says so, otherwise Digest when any does. */
export function mergeContent(
  policies: readonly CompiledPolicy[],
  usual: RecordingContent,
): RecordingContent {
  const named = new Set(policies.map(({ content }) => content))
  if (named.has('Full')) return 'Full'
  return named.has('Digest') ? 'Digest' : usual
}

/** What all policies let through; undefined when none has a limit. */
export function mergeCopy(policies: readonly CompiledPolicy[]): CopyRules | undefined {
  const limits = policies.flatMap(({ copy }) => copy ?? [])
  const [first] = limits
  if (first === undefined) return undefined
  const sizes = limits.flatMap(({ maxBytes }) => maxBytes ?? [])
  return {
    directions: first.directions.filter((direction) =>
      limits.every(({ directions }) => directions.includes(direction)),
    ),
    pathSets: limits.flatMap(({ paths }) => (paths === undefined ? [] : [[...paths]])),
    maxBytes: sizes.length === 0 ? undefined : Math.min(...sizes),
    maskText: limits.some(({ maskText }) => maskText),
  }
}
