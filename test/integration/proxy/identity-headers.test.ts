/**
 * I4: who a request is made as follows from the verified token alone. Real
 * sockets, because what matters is what a parser makes of the bytes. The same for
 * 100,000 drawn requests: identity-property.test.ts.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import {
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { identityLines, speakingOfIdentity } from './identity-oracle.ts'
import { RawClient, head, signedHead } from './raw-client.ts'

let ground: Ground
let under: GatewayUnderTest
let identity: string[]

beforeAll(async () => {
  ground = await prepareGround()
  under = await startGatewayUnderTest(ground)
  const { authenticator, bearer } = ground.people
  identity = identityLines(await authenticator.authenticate(bearer('ana')))
})

afterAll(async () => {
  await under.close()
  await ground.people.close()
})

beforeEach(() => {
  under.cluster.requests.length = 0
})

const PATH = '/api/v1/namespaces/shop/pods'

/** The gateway asks for other things too; these are the requests of the client. */
function passed(): string[][] {
  return under.cluster.seen(PATH).map(({ headers }) => headers)
}

async function ask(...lines: string[]): Promise<{ code: number; body: string }> {
  const client = await RawClient.open(under)
  try {
    client.send(signedHead(under, 'ana', `GET ${PATH}`, ...lines))
    const { code, body } = await client.response()
    return { code, body: body.toString() }
  } finally {
    client.socket.destroy()
  }
}

const OURS = ['Impersonate-User', 'Impersonate-Group', 'Impersonate-Uid', 'Authorization']

describe('what a client says about identity reaches nobody:', () => {
  it.each([
    [
      'headers of an authenticating proxy',
      'X-Remote-User: admin',
      'X-Remote-Group: system:masters',
    ],
    ['extras of an authenticating proxy', 'X-Remote-Extra-Scopes: all', 'x-remote-uid: 1'],
    ['a second Authorization', 'Authorization: Bearer of-somebody-else'],
    ['a Proxy-Authorization', 'Proxy-Authorization: Basic YTpi'],
    ['cookies', 'Cookie: session=1; token=x', 'Cookie: more=1'],
    [
      'a bearer token as a browser sends it',
      'Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YQ',
    ],
    [
      'forwarded addresses',
      'Forwarded: for=10.0.0.1',
      'X-Forwarded-For: 10.0.0.1',
      'X-Real-IP: 10.0.0.1',
    ],
    ['client certificates of a proxy', 'SSL-Client-Cert: x', 'X-Forwarded-Client-Cert: By=x'],
    [
      'names that objects have',
      '__proto__: Impersonate-User',
      'constructor: x',
      'hasOwnProperty: x',
      '__proto__: y',
    ],
    ['underscores for hyphens', 'Impersonate_User: admin', 'X_Remote_User: admin'],
    ['another method', 'X-HTTP-Method-Override: DELETE', 'X-Method-Override: PUT'],
    ['another path', 'X-Original-URL: /api/v1/secrets', 'X-Rewrite-URL: /api/v1/secrets'],
  ])('%s', async (_name, ...lines) => {
    expect((await ask(...lines)).code).toBe(200)
    expect(passed().map(speakingOfIdentity)).toEqual([identity])
  })

  it.each([
    ...OURS.map((name) => [`Connection: ${name}`]),
    ...OURS.map((name) => [`Connection: keep-alive, ${name.toUpperCase()}`]),
    ['Connection: keep-alive', ...OURS.map((name) => `connection: ${name.toLowerCase()}`)],
    ['Connection: close', 'CONNECTION: impersonate-uSER,Impersonate-Group ,\tAuthorization'],
    ['Proxy-Connection: Impersonate-User', 'Keep-Alive: Impersonate-User'],
    ['TE: Impersonate-User', 'Trailer: Impersonate-User, Authorization'],
  ])('names of our headers in %s', async (...lines) => {
    expect((await ask(...lines)).code).toBe(200)
    expect(passed().map(speakingOfIdentity)).toEqual([identity])
    expect(passed()[0]?.filter((line) => line.startsWith('connection:'))).toEqual([
      'connection: keep-alive',
    ])
  })

  it("and the headers that do pass are the client's own, each once", async () => {
    await ask('Accept: application/json', 'X-Odd: 1', 'User-Agent: kubectl/v1', 'If-Match: "1"')
    expect(
      passed()[0]
        ?.filter((line) => !line.startsWith('host:'))
        .sort(),
    ).toEqual(
      [
        ...identity,
        'accept: application/json',
        'connection: keep-alive',
        'if-match: "1"',
        'user-agent: kubectl/v1',
      ].sort(),
    )
  })
})

describe('what stands among the subprotocols of a WebSocket reaches nobody, and keeps nobody out:', () => {
  it.each([
    ['a bearer token', 'base64url.bearer.authorization.k8s.io.YWRtaW4, v5.channel.k8s.io'],
    ['a name that is none', 'v5.channel.k8s.io, system:masters'],
    ['a name with a slash', 'v5.channel.k8s.io, SPDY/3.1+portforward.k8s.io'],
    ['one name twice', 'v5.channel.k8s.io, v5.channel.k8s.io'],
    ['nothing between commas', ', ,v5.channel.k8s.io,,'],
    ['a name in 8 bits', 'v5.channel.k8s.io, adm\xefn'],
  ])('%s', async (_name, offer) => {
    const client = await RawClient.open(under)
    const exec = '/api/v1/namespaces/shop/pods/web-0/exec'
    client.send(
      signedHead(
        under,
        'ana',
        `GET ${exec}?command=id&stdout=true`,
        'Connection: Upgrade, Impersonate-User',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        `Sec-WebSocket-Protocol: ${offer}`,
      ),
    )
    await eventually('an answer', () => client.responses.length === 1)
    const [answer] = client.responses
    client.socket.destroy()
    expect([answer?.code, answer?.headers.get('sec-websocket-protocol')]).toEqual([
      101,
      'v5.channel.k8s.io',
    ])
    const { authenticator, bearer } = ground.people
    const marked = identityLines(await authenticator.authenticate(bearer('ana')), true)
    const sent = under.cluster.seen(exec).map(({ headers }) => speakingOfIdentity(headers))
    expect(sent).toEqual([marked])
  })
})

