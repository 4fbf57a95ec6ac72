/** From a policy's `masking` field to tables: the detectors by name and the patterns compiled. */
import { RE2JS } from 're2js'

import { GatewayError, errorText } from '../errors/gateway-error.ts'
import type { LinePattern } from './line-patterns.ts'
import { DETECTORS, type ScanPlan, planScan } from './scan-plan.ts'

/** Longer ones are no patterns for a line any more, and cost memory in every session. */
export const MAX_PATTERN_LENGTH = 1000

export interface MaskPattern {
  readonly name: string
  readonly pattern: string
}

/** The `masking` field of a policy. */
export interface MaskSpec {
  readonly detectors?: readonly string[] | undefined
  readonly patterns?: readonly MaskPattern[] | undefined
  readonly mode?: 'Redact' | undefined
}

export interface CompiledMaskRules {
  /** What is counted: the detectors, then the patterns' names. */
  readonly names: readonly string[]
  readonly plan: ScanPlan
  readonly patterns: readonly LinePattern[]
  /** False when there is nothing to look for. */
  readonly active: boolean
}

function invalid(field: string, problem: string, cause?: unknown): GatewayError {
  return new GatewayError('Invalid', `${field}: ${problem}`, {
    causes: [{ reason: 'FieldValueInvalid', field, message: problem }],
    cause,
  })
}

/** Throws GatewayError Invalid, naming the field and what to write instead. */
export function compileMaskRules(spec: MaskSpec): CompiledMaskRules {
  if (spec.mode !== undefined && spec.mode !== 'Redact') {
    throw invalid('masking.mode', `${JSON.stringify(spec.mode)} is not known; use Redact`)
  }
  const detectors = new Set<string>()
  for (const [i, name] of (spec.detectors ?? []).entries()) {
    if (!DETECTORS.some((known) => known === name)) {
      const known = DETECTORS.join(', ')
      throw invalid(
        `masking.detectors[${i}]`,
        `${JSON.stringify(name)} is no detector; use one of ${known}`,
      )
    }
    detectors.add(name)
  }
  const names: string[] = [...DETECTORS]
  const patterns = unique(spec.patterns ?? []).map(([i, { name, pattern }]): LinePattern => {
    if (name === '') throw invalid(`masking.patterns[${i}].name`, 'is empty; name what it finds')
    if (DETECTORS.some((known) => known === name)) {
      throw invalid(
        `masking.patterns[${i}].name`,
        `"${name}" is a detector's name; choose another, counts are kept by name`,
      )
    }
    if (!names.includes(name)) names.push(name)
    return {
      rule: names.indexOf(name),
      regex: compilePattern(`masking.patterns[${i}].pattern`, pattern),
    }
  })
  return {
    names,
    plan: planScan(detectors),
    patterns,
    active: detectors.size > 0 || patterns.length > 0,
  }
}

function unique(patterns: readonly MaskPattern[]): [number, MaskPattern][] {
  const seen = new Set<string>()
  return [...patterns.entries()].filter(([, { name, pattern }]) => {
    const key = JSON.stringify([name, pattern])
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

function compilePattern(field: string, pattern: string): RE2JS {
  if (pattern === '') throw invalid(field, 'is empty; write what to mask, in RE2 syntax')
  if (pattern.length > MAX_PATTERN_LENGTH) {
    throw invalid(field, `is longer than ${MAX_PATTERN_LENGTH} characters; split it into several`)
  }
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    throw invalid(field, `${errorText(error)}; ${advice(pattern)}`, error)
  }
}

/** RE2 leaves out what cannot run in linear time; the words for what people miss most. */
function advice(pattern: string): string {
  if (/\(\?<?[=!]/.test(pattern)) {
    return 'RE2 has no look-ahead or look-behind: match the neighbours as well, or use \\b'
  }
  if (/\\[1-9]|\\k</.test(pattern)) {
    return 'RE2 has no back-references: write out what may repeat'
  }
  if (/\(\?>|[*+?}]\+/.test(pattern)) {
    return 'RE2 has no possessive or atomic groups, and needs none: use the plain group'
  }
  return 'the syntax is RE2, see https://github.com/google/re2/wiki/Syntax'
}

/** Several policies on one session: everything that any of them masks. */
export function mergeMaskSpecs(specs: readonly MaskSpec[]): MaskSpec {
  const detectors = new Set(specs.flatMap((spec) => spec.detectors ?? []))
  const patterns = unique(specs.flatMap((spec) => spec.patterns ?? [])).map(([, entry]) => entry)
  return { detectors: [...detectors], patterns, mode: 'Redact' }
}
