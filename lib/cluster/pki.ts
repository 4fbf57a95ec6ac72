/**
 * Certificates for a cluster and for the gateway beside it: an authority made
 * on the spot, and ECDSA P-256 certificates issued by it.
 */
import 'reflect-metadata'

import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const
/** Clocks of containers and hosts differ a little. */
const BACKDATE_MS = 5 * 60_000
const DAY_MS = 86_400_000

/** PEM texts, so that a pair can be written to files or handed on as it is. */
export interface KeyPair {
  certificate: string
  privateKey: string
}

export interface CertificateRequest {
  commonName: string
  /** Kubernetes reads the groups of a client certificate from here. */
  organizations?: string[]
  /** Names and addresses a server certificate is good for. */
  hosts?: string[]
  usages: ('server' | 'client')[]
  validDays?: number
}

export async function createAuthority(commonName: string, validDays = 365): Promise<KeyPair> {
  const keys = await generateKeys()
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: nameOf({ commonName, usages: [] }),
      ...validity(validDays),
      signingAlgorithm: SIGNING_ALGORITHM,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { certificate: certificate.toString('pem'), privateKey: await exportPrivateKey(keys) }
}

export async function issueCertificate(
  authority: KeyPair,
  request: CertificateRequest,
): Promise<KeyPair> {
  const issuer = new X509Certificate(authority.certificate)
  const signingKey = await importPrivateKey(authority.privateKey)
  const keys = await generateKeys()
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: nameOf(request),
      issuer: issuer.subjectName,
      ...validity(request.validDays ?? 365),
      signingAlgorithm: SIGNING_ALGORITHM,
      publicKey: keys.publicKey,
      signingKey,
      extensions: await leafExtensions(request, issuer, keys),
    },
    webcrypto,
  )
  return { certificate: certificate.toString('pem'), privateKey: await exportPrivateKey(keys) }
}

/** The key that signs service account tokens, and its public half. */
export async function createSigningKey(): Promise<{ privateKey: string; publicKey: string }> {
  const keys = await generateKeys()
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  return {
    privateKey: await exportPrivateKey(keys),
    publicKey: PemConverter.encode(spki, PemConverter.PublicKeyTag),
  }
}

async function leafExtensions(
  request: CertificateRequest,
  issuer: X509Certificate,
  keys: webcrypto.CryptoKeyPair,
): Promise<Extension[]> {
  const purposes = { server: ExtendedKeyUsage.serverAuth, client: ExtendedKeyUsage.clientAuth }
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(request.usages.map((usage) => purposes[usage])),
    await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
    await AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
  ]
  const hosts = request.hosts ?? []
  if (hosts.length > 0) {
    extensions.push(
      new SubjectAlternativeNameExtension(
        hosts.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
      ),
    )
  }
  return extensions
}

function nameOf(request: CertificateRequest): JsonName {
  const organizations = request.organizations ?? []
  return [...organizations.map((name) => ({ O: [name] })), { CN: [request.commonName] }]
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now()
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) }
}

/** RFC 5280 4.1.2.2: positive, so the top bit stays clear. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return Buffer.from(bytes).toString('hex')
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])
}

async function exportPrivateKey(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)
}

async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const [pkcs8] = PemConverter.decode(pem)
  if (pkcs8 === undefined) throw new TypeError('the authority has no private key')
  return await webcrypto.subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, false, ['sign'])
}
