/**
 * People and workloads that show a client certificate of an authority which the operator has chosen.
 *
 * TLS has checked it when the connection began (lib/proxy/listener.ts asks for one and lets everybody
 * in): chain, times, purpose, revocation. What that gave is read here. One that does not hold is
 * refused and never passed over: whoever shows it believes to be known by it.
 *
 * Name and groups as Kubernetes reads them (CN and every O; k8s.io/apiserver
 * pkg/authentication/request/x509), but stricter: where two readers could see two names, there is none.
 */
import 'reflect-metadata'

import { createHash, type X509Certificate as NodeCertificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from '@peculiar/x509'

import { GatewayError } from '../errors/gateway-error.ts'
import { credentialId } from './credential-id.ts'
import { checkName } from './names.ts'
import type { User } from './user.ts'

export interface CertificateRules {
  usernamePrefix: string
  groupsPrefix: string
  /** Longer-lived ones are refused; undefined: any. */
  maxLifetimeDays?: number | undefined
}

/** What a certificate says, whatever the rules. */
interface Subject {
  commonName: string
  organizations: string[]
  notBefore: number
  notAfter: number
  issuer: string
  id: string
}

export interface CertificateRequest {
  socket: Socket
  headers: Readonly<Record<string, string | string[] | undefined>>
}

/**
 * Undefined: the connection shows no certificate, or was not asked for one.
 *
 * @throws GatewayError Unauthorized
 */
export type ReadCertificate = (request: CertificateRequest) => User | undefined

type Finding = { subject: Subject } | { refusal: GatewayError }

const DAY_MS = 86_400_000

export function createReadCertificate(
  rules: CertificateRules,
  now: () => number = Date.now,
): ReadCertificate {
  /** The certificate of a connection never changes: the listener allows no renegotiation. */
  const findings = new WeakMap<Socket, Finding>()

  function find(socket: Socket): Finding | undefined {
    const known = findings.get(socket)
    if (known !== undefined || !isTls(socket)) return known
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) return undefined
    const finding = inspect(socket, certificate)
    findings.set(socket, finding)
    return finding
  }

  return ({ socket, headers }) => {
    const finding = find(socket)
    if (finding === undefined) return undefined
    if ('refusal' in finding) throw finding.refusal
    refusePages(headers)
    // A connection may outlive its certificate.
    checkTimes(finding.subject, rules, now())
    return userOf(finding.subject, rules)
  }
}

function isTls(socket: Socket): socket is TLSSocket {
  return 'getPeerX509Certificate' in socket
}

/** Browsers show a certificate to every page that asks; only somebody's own command may use it. */
function refusePages(headers: CertificateRequest['headers']): void {
  const site = headers['sec-fetch-site']
  if (headers['origin'] === undefined && (site === undefined || site === 'none')) return
  throw new GatewayError(
    'Unauthorized',
    'a page of a browser asked, and client certificates are for commands. Sign in: kubectl podgate login',
    { id: 1443 },
  )
}

function userOf(subject: Subject, rules: CertificateRules): User {
  const groups = subject.organizations.map((organization) =>
    checkName('group', rules.groupsPrefix + organization),
  )
  return {
    username: checkName('user name', rules.usernamePrefix + subject.commonName),
    groups: [...new Set(groups)],
    extra: {},
    issuer: subject.issuer,
    signIn: { amr: [] },
    expiresAt: subject.notAfter,
    credential: { kind: 'Certificate', id: subject.id, issuedAt: subject.notBefore },
  }
}

function inspect(socket: TLSSocket, certificate: NodeCertificate): Finding {
  try {
    // Node gives the code alone, whatever its types say.
    if (!socket.authorized) throw refuse(whyNot(String(socket.authorizationError)))
    return { subject: read(certificate) }
  } catch (error) {
    return { refusal: GatewayError.is(error) ? error : refuse('it cannot be read', error) }
  }
}

