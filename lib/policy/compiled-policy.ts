/**
 * From an AccessPolicy or ClusterAccessPolicy to what evaluation needs.
 *
 * Never throws. What does not compile is kept as an error, and the part it stands in is taken in
 * the sense that refuses more: an unreadable selector selects everything, and evaluation refuses
 * whatever a policy with errors matches.
 */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../api/cluster-access-policy.generated.ts'
import {
  checkCombination,
  compileCopy,
  compileDebug,
  compileRecording,
  type CopyLimits,
  type DebugLimits,
} from './compile-limits.ts'
import { compileMatch, WHATEVER, type CompiledMatch } from './compile-match.ts'
import { compileApprovers, compileSubjects, EVERYBODY } from './compile-subjects.ts'
import type { MaskSpec, PolicyRef, PolicySubject, RecordingContent, Subject } from './decision.ts'
import { parseDuration } from './duration.ts'
import { compileSignIn, type SignInDemand } from './sign-in-demand.ts'

export interface FieldError {
  /** The exact place, such as `spec.masking.patterns[0].pattern`. */
  field: string
  message: string
}

export interface CompiledPolicy extends CompiledMatch {
  ref: PolicyRef
  effect: 'Allow' | 'Deny'
  subjects: PolicySubject[]
  /** Undefined: any sign-in. */
  signIn: SignInDemand | undefined
  approval: { approvers: Subject[]; waitMs: number; validForMs: number } | undefined
  masking: MaskSpec | undefined
  /** Of Copy; undefined: anything. */
  copy: CopyLimits | undefined
  /** Of Debug; there whenever the policy is about Debug. */
  debug: DebugLimits | undefined
  /** Undefined: what is usual for the operation. */
  content: RecordingContent | undefined
  errors: FieldError[]
}

export interface CompileContext {
  /** Of the policy's content; see policyDigest in lib/approval. */
  digest: string
  /**
   * Compiles the masks for a try, with the code that will run them, and tells what is wrong. The
   * field is relative to `spec.masking`, such as `patterns[0].pattern`, or empty.
   */
  checkMasking(masking: MaskSpec): FieldError | undefined
}

type Policy = AccessPolicy | ClusterAccessPolicy

const DEFAULT_WAIT_MS = 5 * 60_000
const DEFAULT_VALID_FOR_MS = 30 * 60_000

export function compilePolicy(object: Policy, context: CompileContext): CompiledPolicy {
  const ref = refOf(object, context.digest)
  const errors: FieldError[] = []
  try {
    return { ref, ...compileSpec(object, ref, context, errors), errors }
  } catch {
    // Not of the schema's shape at all, so from before or beside it. Refuse all that it could mean.
    errors.push({ field: 'spec', message: 'does not fit the schema of this version' })
    return {
      ref,
      effect: 'Deny',
      subjects: [EVERYBODY],
      ...WHATEVER,
      signIn: undefined,
      approval: undefined,
      masking: undefined,
      copy: undefined,
      debug: undefined,
      content: undefined,
      errors,
    }
  }
}

function refOf(object: Policy, digest: string): PolicyRef {
  const { name, namespace, uid = '' } = object.metadata
  return object.kind === 'AccessPolicy' && namespace !== undefined
    ? { kind: object.kind, namespace, name, uid, digest }
    : { kind: object.kind, name, uid, digest }
}

function compileSpec(
  object: Policy,
  ref: PolicyRef,
  context: CompileContext,
  errors: FieldError[],
): Omit<CompiledPolicy, 'ref' | 'errors'> {
  const { spec } = object
  const { effect = 'Allow' } = spec
  if (effect !== 'Allow' && effect !== 'Deny') {
    errors.push({ field: 'spec.effect', message: 'is neither Allow nor Deny' })
  }
  const match = compileMatch(object, errors)
  checkCombination(spec, spec.match.operations, errors)
  return {
    effect: effect === 'Allow' ? 'Allow' : 'Deny',
    subjects: compileSubjects(spec.subjects, ref, errors),
    ...match,
    signIn: compileSignIn(spec.signIn, errors),
    approval: compileApproval(spec.approval, errors),
    masking: compileMasking(spec.masking, context, errors),
    copy: compileCopy(spec.copy, errors),
    debug: compileDebug(spec.debug, match.operations),
    content: compileRecording(spec.recording, errors),
  }
}

function compileApproval(
  approval: AccessPolicy['spec']['approval'],
  errors: FieldError[],
): CompiledPolicy['approval'] {
  if (approval === undefined || approval.mode === 'Never') return undefined
  if (approval.mode !== 'Session') {
    errors.push({ field: 'spec.approval.mode', message: 'is neither Never nor Session' })
  }
  const approvers = compileApprovers(approval.approvers ?? [], errors)
  const duration = (field: 'wait' | 'validFor', fallback: number): number => {
    const text = approval[field]
    const ms = text === undefined ? fallback : parseDuration(text)
    if (ms !== undefined && ms > 0) return ms
    errors.push({ field: `spec.approval.${field}`, message: 'is not a duration such as 5m' })
    return fallback
  }
  return {
    approvers,
    waitMs: duration('wait', DEFAULT_WAIT_MS),
    validForMs: duration('validFor', DEFAULT_VALID_FOR_MS),
  }
}

function compileMasking(
  masking: AccessPolicy['spec']['masking'],
  context: CompileContext,
  errors: FieldError[],
): MaskSpec | undefined {
  if (masking === undefined) return undefined
  const spec: MaskSpec = {
    detectors: [...(masking.detectors ?? [])],
    patterns: (masking.patterns ?? []).map(({ name, pattern }) => ({ name, pattern })),
    mode: masking.mode ?? 'Redact',
  }
  const error = context.checkMasking(spec)
  if (error !== undefined) {
    const field = error.field === '' ? 'spec.masking' : `spec.masking.${error.field}`
    errors.push({ field, message: error.message })
  }
  return spec
}
