import {
  createPrivateKey,
  createPublicKey,
  createSign,
  createVerify,
  X509Certificate,
} from 'node:crypto'
import { connect, createServer } from 'node:tls'

import { beforeAll, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import { renderKubeconfig } from '../../../lib/cluster/kubeconfig.ts'
import {
  createAuthority,
  createSigningKey,
  issueCertificate,
  type KeyPair,
} from '../../../lib/cluster/pki.ts'

let authority: KeyPair
let server: KeyPair
let client: KeyPair
beforeAll(async () => {
  authority = await createAuthority('test-ca')
  server = await issueCertificate(authority, {
    commonName: 'gateway',
    hosts: ['localhost', '127.0.0.1'],
    usages: ['server'],
    validDays: 2,
  })
  client = await issueCertificate(authority, {
    commonName: 'ana',
    organizations: ['dev', 'oncall'],
    usages: ['client'],
  })
})

describe('createAuthority', () => {
  it('signs itself, may sign others but no further authority', () => {
    const certificate = new X509Certificate(authority.certificate)
    expect(certificate.ca).toBe(true)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.toLegacyObject().asn1Curve).toBe('prime256v1')
  })
})

describe('issueCertificate', () => {
  it('is signed by the authority, and its key belongs to it', () => {
    const ca = new X509Certificate(authority.certificate)
    const certificate = new X509Certificate(server.certificate)
    expect(certificate.checkIssued(ca)).toBe(true)
    expect(certificate.verify(ca.publicKey)).toBe(true)
    expect(certificate.checkPrivateKey(createPrivateKey(server.privateKey))).toBe(true)
    expect(certificate.ca).toBe(false)
  })

  it('is good for its names and addresses and no others', () => {
    const certificate = new X509Certificate(server.certificate)
    expect(certificate.checkHost('localhost')).toBe('localhost')
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(certificate.checkHost('example.com')).toBeUndefined()
  })

  it('is valid for as long as asked, and already a little before', () => {
    const { validFromDate, validToDate } = new X509Certificate(server.certificate)
    const days = (validToDate.getTime() - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(1.9)
    expect(days).toBeLessThan(2.1)
    expect(validFromDate.getTime()).toBeLessThan(Date.now() - 60_000)
  })

  it('carries user and groups where Kubernetes reads them', () => {
    expect(new X509Certificate(client.certificate).subject.split('\n').sort()).toEqual([
      'CN=ana',
      'O=dev',
      'O=oncall',
    ])
  })

  it('never gives a serial number twice', async () => {
    const request = { commonName: 'x', usages: ['client' as const] }
    const issued = await Promise.all(
      Array.from({ length: 20 }, async () => await issueCertificate(authority, request)),
    )
    const serials = issued.map(({ certificate }) => new X509Certificate(certificate).serialNumber)
    expect(new Set(serials).size).toBe(20)
  })

  it('holds in a handshake in which both sides ask for a certificate', async () => {
    const listener = createServer({
      cert: server.certificate,
      key: server.privateKey,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    })
    const subject = new Promise((resolve, reject) => {
      listener.once('tlsClientError', reject)
      listener.once('secureConnection', (socket) => {
        resolve(socket.getPeerCertificate().subject.CN)
        socket.end()
      })
    })
    await new Promise<void>((resolve) => {
      listener.listen(0, '127.0.0.1', resolve)
    })
    const { port } = listener.address() as { port: number }
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: authority.certificate,
      cert: client.certificate,
      key: client.privateKey,
    })
    socket.resume()
    expect(await subject).toBe('ana')
    await new Promise((resolve) => {
      socket.once('close', resolve)
    })
    listener.close()
  })
})

describe('createSigningKey', () => {
  it('gives two halves of one key', async () => {
    const { privateKey, publicKey } = await createSigningKey()
    const signature = createSign('sha256').update('token').sign(createPrivateKey(privateKey))
    const verifier = createVerify('sha256').update('token')
    expect(verifier.verify(createPublicKey(publicKey), signature)).toBe(true)
  })
})

describe('renderKubeconfig', () => {
  it('holds everything itself and has the one context current', () => {
    const config = parse(
      renderKubeconfig({
        name: 'sandbox',
        server: 'https://127.0.0.1:1',
        authority: authority.certificate,
        client,
        user: 'admin',
      }),
    )
    expect(config['current-context']).toBe('sandbox')
    expect(config.contexts).toEqual([
      { name: 'sandbox', context: { cluster: 'sandbox', user: 'admin' } },
    ])
    const [{ user }] = config.users
    expect(Buffer.from(user['client-key-data'], 'base64').toString()).toBe(client.privateKey)
    const [{ cluster }] = config.clusters
    expect(Buffer.from(cluster['certificate-authority-data'], 'base64').toString()).toBe(
      authority.certificate,
    )
  })
})
