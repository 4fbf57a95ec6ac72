/** Compiled masks by what they say: sessions of one policy share them. */
import { GatewayError } from '../errors/gateway-error.ts'
import { compileMaskRules, type CompiledMaskRules } from '../masking/masker.ts'
import type { FieldError } from '../policy/compiled-policy.ts'
import type { MaskSpec } from '../policy/decision.ts'

export interface MaskRules {
  compile(spec: MaskSpec | undefined): CompiledMaskRules
  /** What is wrong with a spec, or undefined. The field is relative to `spec.masking`. */
  check(spec: MaskSpec): FieldError | undefined
}

const NOTHING: MaskSpec = { detectors: [], patterns: [], mode: 'Redact' }
const MAX_KEPT = 500

export function createMaskRules(): MaskRules {
  const kept = new Map<string, CompiledMaskRules>()

  function compile(spec: MaskSpec = NOTHING): CompiledMaskRules {
    const key = JSON.stringify([spec.detectors, spec.patterns, spec.mode])
    const known = kept.get(key)
    if (known !== undefined) return known
    const rules = compileMaskRules(spec)
    if (kept.size >= MAX_KEPT) kept.clear()
    kept.set(key, rules)
    return rules
  }

  return {
    compile,
    check(spec) {
      try {
        compile(spec)
        return undefined
      } catch (error) {
        if (!GatewayError.is(error)) throw error
        const [cause] = error.causes
        const field = (cause?.field ?? '').replace(/^masking\.?/, '')
        return { field, message: cause?.message ?? error.message }
      }
    },
  }
}
