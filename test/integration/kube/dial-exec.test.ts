/**
 * The dialer against a real TLS server on this machine. Each refusal is also a
 * test for CVE-2018-1002105: the server keeps the connection open, and must see
 * it closed without one byte more.
 */
import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'

import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { createAuthority } from '../../../lib/cluster/pki.ts'
import { createExecDialer } from '../../../lib/kube/dial-exec.ts'
import { DEFAULT_STREAM_LIMITS } from '../../../lib/streams/stream-limits.ts'
import {
  FORBIDDEN,
  NOT_FOUND,
  NO_SIGNAL,
  TARGET,
  createDialBenches,
  status,
} from '../../fakes/dial-bench.ts'
import { observe } from '../../conformance/observe.ts'
import {
  SPDY_101,
  answer,
  createTestPki,
  say,
  type Answer,
  type TestPki,
} from '../../fakes/scripted-api-server.ts'

let pki: TestPki
const benches = createDialBenches(() => pki)
const { start } = benches

beforeAll(async () => {
  pki = await createTestPki()
})

afterEach(async () => {
  await benches.close()
})

const silent: Answer = () => undefined
const PLAIN_403 = answer(403, 'unknown subprotocol')

describe('a session is opened', () => {
  it.each([
    { by: 'WebSocket v5.channel.k8s.io', script: { websocket: 'accept', spdy: 'accept' } as const },
    { by: 'SPDY/3.1 v4.channel.k8s.io', script: { websocket: FORBIDDEN, spdy: 'accept' } as const },
  ])('by $by and carries bytes both ways', async ({ by, script }) => {
    const { server, dial } = await start(script)
    const leg = await dial()
    expect(leg.protocol).toBe(by)
    const seen = observe(leg)
    const upstream = server.sessions[0]
    if (upstream === undefined) throw new Error('not accepted')
    const atServer = observe(upstream)
    leg.write('stdin', Buffer.from('question'))
    leg.end('stdin')
    await atServer.until(() => atServer.ended.includes('stdin'))
    expect(atServer.text('stdin')).toBe('question')
    upstream.write('stdout', Buffer.from('answer'))
    await upstream.finish(Buffer.from('{"status":"Success"}'))
    await seen.until(() => seen.closes.length > 0)
    expect([seen.text('stdout'), seen.text('error')]).toEqual(['answer', '{"status":"Success"}'])
    expect(seen.ended).toEqual(expect.arrayContaining(['error', 'stderr', 'stdout']))
    expect(seen.closes.map(({ kind }) => kind)).toEqual(['clean'])
    await server.allClosed()
  })

  it.each([
    {
      name: 'exec',
      target: TARGET,
      path: '/api/v1/namespaces/shop/pods/web-0.a/exec?command=sh&command=-c&command=echo%20%22a%26b%3Dc%22%20%C3%BC&container=main&stdin=true&stdout=true&stderr=true',
    },
    {
      name: 'exec with a terminal, where stderr is no stream of its own',
      target: { ...TARGET, command: ['sh'], tty: true },
      path: '/api/v1/namespaces/shop/pods/web-0.a/exec?command=sh&container=main&stdin=true&stdout=true&tty=true',
    },
    {
      name: 'attach, which has no command',
      target: { ...TARGET, subresource: 'attach' as const, stdin: false },
      path: '/api/v1/namespaces/shop/pods/web-0.a/attach?container=main&stdout=true&stderr=true',
    },
  ])('at a path rebuilt for $name, the same on both wires', async ({ target, path }) => {
    const { server, dial } = await start({ websocket: FORBIDDEN, spdy: 'accept' })
    await dial(target)
    expect(server.requests.map(({ request }) => `${request.method} ${request.url}`)).toEqual([
      `GET ${path}`,
      `POST ${path}`,
    ])
  })

  it('below the base path of the endpoint, with an argument of 20,000 characters', async () => {
    const { server, dial } = await start({ websocket: 'accept', spdy: 'accept' })
    server.endpoint.basePath = '/clusters/one'
    await dial({ ...TARGET, command: ['echo', 'a'.repeat(20_000)] })
    expect(server.requests[0]?.request.url).toMatch(
      /^\/clusters\/one\/api\/v1\/.*command=a{20000}&container/,
    )
  })

  it("with the caller's impersonation and the gateway's own account, line by line", async () => {
    const { server, dial } = await start({ websocket: FORBIDDEN, spdy: 'accept' })
    await dial(TARGET, {
      'Impersonate-User': 'ana',
      'Impersonate-Group': ['dev', 'system:authenticated'],
      Authorization: 'Bearer of-the-client',
      Connection: 'Impersonate-User',
      Upgrade: 'h2c',
      Host: 'elsewhere',
      'Sec-WebSocket-Protocol': 'v4.channel.k8s.io',
      'X-Stream-Protocol-Version': 'v2.channel.k8s.io',
    })
    for (const { wire, request } of server.requests) {
      const lines: string[] = []
      for (let n = 0; n < request.rawHeaders.length; n += 2) {
        lines.push(`${request.rawHeaders[n]?.toLowerCase()}: ${request.rawHeaders[n + 1]}`)
      }
      expect(lines.filter((line) => line.startsWith('impersonate')).sort()).toEqual([
        'impersonate-group: dev',
        'impersonate-group: system:authenticated',
        'impersonate-user: ana',
      ])
      expect(lines).toContain('authorization: Bearer of-the-gateway')
      expect(lines).toContain('connection: Upgrade')
      expect(lines).toContain(`host: 127.0.0.1:${server.endpoint.port}`)
      expect(lines.filter((line) => line.startsWith('authorization'))).toHaveLength(1)
      expect(lines.filter((line) => /protocol(-version)?: /.test(line))).toEqual([
        wire === 'websocket'
          ? 'sec-websocket-protocol: v5.channel.k8s.io'
          : 'x-stream-protocol-version: v4.channel.k8s.io',
      ])
    }
    expect(server.requests).toHaveLength(2)
  })
})

