/**
 * Bytes that two parsers read differently. Either the gateway closes, or the
 * cluster sees exactly the one well-formed request that the gateway made.
 * Corpus: the request-smuggling CVEs of llhttp and of Go's net/http
 * (CVE-2019-16276, CVE-2020-8287, CVE-2022-32213 to 32215, CVE-2023-30589,
 * CVE-2024-22019, CVE-2025-23167).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import {
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { RawClient, head, signedHead } from './raw-client.ts'

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
const SMUGGLED = '/api/v1/namespaces/shop/secrets'

let bodies: string[] = []

beforeEach(() => {
  under.cluster.requests.length = 0
  bodies = []
  under.cluster.intercept = (request, response, url) => {
    if (!url.pathname.startsWith('/api/v1/namespaces/shop/')) return false
    let body = ''
    request.setEncoding('latin1')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      bodies.push(body)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    return true
  }
})

function seen(): string[] {
  return under.cluster.seen(/namespaces\/shop\//).map(({ method, url }) => `${method} ${url}`)
}

/** A request that must never be seen: what an attacker hides behind the first. */
function hidden(): string {
  return signedHead(under, 'ana', `DELETE ${SMUGGLED}`)
}

async function exchange(...bytes: (string | Uint8Array)[]): Promise<RawClient> {
  const client = await RawClient.open(under)
  client.send(...bytes)
  await eventually('an answer or the end', () => client.responses.length > 0 || client.closed)
  return client
}

async function expectRefused(client: RawClient, codes: number[] = [400]): Promise<void> {
  await client.gone()
  const [response, ...more] = client.responses
  expect(codes).toContain(response?.code)
  expect(more).toEqual([])
  expect(response?.headers.get('content-type')).toBe('application/json')
  expect(response?.headers.get('connection')).toBe('close')
  expect(response?.body.length).toBeLessThan(1000)
  expect(JSON.parse(String(response?.body))).toMatchObject({ kind: 'Status', status: 'Failure' })
  expect(seen()).toEqual([])
}

