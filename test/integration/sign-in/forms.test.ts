/** Forms of strangers, who send too much, too slowly, or nothing at all. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import express, { type NextFunction, type Request, type Response } from 'express'

import { asGatewayError } from '../../../lib/errors/gateway-error.ts'
import { readForms } from '../../../lib/sign-in/forms.ts'
import { closed } from '../../fakes/closed.ts'

let server: Server
const sockets: Socket[] = []
/** When pages are answered: a provider takes its time. */
let slowly: Promise<unknown>

beforeEach(async () => {
  slowly = Promise.resolve()
  const app = express()
  app.use(readForms({ limit: '1kb', most: 2, patienceMs: 300 }))
  app.post('/', (request, response) => void response.json(request.body))
  app.get('/', (_request, response) => void slowly.then(() => response.json({})))
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    response.status(asGatewayError(error).code).end()
  })
  server = createServer((request, response) => app(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

/** Says that so much will come, and sends this. */
async function begin(length: number, body: string): Promise<Socket> {
  const type = 'content-type: application/x-www-form-urlencoded'
  return await send(
    `POST / HTTP/1.1\r\nhost: x\r\n${type}\r\ncontent-length: ${length}\r\n\r\n${body}`,
  )
}

async function send(text: string): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

async function head(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString().slice(9, 12)
}

/** Until the gateway has begun to read so many. */
async function underWay(count: number): Promise<void> {
  const connections = async (): Promise<number> =>
    await new Promise((resolve) => server.getConnections((_error, found) => resolve(found)))
  while ((await connections()) < count) await new Promise((resolve) => setImmediate(resolve))
}

describe('a form', () => {
  it('is read', async () => {
    expect(await head(await begin(3, 'a=b'))).toBe('200')
  })

  it('is refused when it is too long', async () => {
    expect(await head(await begin(5000, 'x'.repeat(5000)))).toBe('500')
  })

  it('is not what a page is: those take their time, and any number of them', async () => {
    // Longer than a form may take, as when a provider is slow to answer.
    const given = await begin(100, 'a=b')
    slowly = closed(given)
    const pages = Array.from({ length: 4 }, () => send('GET / HTTP/1.1\r\nhost: x\r\n\r\n'))
    const heads = (await Promise.all(pages)).map(head)
    await closed(given)
    expect(await Promise.all(heads)).toEqual(['200', '200', '200', '200'])
  })

  it('that does not come is given up', async () => {
    const socket = await begin(100, 'a=b')
    await closed(socket)
  })

  it('is refused while too many are under way, and read again after them', async () => {
    const slow = [await begin(100, 'a'), await begin(100, 'a')]
    await underWay(2)
    expect(await head(await begin(3, 'a=b'))).toBe('429')
    await Promise.all(slow.map(closed))
    expect(await head(await begin(3, 'a=b'))).toBe('200')
    for (let n = 0; n < 5; n += 1) expect(await head(await begin(3, 'a=b'))).toBe('200')
  })
})
