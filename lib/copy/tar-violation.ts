/** What came is no tar archive that can be read in one way only; `message` says where and why. */
export class TarViolation extends Error {
  override readonly name = 'TarViolation'
}

export function isTarViolation(error: unknown): error is TarViolation {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as { name?: unknown }).name === 'TarViolation'
  )
}
