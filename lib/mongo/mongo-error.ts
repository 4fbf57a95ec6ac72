/**
 * What a failure of the MongoDB driver means for us: try again, or give up.
 */
import { errorText, GatewayError } from '../errors/gateway-error.ts'

const DUPLICATE_KEY = 11000
const NAMESPACE_NOT_FOUND = 26

/**
 * Server codes after which the same write may be made again: elections, shutdowns, broken links
 * between members, and a write that is there but not yet on a majority.
 */
const TRANSIENT_CODES = new Set([
  6, 7, 50, 64, 79, 89, 91, 100, 112, 133, 134, 189, 262, 9001, 10107, 11600, 11602, 13388, 13435,
  13436,
])

/** Failures between us and the server, told by the driver before or instead of the server's answer. */
const CONNECTION_ERROR = /Network|ServerSelection|Pool|WaitQueue|Topology|NotConnected|ClientClosed/

/**
 * What node says of a connection that broke. The driver wraps most of it, and lets through what it
 * hears when it writes to a socket that the server has just closed (EPIPE).
 */
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ETIMEDOUT',
])

interface DriverError {
  name: string
  code: unknown
  writeConcernError: unknown
}

function describe(error: unknown): DriverError {
  if (typeof error !== 'object' || error === null) {
    return { name: '', code: undefined, writeConcernError: undefined }
  }
  const { name, code, result } = error as { name?: unknown; code?: unknown; result?: unknown }
  const writeConcernError =
    typeof result === 'object' && result !== null && 'writeConcernError' in result
      ? result.writeConcernError
      : undefined
  return { name: typeof name === 'string' ? name : '', code, writeConcernError }
}

export function isDuplicateKey(error: unknown): boolean {
  return describe(error).code === DUPLICATE_KEY
}

/** A collection that nothing was ever written to. */
export function isNamespaceNotFound(error: unknown): boolean {
  return describe(error).code === NAMESPACE_NOT_FOUND
}

export function isTransient(error: unknown): boolean {
  const { name, code, writeConcernError } = describe(error)
  if (name === 'MongoWriteConcernError' || writeConcernError !== undefined) return true
  if (typeof code === 'number' && TRANSIENT_CODES.has(code)) return true
  if (typeof code === 'string' && SOCKET_CODES.has(code)) return true
  return CONNECTION_ERROR.test(name)
}

/** The error a TranscriptStore rejects with. */
export function storeError(error: unknown, doing: string): GatewayError {
  if (GatewayError.is(error)) return error
  const cause = { cause: error, id: 1012 }
  return isTransient(error)
    ? new GatewayError(
        'ServiceUnavailable',
        `${doing}: MongoDB cannot be reached; try again`,
        cause,
      )
    : new GatewayError(
        'InternalError',
        `${doing}: MongoDB refused it; ask the gateway's operator for the log of this moment`,
        { ...cause, cause: new Error(errorText(error), { cause: error }) },
      )
}
