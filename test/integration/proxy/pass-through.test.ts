/** The rest of the Kubernetes API: byte for byte, at once, and never more of it held than needed. */
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually, settled } from '../../fakes/eventually.ts'
import { readBytes } from '../../fakes/scripted-cluster.ts'
import {
  POD_PATH,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import { RawClient, signedHead } from './raw-client.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
  under = await startGatewayUnderTest(ground)
})

afterAll(async () => {
  await under.close()
  await ground.people.close()
})

const PATH = '/api/v1/namespaces/shop/configmaps'

/** Upstream's half of each exchange; the gateway's own requests are served as ever. */
let upstream: { request: IncomingMessage; response: ServerResponse }[] = []

beforeEach(() => {
  under.cluster.requests.length = 0
  upstream = []
})

function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): void {
  under.cluster.intercept = (request, response, url) => {
    if (url.pathname !== PATH) return false
    upstream.push({ request, response })
    handler(request, response)
    return true
  }
}

async function ask(
  options: { method?: string; headers?: Record<string, string>; query?: string } = {},
  body?: Uint8Array,
): Promise<Answered> {
  return await askGateway(under, ground, PATH, options, body)
}

async function openRaw(start: string, ...lines: string[]): Promise<RawClient> {
  const client = await RawClient.open(under)
  client.send(signedHead(under, 'ana', start, ...lines))
  return client
}

async function openResettable(start: string, ...lines: string[]): Promise<RawClient> {
  const client = await RawClient.openResettable(under)
  client.send(signedHead(under, 'ana', start, ...lines))
  return client
}

describe('a watch', () => {
  it('has its head at once, before any event', async () => {
    serve((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json;stream=watch' }).flushHeaders(),
    )
    const client = await openRaw(`GET ${PATH}?watch=true`)
    await eventually('the head', () => client.responses.length === 1)
    expect(client.responses[0]?.headers.get('content-type')).toBe('application/json;stream=watch')
    expect(client.responses[0]?.body).toHaveLength(0)
    client.socket.destroy()
  })

  it('gives each event before the next is sent', async () => {
    serve((_request, response) => response.writeHead(200).flushHeaders())
    const client = await openRaw(`GET ${PATH}?watch=true`)
    await eventually('upstream is asked', () => upstream.length === 1)
    for (let n = 0; n < 50; n += 1) {
      upstream[0]?.response.write(`{"type":"ADDED","n":${n}}\n`)
      await eventually(`event ${n}`, () => client.received.includes(`"n":${n}}`))
    }
    upstream[0]?.response.end()
    const { complete, body } = await client.response()
    expect(complete).toBe(true)
    expect(body.toString().trim().split('\n')).toHaveLength(50)
    client.socket.destroy()
  })

  it('ends upstream within a second when the client goes', async () => {
    serve((_request, response) => response.writeHead(200).flushHeaders())
    for (const leave of ['destroy', 'reset'] as const) {
      const client = await openResettable(`GET ${PATH}?watch=true`)
      await eventually('the head', () => client.responses.length === 1)
      const { response } = upstream.at(-1) ?? {}
      if (leave === 'reset') client.reset()
      else client.socket.destroy()
      const ms = await eventually('upstream is closed', () => response?.closed === true)
      expect(ms).toBeLessThan(1000)
    }
  })

  it('ends upstream within a second when the client goes before the answer', async () => {
    serve(() => undefined)
    const client = await openResettable(`GET ${PATH}`)
    await eventually('upstream is asked', () => upstream.length === 1)
    client.reset()
    const ms = await eventually('upstream is closed', () => upstream[0]?.response.closed === true)
    expect(ms).toBeLessThan(1000)
  })
})

const MIB = 1024 * 1024

describe('a list of 64 MiB', () => {
  it('waits in the API server while the client does not read, and arrives whole afterwards', async () => {
    const block = randomBytes(MIB)
    const total = 64 * MIB
    let accepted = 0
    serve((_request, response) => {
      response.writeHead(200, { 'content-length': String(total) })
      const fill = (): void => {
        while (accepted < total) {
          accepted += block.length
          if (!response.write(block)) return
        }
        response.end()
      }
      response.on('drain', fill)
      fill()
    })
    const client = await openRaw(`GET ${PATH}`)
    client.socket.pause()
    client.socket.removeAllListeners('data')
    const stalledAt = await settled(() => accepted + (under.responses.at(-1)?.writableLength ?? 0))
    // What the kernel holds of both connections, and one block.
    expect(stalledAt).toBeLessThan(32 * MIB)
    expect(under.responses.at(-1)?.writableLength).toBeLessThan(MIB)

    const hash = createHash('sha256')
    const want = createHash('sha256')
    for (let n = 0; n < 64; n += 1) want.update(block)
    let got = 0
    let inBody = client.received.includes('\r\n\r\n')
    client.socket.on('data', (chunk: Buffer) => {
      const start = inBody ? 0 : chunk.indexOf('\r\n\r\n') + 4
      inBody = true
      got += chunk.length - start
      hash.update(chunk.subarray(start))
    })
    const early = client.received.subarray(client.received.indexOf('\r\n\r\n') + 4)
    if (client.received.includes('\r\n\r\n')) hash.update(early)
    got += client.received.includes('\r\n\r\n') ? early.length : 0
    client.socket.resume()
    await eventually('all of it', () => got === total, 20_000)
    expect(hash.digest('hex')).toBe(want.digest('hex'))
    client.socket.destroy()
  })
})

describe('bodies pass unchanged both ways', () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
  it.each([
    [
      'protobuf',
      'application/vnd.kubernetes.protobuf',
      Buffer.concat([Buffer.from('k8s\0'), every]),
    ],
    ['CBOR', 'application/cbor', Buffer.concat([Buffer.from('d9d9f7a1', 'hex'), every])],
    ['a Table', 'application/json;as=Table;v=v1;g=meta.k8s.io', Buffer.from('{"kind":"Table"}')],
    ['an apply patch', 'application/apply-patch+yaml', Buffer.from('a: "ü"\r\n---\n')],
    ['nothing', 'application/json', Buffer.alloc(0)],
  ])('%s', async (_name, type, body) => {
    let received: Buffer = Buffer.alloc(0)
    serve((request, response) => {
      void readBytes(request).then((bytes) => {
        received = bytes
        response.writeHead(200, { 'content-type': type }).end(body)
      })
    })
    const answered = await ask(
      { method: 'PATCH', headers: { 'content-type': type, accept: type } },
      body,
    )
    expect([answered.code, answered.headers['content-type']]).toEqual([200, type])
    expect(answered.body.equals(body)).toBe(true)
    expect(received.equals(body)).toBe(true)
    expect(upstream[0]?.request.headers).toMatchObject({ 'content-type': type, accept: type })
  })

  it('gzip, still packed', async () => {
    const packed = gzipSync(every)
    serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed),
    )
    const answered = await ask({ headers: { 'accept-encoding': 'gzip' } })
    expect(answered.headers['content-encoding']).toBe('gzip')
    expect(answered.body.equals(packed)).toBe(true)
  })

  it('a query, as it came', async () => {
    serve((_request, response) => response.end('{}'))
    const query = '?labelSelector=a%3Db%2Cc+in+%28d%29&limit=500&x=%C3%BF&empty='
    await ask({ query })
    expect(under.cluster.seen(PATH)[0]?.url).toBe(PATH + query)
  })
})