describe('acting as somebody else is refused with a Status:', () => {
  it.each([
    [403, 'Impersonate-User: admin'],
    [403, 'impersonate-user: admin'],
    [400, 'IMPERSONATE-USER: '],
    [400, 'Impersonate-Uid: 1'],
    [400, 'Impersonate-Group: system:masters', 'Impersonate-Group: x'],
    [400, 'Impersonate-Extra-Scopes: all'],
    [400, 'Impersonate-Extra-podgate.dev%2fsession: s-1'],
    // A slash cannot stand in the name of a header: then it is no HTTP at all.
    [400, 'Impersonate-Extra-podgate.dev/session: s-1'],
    [403, 'Impersonate-User: bo', 'Impersonate-Extra-podgate.dev%2fsession: s-1'],
    [403, 'Impersonate-User: ana', 'Connection: Impersonate-User'],
    [400, 'Impersonate-: x'],
  ] as [number, ...string[]][])('with %d: %s', async (wanted, ...lines) => {
    const { code, body } = await ask(...lines)
    expect([code, (JSON.parse(body) as { kind: string }).kind]).toEqual([wanted, 'Status'])
    expect(passed()).toEqual([])
  })

  it('also behind more headers than anybody needs', async () => {
    const filler = Array.from({ length: 300 }, (_, n) => `X-Filler-${n}: x`)
    const { code } = await ask(...filler, 'Impersonate-User: admin')
    expect(code).toBe(413)
    expect(passed()).toEqual([])
  })
})

describe('nobody is let in', () => {
  it.each([
    ['without a token', []],
    ['by an empty token', ['Authorization: Bearer ']],
    ['by a token that is none', ['Authorization: Bearer abc']],
    ['by name and password', ['Authorization: Basic YTpi']],
    ['by a cookie', ['Cookie: token=x']],
    ["by the gateway's own credential", ['Authorization: Bearer of-the-gateway']],
  ])('%s', async (_name, lines) => {
    const client = await RawClient.open(under)
    client.send([`GET ${PATH} HTTP/1.1`, 'Host: x', ...lines, '', ''].join('\r\n'))
    const { code, body, headers } = await client.response()
    client.socket.destroy()
    expect(code).toBe(401)
    expect(headers.get('content-type')).toBe('application/json')
    expect(JSON.parse(body.toString())).toMatchObject({ kind: 'Status', reason: 'Unauthorized' })
    expect(passed()).toEqual([])
  })
})

it('two people on one connection are never mixed up', async () => {
  const client = await RawClient.open(under)
  for (let n = 0; n < 20; n += 1) {
    client.send(signedHead(under, n % 2 === 0 ? 'ana' : 'bo', `GET ${PATH}`))
  }
  await client.response(19)
  client.socket.destroy()
  const users = passed().map((headers) =>
    headers.find((line) => line.startsWith('impersonate-user')),
  )
  expect(users).toHaveLength(20)
  expect(users.filter((line) => line === 'impersonate-user: bo')).toHaveLength(10)
  for (const headers of passed()) {
    const isBo = headers.includes('impersonate-user: bo')
    expect(headers.includes('impersonate-group: oncall')).toBe(isBo)
    expect(headers.includes('impersonate-group: dev')).toBe(!isBo)
  }
})

it.each([
  ['is let in', 'bo', 200],
  ['is refused', undefined, 401],
])(
  'an answer holds nothing of another one, where the second of three %s and expects to be asked for its body',
  async (_name, second, code) => {
    const client = await RawClient.open(under)
    const lines = ['Expect: 100-continue', 'Content-Length: 4']
    client.send(
      signedHead(under, 'ana', `GET ${PATH}`),
      second === undefined
        ? head(`POST ${PATH}`, ...lines)
        : signedHead(under, 'bo', `GET ${PATH}`, ...lines),
      'abcd',
      signedHead(under, 'ana', `GET ${PATH}`),
    )
    await client.response(1)
    const [first, other] = client.responses
    client.socket.destroy()
    expect([first?.code, other?.code]).toEqual([200, code])
    // Node writes a 100 that it has kept back between the head and the body of its answer.
    expect([first, other].map((answer) => answer?.body.toString().slice(0, 7))).toEqual([
      '{"metad',
      code === 200 ? '{"metad' : '{"kind"',
    ])
  },
)

it('whoever expects to be asked for the body is asked, where no other answer is owed', async () => {
  const client = await RawClient.open(under)
  client.send(signedHead(under, 'ana', `GET ${PATH}`, 'Expect: 100-continue', 'Content-Length: 4'))
  expect((await client.response()).code).toBe(100)
  client.send('abcd')
  expect((await client.response(1)).code).toBe(200)
  client.socket.destroy()
})

it('tokens are in no line of the log', async () => {
  await ask('Impersonate-User: admin')
  expect(under.log.join('\n')).not.toMatch(/eyJ|of-the-gateway/)
})
