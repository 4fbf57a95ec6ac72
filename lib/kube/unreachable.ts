/** Why the API server could not be spoken to, in words for the person who waits. */
import { GatewayError, asGatewayError, errorCode } from '../errors/gateway-error.ts'

const TLS_ERROR = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/

/** Network trouble in words; a refused certificate is the operator's to mend, not a reason to retry. */
export function unreachable(error: unknown, doing: string): GatewayError {
  const code = errorCode(error)
  if (code !== undefined && TLS_ERROR.test(code)) {
    return new GatewayError(
      'BadGateway',
      `the gateway does not trust the API server's certificate (${code}); ask the gateway's operator`,
      { id: 1509, cause: error },
    )
  }
  if (code?.startsWith('HPE_') === true) {
    return new GatewayError(
      'BadGateway',
      `the API server's answer is no well-formed HTTP (${code}); ask the gateway's operator`,
      { id: 1507, cause: error },
    )
  }
  return asGatewayError(error, doing)
}

/**
 * A 101 that nobody asked for: Node closes the connection and emits neither
 * `response` nor `error` then, so whoever waits for those waits for ever.
 */
export function closedWithoutAnswer(): GatewayError {
  return new GatewayError(
    'BadGateway',
    'the API server closed the connection without an answer that can be passed on; try again',
    { id: 1507 },
  )
}
