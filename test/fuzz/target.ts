/**
 * What is fuzzed. Each file of targets/ exports one `target`, and its corpus is the folder of the
 * same name in corpus/: `npm run fuzz` finds both by their names.
 */
import type * as fc from 'fast-check'

export interface Target {
  /** One line for --help. */
  about: string
  /** Beginnings of the paths whose code is looked at: an input that runs new code there is kept. */
  covers: readonly string[]
  maxBytes: number
  /** Inputs that are nearly right, so that the search does not start from noise. */
  inputs: fc.Arbitrary<Uint8Array>
  /** Throws, or rejects, when an invariant does not hold. Must not keep anything between two calls. */
  check(input: Uint8Array): void | Promise<void>
  /** Before the first input; an error here is no finding. */
  open?(): Promise<void>
  close?(): Promise<void>
}

/** `message` is a sentence about the invariant; what was seen goes into `seen`. */
export function broken(message: string, ...seen: unknown[]): Error {
  const details = seen.map((value) => `\n  ${JSON.stringify(value)?.slice(0, 2000) ?? 'undefined'}`)
  return new Error(message + details.join(''))
}
