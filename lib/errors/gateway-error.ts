/**
 * The one error class of the gateway. It knows the Status a person will see.
 *
 * `message` is for people: what, why, the next command to type. `cause` is for
 * the log and never leaves the process.
 *
 * May import: nothing of ours outside this folder.
 */
import { types } from 'node:util'

import { STATUS_CODES, type Status, type StatusCause, type StatusReason } from './status.ts'

/** kubectl's WebSocket client reads only the first 1,024 bytes of a refused handshake. */
const MAX_STATUS_BYTES = 1000
const ELLIPSIS = '...'

export interface GatewayErrorOptions {
  /** Number in docs/messages.md, shown as `[PODGATE-1001]`. */
  id?: number
  causes?: StatusCause[]
  cause?: unknown
}

export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly reason: StatusReason
  readonly id: number | undefined
  readonly causes: StatusCause[]

  constructor(reason: StatusReason, message: string, options: GatewayErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.reason = reason
    this.id = options.id
    this.causes = options.causes ?? []
  }

  get code(): number {
    return STATUS_CODES[this.reason]
  }

  /** The refusal as kubectl shows it; at most 1,000 bytes as JSON, whatever the message holds. */
  toStatus(): Status {
    const suffix = this.id === undefined ? '' : ` [PODGATE-${this.id}]`
    const status: Status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message + suffix,
      reason: this.reason,
      ...(this.causes.length > 0 ? { details: { causes: this.causes } } : {}),
      code: this.code,
    }
    if (Buffer.byteLength(JSON.stringify(status)) <= MAX_STATUS_BYTES) return status
    delete status.details
    let text = Array.from(this.message)
    while (text.length > 0) {
      status.message = text.join('') + ELLIPSIS + suffix
      const excess = Buffer.byteLength(JSON.stringify(status)) - MAX_STATUS_BYTES
      if (excess <= 0) break
      text = text.slice(0, Math.max(0, text.length - Math.max(1, Math.ceil(excess / 6))))
    }
    return status
  }

  /** Works across the realms of test sandboxes, where `instanceof` lies. */
  static is(error: unknown): error is GatewayError {
    return (
      typeof error === 'object' &&
      error !== null &&
      (error as { name?: unknown }).name === 'GatewayError' &&
      typeof (error as { toStatus?: unknown }).toStatus === 'function'
    )
  }
}

/** Node's and the network's own codes, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : undefined
}

/** A short description for a log line; never a stack, never for a user. */
export function errorText(error: unknown): string {
  if (GatewayError.is(error) || types.isNativeError(error)) return error.message
  if (typeof error === 'object' && error !== null && 'message' in error)
    return String(error.message)
  return String(error)
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
])

/** The only way from a `catch` to something a user may see. */
export function asGatewayError(error: unknown, doing = 'serving the request'): GatewayError {
  if (GatewayError.is(error)) return error
  const code = errorCode(error)
  if (code !== undefined && UNREACHABLE.has(code)) {
    return new GatewayError(
      'ServiceUnavailable',
      `${doing}: the server behind the gateway cannot be reached (${code}); try again`,
      {
        id: 1503,
        cause: error,
      },
    )
  }
  return new GatewayError(
    'InternalError',
    `${doing} failed inside the gateway; ask its operator for the log of this moment`,
    {
      id: 1500,
      cause: error,
    },
  )
}
