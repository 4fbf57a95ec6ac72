/**
 * From the parts of a policy that limit what it allows to what evaluation needs. Like all of
 * compilePolicy: what cannot be read is an error, and is taken in the sense that refuses more.
 */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { Operation } from '../api/operation.ts'
import type { FieldError } from './compiled-policy.ts'
import type { RecordingContent } from './decision.ts'

export interface CopyLimits {
  directions: ('Download' | 'Upload')[]
  /** Globs; undefined: any path. */
  paths: string[] | undefined
  maxBytes: number | undefined
  maskText: boolean
}

export interface DebugLimits {
  /** Globs; empty: any image. */
  images: string[]
  /** Without `CAP_`; `ALL` stands for each. */
  capabilities: string[]
  privileged: boolean
}

type Spec = AccessPolicy['spec']

const DIRECTIONS: CopyLimits['directions'] = ['Download', 'Upload']

/** What the profile `general` of kubectl debug adds (k8s.io/kubectl pkg/cmd/debug/profiles.go). */
const CAPABILITIES = ['SYS_PTRACE']

const UNIT_BYTES: Record<string, number> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 }

/** Bytes, or undefined when the text is no such quantity: `100Mi`, `4096`. */
export function parseBytes(text: string): number | undefined {
  const [, count, unit] = /^([0-9]+)(Ki|Mi|Gi)?$/.exec(text) ?? []
  if (count === undefined) return undefined
  const bytes = Number(count) * (UNIT_BYTES[unit ?? ''] ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

export function compileCopy(copy: Spec['copy'], errors: FieldError[]): CopyLimits | undefined {
  if (copy === undefined) return undefined
  const named: readonly string[] = copy.directions ?? DIRECTIONS
  const directions = DIRECTIONS.filter((direction) => named.includes(direction))
  if (directions.length < named.length) {
    errors.push({ field: 'spec.copy.directions', message: 'are Download and Upload' })
  }
  const paths = copy.paths === undefined ? undefined : [...copy.paths]
  if (paths?.some((path) => !path.startsWith('/')) === true) {
    errors.push({ field: 'spec.copy.paths', message: 'begin with a slash' })
  }
  const maxBytes = copy.maxBytes === undefined ? undefined : parseBytes(copy.maxBytes)
  if (copy.maxBytes !== undefined && maxBytes === undefined) {
    errors.push({ field: 'spec.copy.maxBytes', message: 'is not a number of bytes such as 100Mi' })
  }
  return { directions, paths, maxBytes, maskText: copy.maskText === true }
}

/** A policy that allows Debug and says no more is one that allows nothing special. */
export function compileDebug(
  debug: Spec['debug'],
  operations: Operation[],
): DebugLimits | undefined {
  if (!operations.includes('Debug')) return undefined
  return {
    images: [...(debug?.images ?? [])],
    capabilities: [...(debug?.capabilities ?? CAPABILITIES)],
    privileged: debug?.privileged === true,
  }
}

export function compileRecording(
  recording: Spec['recording'],
  errors: FieldError[],
): RecordingContent | undefined {
  if (recording === undefined) return undefined
  const { content } = recording
  if (content !== 'Full' && content !== 'Digest') {
    errors.push({ field: 'spec.recording.content', message: 'is neither Full nor Digest' })
    return 'Full'
  }
  return content
}

const UNMASKABLE: readonly Operation[] = ['PortForward', 'Proxy', 'TokenRequest', 'Impersonate']

type Limits = Pick<Spec, 'masking' | 'approval' | 'copy' | 'debug'>

/** Parts that are fine by themselves and do not go together. The CRD refuses the same. */
export function checkCombination(
  spec: Limits,
  operations: readonly string[],
  errors: FieldError[],
): void {
  const { masking, approval, copy, debug } = spec
  const unmaskable = UNMASKABLE.filter((operation) => operations.includes(operation))
  if (masking !== undefined && unmaskable.length > 0) {
    errors.push({ field: 'spec.masking', message: `cannot mask ${unmaskable.join(', ')}` })
  }
  if (approval?.mode === 'Session' && operations.includes('Impersonate')) {
    errors.push({ field: 'spec.approval', message: 'cannot be waited for by Impersonate' })
  }
  if (copy !== undefined && !operations.includes('Copy')) {
    errors.push({ field: 'spec.copy', message: 'is about Copy, which operations do not name' })
  }
  if (copy?.maskText === true && masking === undefined) {
    errors.push({ field: 'spec.copy.maskText', message: 'needs masking' })
  }
  if (debug !== undefined && !operations.includes('Debug')) {
    errors.push({ field: 'spec.debug', message: 'is about Debug, which operations do not name' })
  }
}
