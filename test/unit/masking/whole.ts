/** Shared by the masking tests: rules, whole-stream masking, and the « » notation of the samples. */
import {
  type CompiledMaskRules,
  type MaskPattern,
  type Masker,
  compileMaskRules,
  createMasker,
} from '../../../lib/masking/masker.ts'

export const ALL_DETECTORS: readonly string[] = [
  'Email',
  'Phone',
  'CreditCard',
  'Iban',
  'IpAddress',
]

export function rulesFor(
  detectors: readonly string[],
  patterns: readonly MaskPattern[] = [],
): CompiledMaskRules {
  return compileMaskRules({ detectors, patterns, mode: 'Redact' })
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

/** Pushes the parts of `input` between `cuts`, and the end. */
export function maskCut(masker: Masker, input: Uint8Array, cuts: readonly number[]): Uint8Array {
  const edges = [0, ...[...cuts].sort((left, right) => left - right), input.length]
  const out: Uint8Array[] = []
  for (let k = 0; k + 1 < edges.length; k += 1) {
    out.push(...masker.push(input.subarray(edges[k], edges[k + 1])))
  }
  out.push(...masker.end())
  return concat(out)
}

export function wholeMask(
  rules: CompiledMaskRules,
  input: Uint8Array,
): { output: Uint8Array; counts: ReadonlyMap<string, number> } {
  const masker = createMasker(rules)
  const output = maskCut(masker, input, [])
  return { output, counts: masker.counts }
}

export function maskText(rules: CompiledMaskRules, text: string): string {
  return textOf(wholeMask(rules, bytesOf(text)).output)
}

export function stripped(sample: string): string {
  return sample.replaceAll(/[«»]/g, '')
}

export function starred(sample: string): string {
  return sample.replaceAll(/«([^»]*)»/g, (_, value: string) => '*'.repeat(Array.from(value).length))
}