const HUGE = answer(500, 'x'.repeat(1024 * 1024))

describe('what both wires refuse reaches the caller, and nothing else leaves it:', () => {
  it.each([
    {
      name: "the API server's own Status",
      websocket: NOT_FOUND,
      spdy: NOT_FOUND,
      want: { name: 'UpstreamStatusError', httpCode: 404, message: 'pods "web-0.a" not found' },
    },
    {
      name: 'the second Status, which is the one kubectl shows',
      websocket: FORBIDDEN,
      spdy: answer(403, status(403, 'Forbidden', 'cannot create pods/exec')),
      want: { httpCode: 403, message: 'cannot create pods/exec' },
    },
    {
      name: 'a Status rather than plain text after it',
      websocket: FORBIDDEN,
      spdy: answer(400, 'Upgrade request required'),
      want: { httpCode: 403, status: { reason: 'Forbidden' } },
    },
    {
      name: 'a Status rather than plain text before it',
      websocket: PLAIN_403,
      spdy: NOT_FOUND,
      want: { httpCode: 404, status: { reason: 'NotFound' } },
    },
    {
      name: 'a Status rather than a connection that breaks after it',
      websocket: NOT_FOUND,
      spdy: ((socket) => void socket.destroy()) satisfies Answer,
      want: { httpCode: 404 },
    },
    {
      name: 'plain text of a proxy, wrapped',
      websocket: answer(503, 'no backend'),
      spdy: answer(503, 'no backend'),
      want: { name: 'UpstreamStatusError', httpCode: 503, message: 'no backend' },
    },
    {
      name: 'an endless body, cut',
      websocket: HUGE,
      spdy: HUGE,
      want: { httpCode: 500, message: 'x'.repeat(500) },
    },
    {
      name: 'success that is no upgrade',
      websocket: answer(200, 'ok'),
      spdy: answer(200, { kind: 'Status', status: 'Success' }),
      want: { name: 'GatewayError', reason: 'BadGateway', id: 1507 },
    },
    {
      name: 'trouble with the own account, not as if it were of the user',
      websocket: answer(401, status(401, 'Unauthorized', 'Unauthorized')),
      spdy: answer(401, status(401, 'Unauthorized', 'Unauthorized')),
      want: { name: 'GatewayError', reason: 'ServiceUnavailable', id: 1505 },
    },
  ])('$name', async ({ websocket, spdy, want }) => {
    const { server, dial, wires } = await start({ websocket, spdy })
    await expect(dial()).rejects.toMatchObject(want)
    expect(wires()).toEqual(['websocket', 'spdy'])
    await server.allClosed()
    expect(server.strayBytes).toBe(0)
    expect(server.connections).toBe(2)
  })

  it.each([301, 302, 303, 307, 308])('no redirect by %d is followed', async (code) => {
    const canary = createTcpServer()
    let visits = 0
    canary.on('connection', (socket) => {
      visits += 1
      socket.destroy()
    })
    canary.listen(0, '127.0.0.1')
    await once(canary, 'listening')
    try {
      const location = `Location: https://127.0.0.1:${(canary.address() as AddressInfo).port}/`
      const redirect = answer(code, '', [location])
      const { server, dial } = await start({ websocket: redirect, spdy: redirect })
      await expect(dial()).rejects.toMatchObject({ reason: 'BadGateway', message: /redirect/ })
      await server.allClosed()
      expect([visits, server.strayBytes]).toEqual([0, 0])
    } finally {
      canary.close()
      await once(canary, 'close')
    }
  })

  it('a body that never comes is not waited for', async () => {
    const stuck = say('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nabc')
    const { server, dial } = await start({ websocket: stuck, spdy: NOT_FOUND })
    await expect(dial()).rejects.toMatchObject({ httpCode: 404 })
    await server.allClosed()
  })
})

