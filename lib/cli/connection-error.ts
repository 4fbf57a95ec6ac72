/**
 * Why no answer came, in words a person can act on.
 */
import { errorCode, errorText } from '../errors/gateway-error.ts'
import { CliError, ExitCode } from './cli-error.ts'

const NETWORK: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused; is it running?',
  ECONNRESET: 'the connection was broken off',
  EPIPE: 'the connection was broken off',
  EHOSTUNREACH: 'there is no route to this host',
  ENETUNREACH: 'there is no route to this network',
  ENOTFOUND: 'its name cannot be resolved',
  EAI_AGAIN: 'its name cannot be resolved just now',
  ETIMEDOUT: 'it does not answer',
  EPROTO: 'it does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
}

const UNKNOWN_AUTHORITY = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
])

export function connectionError(server: string, error: unknown): CliError {
  if (CliError.is(error)) return error
  return new CliError(
    ExitCode.Unreachable,
    `Unable to connect to the server ${server}: ${explain(error)}`,
    { cause: error },
  )
}

function explain(error: unknown): string {
  const code = errorCode(error)
  if (code === undefined) return errorText(error)
  if (UNKNOWN_AUTHORITY.has(code)) {
    return `its certificate is signed by an unknown authority (${code}); the kubeconfig's certificate-authority-data must be that of this server`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another name (${errorText(error)}); tls-server-name of the kubeconfig sets the name to expect`
  }
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired'
  const words = NETWORK[code]
  return words === undefined ? `${errorText(error)} (${code})` : `${words} (${code})`
}
