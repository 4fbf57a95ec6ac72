/** Certificates of every kind, good and bad, for clients of the gateway. */
import 'reflect-metadata'

import { webcrypto } from 'node:crypto'

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonNameParams,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PemConverter,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
} from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY_MS = 86_400_000

export interface Issued {
  /** PEM. */
  certificate: string
  privateKey: string
  x509: X509Certificate
  keys: webcrypto.CryptoKeyPair
}

export interface Wish {
  subject: JsonNameParams
  /** Left out: it signs itself. */
  issuer?: Issued
  from?: number
  until?: number
  extensions?: Extension[]
}

export const CLIENT: readonly Extension[] = [
  new BasicConstraintsExtension(false, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
  new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
]
const AUTHORITY: readonly Extension[] = [
  new BasicConstraintsExtension(true, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
]

let serial = 0x40_00

export async function issue(wish: Wish): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const { issuer } = wish
  const subject = new Name(wish.subject)
  serial += 1
  const x509 = await X509CertificateGenerator.create(
    {
      serialNumber: serial.toString(16),
      subject,
      issuer: issuer?.x509.subjectName ?? subject,
      notBefore: new Date(wish.from ?? Date.now() - DAY_MS),
      notAfter: new Date(wish.until ?? Date.now() + DAY_MS),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: (issuer?.keys ?? keys).privateKey,
      extensions: [
        ...(wish.extensions ?? CLIENT),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ...(issuer === undefined
          ? []
          : [await AuthorityKeyIdentifierExtension.create(issuer.x509, false, webcrypto)]),
      ],
    },
    webcrypto,
  )
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const privateKey = PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)
  return { certificate: `${x509.toString('pem')}\n`, privateKey, x509, keys }
}

export async function issueAuthority(name: string, issuer?: Issued): Promise<Issued> {
  const wish = { subject: [{ CN: [name] }], extensions: [...AUTHORITY] }
  return await issue(issuer === undefined ? wish : { ...wish, issuer })
}

/** PEM list of what an authority has revoked. */
export async function revoke(
  authority: Issued,
  revoked: readonly Issued[],
  nextUpdate: Date = new Date(Date.now() + DAY_MS),
): Promise<string> {
  const list = await X509CrlGenerator.create(
    {
      issuer: authority.x509.subjectName,
      thisUpdate: new Date(Date.now() - DAY_MS),
      nextUpdate,
      entries: revoked.map(({ x509 }) => ({
        serialNumber: x509.serialNumber,
        revocationDate: new Date(Date.now() - DAY_MS / 2),
      })),
      signingAlgorithm: ALGORITHM,
      signingKey: authority.keys.privateKey,
    },
    webcrypto,
  )
  // The label of RFC 7468, which OpenSSL asks for.
  return `${list.toString('pem')}\n`.replaceAll(' CRL-----', ' X509 CRL-----')
}

/** What a client shows. */
export function shown({ certificate, privateKey }: Issued): { cert: string; key: string } {
  return { cert: certificate, key: privateKey }
}

const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

/** PEM of the same certificate with its signature written in the other way: (r, n - s) for (r, s). */
export function resigned(pem: string): string {
  const { rawData, signature } = new X509Certificate(pem)
  const sig = Buffer.from(signature)
  const rLength = sig[3] ?? 0
  const s = BigInt(`0x${sig.subarray(6 + rLength).toString('hex')}`)
  const hex = (ORDER - s).toString(16)
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  const bytes = Buffer.from(even, 'hex')
  const positive = (bytes[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes
  const other = der(0x30, sig.subarray(2, 4 + rLength), der(0x02, positive))
  const all = Buffer.from(rawData)
  const before = all.subarray(4, all.length - sig.length - 3)
  const whole = der(0x30, before, der(0x03, Buffer.from([0]), other))
  return PemConverter.encode(new Uint8Array(whole), PemConverter.CertificateTag)
}