function webSocket101(lines: string[]): Answer {
  return say(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'))
}

/** Wrong on purpose: the hash of no key. */
const WRONG_ACCEPT = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='

describe('a 101 that is not the one asked for ends the dial,', () => {
  it.each([
    {
      name: 'with a wrong accept key',
      bad: webSocket101(['Connection: Upgrade', 'Upgrade: websocket', WRONG_ACCEPT]),
    },
    {
      name: 'to another protocol',
      bad: webSocket101(['Connection: Upgrade', 'Upgrade: SPDY/3.1', WRONG_ACCEPT]),
    },
    { name: 'naming no protocol at all', bad: webSocket101([]) },
  ])('over WebSocket $name, and nothing is tried again: the command may run', async ({ bad }) => {
    const { server, dial, wires } = await start({ websocket: bad, spdy: 'accept' })
    await expect(dial()).rejects.toMatchObject({ reason: 'BadGateway', id: 1507 })
    await server.allClosed()
    expect(wires()).toEqual(['websocket'])
    expect(server.strayBytes).toBe(0)
  })

  it.each([
    { name: 'to another protocol', bad: SPDY_101.replace('SPDY/3.1', 'websocket') },
    { name: 'to an older SPDY', bad: SPDY_101.replace('SPDY/3.1', 'SPDY/3') },
    { name: 'in another stream protocol', bad: SPDY_101.replace('v4.', 'v2.') },
    { name: 'in no stream protocol', bad: SPDY_101.replace(/X-Stream.*\r\n/, '') },
    { name: 'naming no protocol', bad: 'HTTP/1.1 101 Switching Protocols\r\n\r\n' },
  ])('over SPDY $name', async ({ bad }) => {
    const { server, dial } = await start({ websocket: PLAIN_403, spdy: say(bad) })
    await expect(dial()).rejects.toMatchObject({ reason: 'BadGateway', id: 1507 })
    await server.allClosed()
    expect(server.strayBytes).toBe(0)
  })
})

describe('a dial that cannot succeed leaves no socket:', () => {
  it('a server that does not answer', async () => {
    const { server } = await start({ websocket: silent, spdy: silent })
    const dialer = createExecDialer({
      endpoint: server.endpoint,
      first: 'WebSocket',
      limits: { ...DEFAULT_STREAM_LIMITS, handshakeMs: 50 },
    })
    await expect(dialer.dial(TARGET, {}, NO_SIGNAL)).rejects.toMatchObject({ reason: 'Timeout' })
    await server.allClosed()
    expect(server.requests.map(({ wire }) => wire)).toEqual(['websocket'])
  })

  it('a server that is not there, without a second try', async () => {
    const { server, dial } = await start({ websocket: silent, spdy: silent })
    server.endpoint.port = 1
    await expect(dial()).rejects.toMatchObject({ reason: 'ServiceUnavailable', id: 1503 })
    expect(server.connections).toBe(0)
  })

  it('a server whose certificate is not trusted', async () => {
    const { server, dial } = await start({ websocket: 'accept', spdy: 'accept' })
    server.endpoint.tls = { ca: (await createAuthority('another')).certificate }
    await expect(dial()).rejects.toMatchObject({ reason: 'BadGateway', id: 1509 })
    await server.allClosed()
    expect([server.connections, server.requests.length]).toEqual([1, 0])
  })

  it.each([
    { name: 'before it began', script: { websocket: silent, spdy: silent }, when: 'before' },
    {
      name: 'waiting for WebSocket',
      script: { websocket: silent, spdy: silent },
      when: 'websocket',
    },
    { name: 'waiting for SPDY', script: { websocket: PLAIN_403, spdy: silent }, when: 'spdy' },
    {
      name: 'waiting for SPDY streams',
      script: { websocket: PLAIN_403, spdy: say(SPDY_101) },
      when: 'spdy',
    },
  ] as const)('one cancelled $name', async ({ script, when }) => {
    const { server, dial } = await start(script)
    const abort = new AbortController()
    const cancelling =
      (then: Answer): Answer =>
      (socket, request, head) => {
        void then(socket, request, head)
        setImmediate(() => abort.abort())
      }
    if (when === 'before') abort.abort()
    else server.script = { ...server.script, [when]: cancelling(script[when]) }
    await expect(dial(TARGET, {}, abort.signal)).rejects.toMatchObject({ id: 1508 })
    await server.allClosed()
  })

  it('one with a header that could be two', async () => {
    const { server, dial } = await start({ websocket: 'accept', spdy: 'accept' })
    const headers = { 'Impersonate-User': 'ana\r\nImpersonate-Group: system:masters' }
    await expect(dial(TARGET, headers)).rejects.toMatchObject({ name: 'GatewayError' })
    await server.allClosed()
    expect(server.requests).toEqual([])
  })

  it.each([
    { name: 'a pod above its folder', change: { pod: '..' } },
    { name: 'the same in disguise', change: { pod: '%2e%2e' } },
    { name: 'a slash', change: { pod: 'a/b' } },
    { name: 'no pod', change: { pod: '' } },
    { name: 'no namespace', change: { namespace: '' } },
    { name: 'a query', change: { namespace: 'a?b' } },
    { name: 'capital letters', change: { pod: 'Web' } },
    { name: 'an overlong name', change: { pod: 'a'.repeat(254) } },
    { name: 'half a character', change: { command: ['\ud800'] } },
  ])('one whose target has $name', async ({ change }) => {
    const { server, dial } = await start({ websocket: 'accept', spdy: 'accept' })
    await expect(dial({ ...TARGET, ...change })).rejects.toMatchObject({ reason: 'BadRequest' })
    expect(server.connections).toBe(0)
  })
})
