/**
 * What the error stream says at the end of a session. PURE.
 *
 * Protocol v4 and v5 carry one JSON `metav1.Status` there; an empty stream is
 * success, anything else that cannot be read is told apart and never taken for
 * success (invariant I10).
 * Source: k8s.io/client-go tools/remotecommand/v4.go (errorDecoderV4).
 * May import: errors.
 */
import type { Status, StatusCause } from '../errors/status.ts'

/** `metav1.Status.reason` of a command that ended with another code than 0. */
export const NON_ZERO_EXIT_CODE = 'NonZeroExitCode'
/** Reason of the cause that holds the code. */
export const EXIT_CODE_CAUSE = 'ExitCode'

/** A Status with a message is some hundred bytes; more is no Status. */
export const MAX_ERROR_STREAM_BYTES: number = 64 * 1024

export type ExitStatus =
  | { kind: 'success' }
  /** The command ran and ended by itself with `code`. */
  | { kind: 'exit'; code: number; message: string }
  /** The server could not run it or could not tell how it ended. */
  | { kind: 'failure'; status: Status }
  | { kind: 'unparseable'; detail: string }

/** Exit codes are 8 bit: client-go parses them with `ParseUint(message, 10, 8)`. */
const DECIMAL = /^\d{1,20}$/
const MAX_EXIT_CODE = 255

/** Reads everything that came on the error stream before its end. */
export function parseErrorStream(bytes: Uint8Array): ExitStatus {
  if (bytes.length === 0) return { kind: 'success' }
  if (bytes.length > MAX_ERROR_STREAM_BYTES) {
    return { kind: 'unparseable', detail: `error stream of ${bytes.length} bytes` }
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return { kind: 'unparseable', detail: 'the error stream holds no JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { kind: 'unparseable', detail: 'the error stream holds no Status' }
  }
  return exitStatusOf(value)
}

function exitStatusOf(value: object): ExitStatus {
  const { status, reason } = value as { status?: unknown; reason?: unknown }
  if (status === 'Success') return { kind: 'success' }
  if (status !== 'Failure') {
    return { kind: 'unparseable', detail: 'the Status is neither Success nor Failure' }
  }
  if (reason === NON_ZERO_EXIT_CODE) return exitCodeOf(value)
  return { kind: 'failure', status: failureOf(value) }
}

function exitCodeOf(value: object): ExitStatus {
  const cause = causesOf(value).find((entry) => entry.reason === EXIT_CODE_CAUSE)
  if (cause === undefined) {
    return { kind: 'unparseable', detail: 'NonZeroExitCode without an ExitCode cause' }
  }
  const text = cause.message ?? ''
  if (!DECIMAL.test(text) || Number(text) > MAX_EXIT_CODE) {
    return { kind: 'unparseable', detail: 'the exit code is no number from 0 to 255' }
  }
  return { kind: 'exit', code: Number(text), message: messageOf(value) }
}

function messageOf(value: object): string {
  const { message } = value as { message?: unknown }
  return typeof message === 'string' ? message : ''
}

function causesOf(value: object): StatusCause[] {
  const { details } = value as { details?: unknown }
  if (typeof details !== 'object' || details === null) return []
  const { causes } = details as { causes?: unknown }
  if (!Array.isArray(causes)) return []
  return causes.flatMap((cause: unknown): StatusCause[] => {
    if (typeof cause !== 'object' || cause === null) return []
    const { reason, message, field } = cause as Record<string, unknown>
    return [
      {
        ...(typeof reason === 'string' ? { reason } : {}),
        ...(typeof message === 'string' ? { message } : {}),
        ...(typeof field === 'string' ? { field } : {}),
      },
    ]
  })
}

/** Only fields of known type are taken over from the peer's document. */
function failureOf(value: object): Status {
  const { reason, code } = value as { reason?: unknown; code?: unknown }
  const causes = causesOf(value)
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: messageOf(value),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(causes.length > 0 ? { details: { causes } } : {}),
    ...(typeof code === 'number' ? { code } : {}),
  }
}

/** The bytes of `status` for the error stream: one JSON document, no newline needed. */
export function encodeStatus(status: Status): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(status))
}
