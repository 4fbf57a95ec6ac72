/** One ordinary request to the gateway under test, as ana. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { readBytes } from '../../fakes/scripted-cluster.ts'
import type { GatewayUnderTest, Ground } from './gateway-under-test.ts'

export interface Answered {
  code: number
  headers: IncomingMessage['headers']
  body: Buffer
}

export async function askGateway(
  under: GatewayUnderTest,
  ground: Ground,
  path: string,
  options: { method?: string; headers?: Record<string, string>; query?: string } = {},
  body?: Uint8Array,
): Promise<Answered> {
  const request = httpsRequest({
    host: '127.0.0.1',
    port: under.port,
    ca: under.ca,
    path: path + (options.query ?? ''),
    method: options.method ?? 'GET',
    headers: { authorization: ground.people.bearer('ana'), ...options.headers },
    agent: false,
  })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return {
    code: response.statusCode ?? 0,
    headers: response.headers,
    body: await readBytes(response),
  }
}