describe('an upload', () => {
  it('reaches the API server piece by piece, before it is complete', async () => {
    let received = ''
    serve((request, response) => {
      request.setEncoding('latin1')
      request.on('data', (text: string) => (received += text))
      request.on('end', () => response.end('{}'))
    })
    const client = await openRaw(`POST ${PATH}`, 'Transfer-Encoding: chunked')
    for (let n = 0; n < 20; n += 1) {
      client.send(`4\r\np${String(n).padStart(2, '0')};\r\n`)
      await eventually(`piece ${n}`, () => received.length === 4 * (n + 1))
    }
    client.send('0\r\n\r\n')
    await client.response()
    expect(received).toMatch(/^p00;.*p19;$/)
    client.socket.destroy()
  })

  it('is not taken faster than the API server reads', async () => {
    serve((request) => void request.pause())
    const client = await openRaw(`POST ${PATH}`, 'Content-Length: 67108864')
    const block = randomBytes(MIB)
    let sent = 0
    const fill = (): void => {
      while (sent < 64) {
        sent += 1
        if (!client.socket.write(block)) return
      }
    }
    client.socket.on('drain', fill)
    fill()
    const stalledAt = await settled(() => sent * MIB - client.socket.writableLength)
    expect(stalledAt).toBeLessThan(32 * MIB)
    client.socket.destroy()
    upstream[0]?.request.resume()
    await eventually('upstream is closed', () => upstream[0]?.response.closed === true)
  })

  it('that breaks off does not look complete to the API server', async () => {
    let ended = false
    serve((request) => {
      request.on('end', () => (ended = true))
      request.resume()
    })
    const client = await openResettable(`POST ${PATH}`, 'Transfer-Encoding: chunked')
    client.send('4\r\nabcd\r\n')
    await eventually('upstream is asked', () => upstream.length === 1)
    client.reset()
    await eventually('upstream is closed', () => upstream[0]?.request.destroyed === true)
    expect(ended).toBe(false)
  })

  it('waits for 100 Continue when the client wants it', async () => {
    serve((request, response) => {
      void readBytes(request).then((bytes) => response.end(bytes))
    })
    const client = await openRaw(`POST ${PATH}`, 'Content-Length: 4', 'Expect: 100-continue')
    await eventually('100', () => client.received.includes('HTTP/1.1 100'))
    client.send('abcd')
    expect((await client.response(1)).body.toString()).toBe('abcd')
    client.socket.destroy()
  })

  it('that is refused early gets its answer, and the next request on the connection too', async () => {
    const client = await RawClient.open(under)
    const start = `POST ${POD_PATH}/nobody-knows`
    client.send(signedHead(under, 'ana', start, 'Content-Length: 2097152'))
    client.send(Buffer.alloc(MIB))
    expect((await client.response()).code).toBe(403)
    client.send(Buffer.alloc(MIB))
    serve((_request, response) => response.end('{}'))
    client.send(signedHead(under, 'ana', `GET ${PATH}`))
    expect((await client.response(1)).code).toBe(200)
    client.socket.destroy()
  })

  it('whose API server goes away gets its answer, and the next request on the connection too', async () => {
    serve((request) => void request.once('data', () => request.socket.destroy()))
    const client = await openRaw(`POST ${PATH}`, 'Content-Length: 2097152')
    client.send(Buffer.alloc(MIB))
    expect((await client.response()).code).toBe(503)
    serve((_request, response) => response.end('{}'))
    client.send(Buffer.alloc(MIB))
    client.send(signedHead(under, 'ana', `GET ${PATH}`))
    expect((await client.response(1)).code).toBe(200)
    client.socket.destroy()
  })
})

