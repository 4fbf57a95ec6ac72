/** The peer broke the protocol; carries the status its GOAWAY is to say. */
import { GoAwayStatus } from './constants.ts'

export class SpdyViolation extends Error {
  override readonly name = 'SpdyViolation'
  readonly goAwayStatus: GoAwayStatus = GoAwayStatus.PROTOCOL_ERROR
}

export function isSpdyViolation(error: unknown): error is SpdyViolation {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as { name?: unknown }).name === 'SpdyViolation'
  )
}
