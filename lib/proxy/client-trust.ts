/**
 * The part of the listener's TLS that is about client certificates.
 *
 * Asked of everybody, demanded of nobody: people without one sign in with a token. Who shows which is
 * read by lib/identity/client-certificate.ts.
 */
import { constants, X509Certificate } from 'node:crypto'
import type { TlsOptions } from 'node:tls'

import { GatewayError } from '../errors/gateway-error.ts'

type Pem = string | Buffer

export interface ClientTrust {
  /** Authorities whose clients are known, as PEM. Without any no client is asked. */
  clientCa?: Pem | undefined
  /** Lists of what they have revoked. With one of them every authority of a chain needs its own. */
  clientCrl?: Pem | undefined
}

/** @throws GatewayError Invalid */
export function clientTrust({ clientCa, clientCrl }: ClientTrust): TlsOptions {
  if (clientCa === undefined) {
    if (clientCrl === undefined) return {}
    throw invalid('revoked client certificates are listed, but no authority of clients is named')
  }
  return {
    requestCert: true,
    rejectUnauthorized: false,
    ca: authorities(clientCa),
    // Node reads no more than the first list of each text.
    ...(clientCrl === undefined ? {} : { crl: blocks(clientCrl, 'X509 CRL') }),
    // One connection, one check: a resumed session would bring back what an old certificate was
    // found to be, and a renegotiation could change it on the way.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

/** Never none: Node would then trust the public authorities of the Web, each of them. */
function authorities(pem: Pem): string[] {
  const found = blocks(pem, 'CERTIFICATE')
  for (const [index, block] of found.entries()) {
    if (!isAuthority(block)) {
      throw invalid(`certificate ${index + 1} among the authorities of clients is no authority's`)
    }
  }
  return found
}

function isAuthority(block: string): boolean {
  try {
    return new X509Certificate(block).ca
  } catch {
    return false
  }
}

function blocks(pem: Pem, label: string): string[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')
  const found = pem.toString('latin1').match(pattern) ?? []
  if (found.length > 0) return [...found]
  throw invalid(`the file for client certificates holds no ${label} in PEM`)
}

function invalid(message: string): GatewayError {
  return new GatewayError('Invalid', message)
}