describe('an answer that upstream breaks off', () => {
  it.each([
    ['in chunks', {}],
    ['of a known length', { 'content-length': '100' }],
  ])('%s is broken off for the client, not ended', async (_name, headers) => {
    serve((_request, response) => {
      response.writeHead(200, headers)
      response.write('half', () => response.destroy())
    })
    const client = await openRaw(`GET ${PATH}`)
    await client.gone()
    expect(client.responses).toMatchObject([{ code: 200, complete: false }])
    expect(client.received.toString()).toContain('half')
  })
})

describe('answers without a body', () => {
  it.each([
    ['GET', 204, { etag: '"1"' }],
    ['GET', 304, { etag: '"1"' }],
    ['GET', 304, { 'content-length': '20' }],
    ['HEAD', 200, { 'content-length': '20' }],
    ['DELETE', 205, { 'content-length': '0' }],
  ] satisfies [string, number, Record<string, string>][])(
    '%s %d leave the connection usable',
    async (method, code, headers) => {
      serve((_request, response) => response.writeHead(code, headers).end())
      const client = await openRaw(`${method} ${PATH}`)
      client.bodiless = true
      await client.response()
      client.send(signedHead(under, 'ana', `${method} ${PATH}`))
      expect((await client.response(1)).code).toBe(code)
      expect(client.closed).toBe(false)
      client.socket.destroy()
    },
  )
})

describe('headers of an answer', () => {
  it('pass, but not those of the connection and of sign-in', async () => {
    serve((_request, response) =>
      response
        .writeHead(200, {
          'content-type': 'application/json',
          'audit-id': 'a-1',
          warning: '299 - "one", 299 - "two"',
          'x-kubernetes-pf-flowschema-uid': 'f-1',
          'set-cookie': 'a=b',
          'www-authenticate': 'Bearer',
          'keep-alive': 'timeout=5',
          'proxy-connection': 'x',
          'alt-svc': 'h3=":443"',
        })
        .end('{}'),
    )
    const { headers } = await ask()
    expect(headers).toMatchObject({
      'audit-id': 'a-1',
      warning: '299 - "one", 299 - "two"',
      'x-kubernetes-pf-flowschema-uid': 'f-1',
    })
    for (const name of ['set-cookie', 'www-authenticate', 'proxy-connection', 'alt-svc']) {
      expect(headers).not.toHaveProperty(name)
    }
  })
})

it('connections to the API server are used again', async () => {
  serve((_request, response) => response.end('{}'))
  const before = under.cluster.connections
  const client = await openRaw(`GET ${PATH}`)
  for (let n = 1; n < 30; n += 1) {
    await client.response(n - 1)
    client.send(signedHead(under, 'ana', `GET ${PATH}`))
  }
  await client.response(29)
  client.socket.destroy()
  // The gateway's own watches may have needed one meanwhile.
  expect(under.cluster.connections - before).toBeLessThanOrEqual(2)
})
