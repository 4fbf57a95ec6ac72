/** The end of a watch, with a client that takes its words and with one that takes nothing. */
import { once } from 'node:events'
import { createServer, IncomingMessage, request, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'

import { afterEach, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { endInWords, noteWatch } from '../../../lib/proxy/watch-end.ts'

const REVOKED = new GatewayError('Unauthorized', 'your access was revoked', { id: 1450 })
const EVENT = Buffer.from(`${'x'.repeat(65_535)}\n`)

const closers: (() => void)[] = []

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

interface Watching {
  /** What the API server sends. */
  answer: IncomingMessage
  /** To the client. */
  response: ServerResponse
  client: IncomingMessage
}

async function watch(): Promise<Watching> {
  const answer = new IncomingMessage(new Socket())
  answer.statusCode = 200
  answer.headers = { 'content-type': 'application/json' }
  const begun = Promise.withResolvers<ServerResponse>()
  const server = createServer((_request, response) => {
    response.writeHead(200).flushHeaders()
    noteWatch('watch=true', answer, response)
    answer.pipe(response)
    begun.resolve(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const asked = request({ port, host: '127.0.0.1', agent: false }).end()
  const [client] = (await once(asked, 'response')) as [IncomingMessage]
  client.on('error', () => undefined)
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { answer, response: await begun.promise, client }
}

it('comes behind the events that are on their way, however slowly they are read', async () => {
  const { answer, response, client } = await watch()
  const full = once(answer, 'pause')
  for (let n = 0; n < 40; n += 1) answer.push(EVENT)
  await full
  endInWords(response, REVOKED)
  let text = ''
  for await (const chunk of client as AsyncIterable<Buffer>) text += chunk.toString()
  const lines = text.split('\n')
  expect(lines.at(-2)).toContain('"type":"ERROR"')
  expect(lines.slice(0, -2).every((line) => line.length === 65_535)).toBe(true)
  expect(client.complete).toBe(true)
})

it('does not wait for a client that reads nothing', async () => {
  const { answer, response } = await watch()
  const full = once(answer, 'pause')
  // More than what lies between two sockets of one machine.
  answer.push(Buffer.concat([Buffer.alloc(32 * 1024 * 1024, 'x'), EVENT]))
  await full
  endInWords(response, REVOKED)
  expect(response.destroyed).toBe(false)
  await once(response, 'close')
  expect(response.writableFinished).toBe(false)
})
