/**
 * A provider over real https that publishes whatever keys a test gives it, and counts who asks.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'

export interface JwksServer {
  issuer: string
  caFile: string
  keys: JWK[]
  fetches: { discovery: number; keys: number }
  /** Answers nothing but 503 while true. */
  isDown: boolean
  /** Takes requests and does not answer while true. */
  isSilent: boolean
  /** What the metadata says; undefined for the truth. */
  metadata: Record<string, unknown> | undefined
  close(): Promise<void>
}

export interface SigningKey {
  privateKey: CryptoKey
  publicJwk: JWK
  privateJwk: JWK
}

export async function createKey(alg: string, kid: string): Promise<SigningKey> {
  return await exported(await generateKeyPair(alg, { extractable: true }), alg, kid)
}

/** Of 1,024 bits, as no library makes them any more. */
export async function createShortRsaKey(kid: string): Promise<SigningKey> {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
  }
  const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  return await exported(pair, 'RS256', kid)
}

async function exported(
  { privateKey, publicKey }: { privateKey: CryptoKey; publicKey: CryptoKey },
  alg: string,
  kid: string,
): Promise<SigningKey> {
  const [publicJwk, privateJwk] = await Promise.all([exportJWK(publicKey), exportJWK(privateKey)])
  const about = { kid, alg, use: 'sig' }
  return {
    privateKey,
    publicJwk: { ...publicJwk, ...about },
    privateJwk: { ...privateJwk, ...about },
  }
}

export async function startJwksServer(): Promise<JwksServer> {
  const folder = await mkdtemp(join(tmpdir(), 'podgate-jwks-'))
  const authority = await createAuthority('test authority')
  const pair = await issueCertificate(authority, {
    commonName: 'provider',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, authority.certificate)
  const server = createServer({ cert: pair.certificate, key: pair.privateKey })
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const state: JwksServer = {
    issuer: `https://127.0.0.1:${port}`,
    caFile,
    keys: [],
    fetches: { discovery: 0, keys: 0 },
    isDown: false,
    isSilent: false,
    metadata: undefined,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true })
    },
  }
  server.on('request', (request, response) => {
    if (state.isDown) {
      response.writeHead(503).end()
      return
    }
    const isDiscovery = request.url === '/.well-known/openid-configuration'
    state.fetches[isDiscovery ? 'discovery' : 'keys'] += 1
    if (state.isSilent) return
    const truth = { issuer: state.issuer, jwks_uri: `${state.issuer}/keys` }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isDiscovery ? (state.metadata ?? truth) : { keys: state.keys }))
  })
  return state
}
