/**
 * An API server over real https that answers TokenReviews as a test tells it to, and remembers what
 * it was asked.
 */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { type ApiClient, createApiClient } from '../../../lib/kube/api-client.ts'
import { createTestPki } from '../../fakes/scripted-api-server.ts'

export interface Review {
  apiVersion: string
  kind: string
  spec: { token: string; audiences: string[] }
}

export interface Reply {
  code: number
  body: object
}

export interface TokenReviewServer {
  client: ApiClient
  asked: { path: string; authorization: string | undefined; review: Review }[]
  /** Answers the review; a test may take its time. */
  reply: (review: Review) => Reply | Promise<Reply>
  close(): Promise<void>
}

export async function startTokenReviewServer(
  reply: TokenReviewServer['reply'],
): Promise<TokenReviewServer> {
  const pki = await createTestPki()
  const server = createServer({ cert: pki.server.certificate, key: pki.server.privateKey })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve())
  })
  const client = createApiClient({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    basePath: '',
    tls: { ca: pki.authority.certificate },
    authorization: async () => await Promise.resolve('Bearer of-the-gateway'),
  })
  const self: TokenReviewServer = {
    client,
    asked: [],
    reply,
    close: async () => {
      client.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  server.on('request', (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Review
      const { authorization } = request.headers
      self.asked.push({ path: `${request.method} ${request.url}`, authorization, review })
      Promise.resolve(self.reply(review)).then(
        ({ code, body }) => {
          response.writeHead(code, { 'content-type': 'application/json' })
          response.end(JSON.stringify(body))
        },
        () => response.destroy(),
      )
    })
  })
  return self
}