function read(certificate: NodeCertificate): Subject {
  const { raw } = certificate
  const parsed = new X509Certificate(raw)
  checkPurpose(parsed)
  const [commonName, ...others] = valuesOf('CN', parsed, certificate)
  if (others.length > 0) throw refuse('it has several names (CN), and nobody can tell which counts')
  if (commonName === undefined || commonName === '') throw refuse('it has no name (CN)')
  const organizations = valuesOf('O', parsed, certificate)
  if (organizations.includes('')) throw refuse('one of its groups (O) is empty')
  return {
    commonName,
    organizations,
    notBefore: parsed.notBefore.getTime(),
    notAfter: parsed.notAfter.getTime(),
    issuer: issuerOf(parsed),
    id: idOf(parsed),
  }
}

/**
 * By issuer, serial number (RFC 5280 4.1.2.2) and key, not by all of its bytes: an ECDSA signature
 * can be written in a second way, and a revoked certificate must not come back under another name.
 */
function idOf({ issuerName, serialNumber, publicKey }: X509Certificate): string {
  const digest = createHash('sha256')
    .update(new Uint8Array(issuerName.toArrayBuffer()))
    .update(serialNumber)
    .update(new Uint8Array(publicKey.rawData))
  return credentialId('c', digest)
}

/** Who signed it, in a form that any header can carry. */
function issuerOf({ issuerName }: X509Certificate): string {
  const digest = createHash('sha256').update(new Uint8Array(issuerName.toArrayBuffer()))
  return `certificate:${digest.digest('hex').slice(0, 32)}`
}

/**
 * In the order of the certificate. OpenSSL and @peculiar/x509 have to read the same: they differ for
 * values that are no text, or in an encoding of which one of them drops something.
 */
function valuesOf(field: 'CN' | 'O', parsed: X509Certificate, own: NodeCertificate): string[] {
  const values = parsed.subjectName.getField(field)
  const second = [own.toLegacyObject().subject[field] ?? []].flat()
  if (values.length === second.length && values.every((value, n) => value === second[n])) {
    return values
  }
  throw refuse(`its ${field} is written in a way that can be read as two different names`)
}

/** OpenSSL takes a certificate without a purpose for one of every purpose, and an authority too. */
function checkPurpose(parsed: X509Certificate): void {
  const usages = parsed.getExtension(ExtendedKeyUsageExtension)?.usages ?? []
  if (!usages.includes(ExtendedKeyUsage.clientAuth)) {
    throw refuse('it is not for clients (extendedKeyUsage clientAuth)')
  }
  const { ca = false } = parsed.getExtension(BasicConstraintsExtension) ?? {}
  const { usages: keyUsage = 0 } = parsed.getExtension(KeyUsagesExtension) ?? {}
  if (ca || (keyUsage & KeyUsageFlags.keyCertSign) !== 0) {
    throw refuse('it is that of an authority, which signs for others and is nobody itself')
  }
}

function checkTimes({ notBefore, notAfter }: Subject, rules: CertificateRules, now: number): void {
  if (now > notAfter) throw refuse(EXPIRED)
  if (now < notBefore) throw refuse(NOT_YET)
  const { maxLifetimeDays } = rules
  if (maxLifetimeDays !== undefined && notAfter - notBefore > maxLifetimeDays * DAY_MS) {
    throw refuse(`it is valid for more than ${maxLifetimeDays} days, which is too long here`)
  }
}

const EXPIRED = 'it has expired'
const NOT_YET = 'it is not valid yet; compare the clocks'

/** Codes of X509_verify_cert, as Node spells them. */
function whyNot(code: string): string {
  if (code === 'CERT_HAS_EXPIRED') return EXPIRED
  if (code === 'CERT_NOT_YET_VALID') return NOT_YET
  if (code === 'CERT_REVOKED') return 'it was revoked'
  if (code === 'INVALID_PURPOSE') return 'it, or what signed it, is for another purpose'
  if (code.includes('CRL')) {
    return `whether it was revoked cannot be told (${code}); ask the gateway's operator for a new list`
  }
  return `it is not from an authority that this gateway trusts (${code})`
}

function refuse(why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'Unauthorized',
    `your client certificate is refused: ${why}. Get a new one, or take it out of your kubeconfig and sign in with a token; see what it sends: kubectl config view --minify`,
    { id: 1442, cause },
  )
}
