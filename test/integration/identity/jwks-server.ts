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
  /** What the metadata says; undefined for the truth. */
  metadata: Record<string, unknown> | undefined
  close(): Promise<void>
}

export interface SigningKey {
  privateKey: CryptoKey
  publicJwk: JWK
}

export async function createKey(alg: string, kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
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
    const truth = { issuer: state.issuer, jwks_uri: `${state.issuer}/keys` }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isDiscovery ? (state.metadata ?? truth) : { keys: state.keys }))
  })
  return state
}
