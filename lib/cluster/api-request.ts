/** One small request to the API server with a client certificate: readiness, node, service account. */
import { request } from 'node:https'

import type { KeyPair } from './pki.ts'

export interface ApiRequest {
  port: number
  path: string
  authority: string
  client: KeyPair
  timeoutMs?: number
}

export async function requestApi(options: ApiRequest): Promise<{ status: number; body: string }> {
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: options.port,
        path: options.path,
        ca: options.authority,
        cert: options.client.certificate,
        key: options.client.privateKey,
        headers: { accept: 'application/json' },
        agent: false,
        timeout: options.timeoutMs ?? 3000,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      },
    )
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.once('error', reject)
    outgoing.end()
  })
}