describe('a head that is no HTTP/1.1 is refused, and nothing behind it is read:', () => {
  it.each([
    ['a space before the colon', 'Impersonate-User : admin'],
    ['a tab before the colon', 'Impersonate-User\t: admin'],
    ['a vertical tab in a name', 'Impersonate\x0b-User: admin'],
    ['NUL in a name', 'Impersonate\x00-User: admin'],
    ['NUL in a value', 'X-A: a\x00b'],
    ['a bare CR in a value', 'X-A: a\rImpersonate-User: admin'],
    ['a bare CR as line end', 'X-A: a\rX-B: b'],
    ['a line without a colon', 'Impersonate-User'],
    ['an empty name', ': admin'],
    ['a name in 8 bits', 'Impersonate-Üser: admin'],
    ['a name in brackets', '[Impersonate-User]: admin'],
    ['a folded line', 'X-A: a\r\n Impersonate-User: admin'],
    ['a folded line by a tab', 'X-A: a\r\n\tImpersonate-User: admin'],
    ['a folded first line', ' Impersonate-User: admin'],
    ['a bare LF between lines', 'X-A: a\nImpersonate-User: admin'],
    ['two lengths', 'Content-Length: 4', 'Content-Length: 5'],
    ['one length twice', 'Content-Length: 4', 'Content-Length: 4'],
    ['a list of lengths', 'Content-Length: 4, 4'],
    ['a signed length', 'Content-Length: +4'],
    ['a negative length', 'Content-Length: -4'],
    ['a hexadecimal length', 'Content-Length: 0x4'],
    ['a length with a space in it', 'Content-Length: 4 4'],
    ['an empty length', 'Content-Length: '],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999999'],
    ['length and chunks', 'Content-Length: 4', 'Transfer-Encoding: chunked'],
    ['chunks and length', 'Transfer-Encoding: chunked', 'Content-Length: 4'],
    ['an unknown transfer coding', 'Transfer-Encoding: xchunked'],
    ['chunked, but not last', 'Transfer-Encoding: chunked, identity'],
    [
      'chunked in another line, not last',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: identity',
    ],
    ['chunked with a tail', 'Transfer-Encoding: chunked;q=1'],
    ['chunked in quotes', 'Transfer-Encoding: "chunked"'],
    ['chunked behind a vertical tab', 'Transfer-Encoding: \x0bchunked'],
  ])('%s', async (_name, ...lines) => {
    const client = await exchange(
      signedHead(under, 'ana', `POST ${PATH}`, ...lines),
      '0\r\n\r\n',
      hidden(),
    )
    await expectRefused(client)
  })

  it.each([
    ['no version', (): string => `GET ${PATH}\r\nHost: x\r\n\r\n`],
    ['version 0.9', (): string => `GET ${PATH} HTTP/0.9\r\nHost: x\r\n\r\n`],
    ['version 2.0', (): string => `GET ${PATH} HTTP/2.0\r\nHost: x\r\n\r\n`],
    ['the preface of HTTP/2', (): string => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', (): string => head(`FETCH ${PATH}`)],
    ['a method in lower case', (): string => head(`get ${PATH}`)],
    ['version 1.0', (): string => `GET ${PATH} HTTP/1.0\r\nHost: x\r\n\r\n`],
    [
      'a PROXY preamble',
      (): string => `PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n${head(`GET ${PATH}`)}`,
    ],
    ['no host', (): string => `GET ${PATH} HTTP/1.1\r\n\r\n`],
    ['garbage', (): string => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s', async (_name, text) => {
    await expectRefused(await exchange(text(), hidden()))
  })

  it('a head of 70 KiB', async () => {
    const client = await exchange(
      signedHead(under, 'ana', `GET ${PATH}`, `X-Long: ${'x'.repeat(70 * 1024)}`),
      hidden(),
    )
    await expectRefused(client, [413])
  })

  it('a request line of 70 KiB', async () => {
    await expectRefused(await exchange(head(`GET ${PATH}?x=${'x'.repeat(70 * 1024)}`)), [413])
  })

  it('CONNECT, without an answer', async () => {
    const client = await exchange(head('CONNECT secrets:443'), hidden())
    await client.gone()
    expect([client.received.length, seen()]).toEqual([0, []])
  })
})

describe('a target that could be read in two ways is refused with a Status:', () => {
  it.each([
    'https://elsewhere/api/v1/pods',
    '*',
    '//api/v1/pods',
    '/api/v1/../v1/pods',
    '/api/v1/%2e%2e/pods',
    '/api/v1/namespaces%2Fshop/pods',
    '/api/v1/namespaces/shop/pods/web-0%00/exec',
    '/api/v1//pods',
    '/api/v1/pods;x=1/..',
    '/api\\v1\\pods',
    '/api/v1/pods#x',
  ])('%s', async (target) => {
    const client = await exchange(signedHead(under, 'ana', `GET ${target}`))
    const { code, body } = await client.response()
    client.socket.destroy()
    expect([code, JSON.parse(body.toString())]).toEqual([
      400,
      expect.objectContaining({ kind: 'Status', reason: 'BadRequest' }),
    ])
    // The gateway's own watches go on.
    expect(under.cluster.seen(/^(?!\/apis\/podgate)/)).toEqual([])
  })
})

describe('a body is framed by the gateway, not by the client:', () => {
  it('chunks with extensions and trailers become plain chunks', async () => {
    const client = await exchange(
      signedHead(under, 'ana', `POST ${PATH}`, 'Transfer-Encoding: chunked', 'Trailer: X-T'),
      '4;ext="a\\"b";c\r\nabcd\r\n0;last\r\nX-T: 1\r\nImpersonate-User: admin\r\n\r\n',
    )
    await client.response()
    client.socket.destroy()
    expect([seen(), bodies]).toEqual([[`POST ${PATH}`], ['abcd']])
    expect(under.cluster.seen(PATH)[0]?.headers.filter((line) => /trailer|x-t/.test(line))).toEqual(
      [],
    )
    expect(under.cluster.seen(PATH)[0]?.message.rawTrailers).toEqual([])
  })

  it.each([
    ['Transfer-Encoding: Chunked'],
    ['TRANSFER-ENCODING:   chunked   '],
    ['Transfer-Encoding:chunked'],
  ])('%s is one chunked body', async (line) => {
    const client = await exchange(
      signedHead(under, 'ana', `POST ${PATH}`, line),
      `1e\r\n${'GET /smuggled HTTP/1.1\r\nHost:'.padEnd(30)}\r\n0\r\n\r\n`,
    )
    await client.response()
    client.socket.destroy()
    expect(seen()).toEqual([`POST ${PATH}`])
    expect(bodies[0]).toHaveLength(30)
    const framing = under.cluster
      .seen(PATH)[0]
      ?.headers.filter((text) => /encoding|length/.test(text))
    expect(framing).toEqual(['transfer-encoding: chunked'])
  })

  it('two requests on one connection are two, each as its own person', async () => {
    const client = await exchange(
      signedHead(under, 'ana', `POST ${PATH}`, 'Content-Length: 4'),
      'abcd',
      signedHead(under, 'bo', `GET ${SMUGGLED}`),
    )
    await client.response(1)
    client.socket.destroy()
    expect([seen(), bodies]).toEqual([
      [`POST ${PATH}`, `GET ${SMUGGLED}`],
      ['abcd', ''],
    ])
    expect(under.cluster.seen(SMUGGLED)[0]?.headers).toContain('impersonate-user: bo')
  })

  it('what a GET hides in its body stays its body', async () => {
    const inner = hidden()
    const client = await exchange(
      signedHead(under, 'ana', `GET ${PATH}`, `Content-Length: ${inner.length}`),
      inner,
    )
    await client.response()
    client.socket.destroy()
    expect([seen(), bodies]).toEqual([[`GET ${PATH}`], [inner]])
  })

  it.each([
    ['a chunk size that is no number', 'xyz\r\n'],
    ['a chunk size with a sign', '-1\r\n'],
    ['a chunk size in 0x', '0x4\r\nabcd\r\n'],
    ['a chunk size beyond all numbers', `${'f'.repeat(17)}\r\n`],
    ['a bare LF after the size', '4\nabcd\n'],
    ['more bytes than the chunk has', '1\r\nabcd\r\n'],
    ['a bare CR in an extension', '4;a\rb\r\nabcd\r\n'],
    ['NUL in an extension', '4;a\x00b\r\nabcd\r\n'],
    ['a trailer with a space before the colon', '0\r\nX : y\r\n\r\n'],
  ])('%s ends the connection', async (_name, chunks) => {
    const client = await exchange(
      signedHead(under, 'ana', `POST ${PATH}`, 'Transfer-Encoding: chunked'),
      chunks,
      hidden(),
    )
    await client.gone()
    expect(client.responses.map(({ code }) => code)).toEqual([400])
    expect(bodies).toEqual([])
    expect(seen().every((line) => line === `POST ${PATH}`)).toBe(true)
  })

  it('10 MB of chunk extension are cut off', async () => {
    const client = await RawClient.open(under)
    const before = process.memoryUsage().rss
    client.send(signedHead(under, 'ana', `POST ${PATH}`, 'Transfer-Encoding: chunked'), '1;')
    const filler = Buffer.alloc(100_000, 'a')
    for (let n = 0; n < 100 && !client.closed; n += 1) {
      if (!client.socket.write(filler)) await new Promise(setImmediate)
    }
    await client.gone()
    expect(client.responses.map(({ code }) => code)).toEqual([413])
    expect(bodies).toEqual([])
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  })
})

describe('garbage while an answer is under way', () => {
  it('ends the connection without a byte more, so that it cannot pass for the answer', async () => {
    under.cluster.intercept = (_request, response) => {
      response.writeHead(200).write('first event\n')
      return true
    }
    const client = await RawClient.open(under)
    client.send(signedHead(under, 'ana', `GET ${PATH}?watch=true`))
    await eventually('the event', () => client.received.includes('first event'))
    const before = client.received.length
    client.send('garbage\r\n\r\n')
    await client.gone()
    expect(client.received.length).toBe(before)
    await eventually('upstream is closed', () => seen().length === 1)
  })

  it('and an upgrade behind a request without an answer is not taken', async () => {
    under.cluster.intercept = () => true
    const client = await RawClient.open(under)
    client.send(
      signedHead(under, 'ana', `GET ${PATH}`),
      signedHead(
        under,
        'ana',
        'POST /api/v1/namespaces/shop/pods/web-0/exec?command=id&stdout=true',
        'Connection: Upgrade',
        'Upgrade: SPDY/3.1',
        'X-Stream-Protocol-Version: v4.channel.k8s.io',
      ),
    )
    await client.gone()
    expect(client.received.length).toBe(0)
    expect(under.cluster.seen(/exec/)).toEqual([])
  })
})
