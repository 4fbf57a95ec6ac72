/**
 * The one way to write a value as JSON, so that equal values have equal digests: RFC 8785 for
 * strings, booleans, integers, lists and objects, which is all that we digest.
 */
import { createHash } from 'node:crypto'

export type Canonical =
  | string
  | number
  | boolean
  | null
  | readonly Canonical[]
  | { readonly [key: string]: Canonical | undefined }

/** Keys in the order of their UTF-16 units (RFC 8785 section 3.2.3); undefined keys are left out. */
export function canonicalJson(value: Canonical): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([key, child]) =>
        child === undefined ? [] : `${JSON.stringify(key)}:${canonicalJson(child)}`,
      )
    return `{${members.join(',')}}`
  }
  return JSON.stringify(value)
}

export function sha256Digest(value: Canonical): string {
  return `sha256:${createHash('sha256').update(canonicalJson(value)).digest('hex')}`
}
