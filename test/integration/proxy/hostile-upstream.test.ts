/**
 * CVE-2018-1002105: an answer to the upgrade that is no 101 must never leave a tunnel behind, in
 * which the client could go on talking to the API server with the gateway's credentials.
 */
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import {
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { EXEC, SPDY, WEBSOCKET } from './hostile-bed.ts'
import { RawClient, signedHead } from './raw-client.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

/** Sockets of upgrade requests as the API server has them, and what came behind the heads. */
let upgraded: Duplex[]
let stray: number

beforeEach(async () => {
  under = await startGatewayUnderTest(ground)
  under.cluster.requests.length = 0
  upgraded = []
  stray = 0
})

afterEach(async () => {
  await under.close()
})

/** The API server says this to each upgrade, and keeps the connection open. */
function answerWith(text: string): void {
  under.cluster.upgrade = (socket, _request, head) => {
    upgraded.push(socket)
    stray += head.length
    socket.on('data', (chunk: Buffer) => (stray += chunk.length))
    // The connection of a server that would like to go on: the gateway has to end it.
    socket.on('end', () => socket.end())
    socket.write(text)
  }
}

/** Pipelined behind the answer, for whoever takes the connection for a tunnel. */
const BEHIND =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{"items":["of the cluster"]}'

function response(start: string, lines: string[] = [], body = 'no'): string {
  const head = [`HTTP/1.1 ${start}`, `Content-Length: ${body.length}`, ...lines, '', body]
  return head.join('\r\n') + BEHIND
}

const WIRES = [
  ['SPDY', 'POST', SPDY],
  ['WebSocket', 'GET', WEBSOCKET],
] as const

const ANSWERS: [string, string][] = [
  ['200', response('200 OK')],
  [
    '200 that says it is an upgrade',
    response('200 OK', ['Connection: Upgrade', 'Upgrade: SPDY/3.1']),
  ],
  [
    '200 in chunks',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n${BEHIND}`,
  ],
  ['200 without a length', `HTTP/1.1 200 OK\r\n\r\n${BEHIND}`],
  ['204', `HTTP/1.1 204 No Content\r\n\r\n${BEHIND}`],
  ['304', `HTTP/1.1 304 Not Modified\r\n\r\n${BEHIND}`],
  ['400 and keep-alive', response('400 Bad Request', ['Connection: keep-alive'])],
  ['403', response('403 Forbidden', ['Connection: Upgrade', 'Upgrade: SPDY/3.1'])],
  ['404', response('404 Not Found')],
  ['426', response('426 Upgrade Required', ['Upgrade: SPDY/3.1', 'Connection: Upgrade'])],
  ['500', response('500 Oops')],
  ['100 and then 403', `HTTP/1.1 100 Continue\r\n\r\n${response('403 Forbidden')}`],
  ['101 that names no protocol', `HTTP/1.1 101 Switching Protocols\r\n\r\n${BEHIND}`],
  [
    '101 to another protocol',
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${BEHIND}`,
  ],
  ['no HTTP', `SSH-2.0-OpenSSH_9.2\r\n${BEHIND}`],
]

describe.each(WIRES)('over %s', (_wire, method, lines) => {
  it.each(ANSWERS)('%s opens no tunnel', async (_name, text) => {
    answerWith(text)
    const client = await RawClient.open(under)
    const secrets = signedHead(under, 'ana', 'GET /api/v1/namespaces/shop/secrets')
    client.send(signedHead(under, 'ana', `${method} ${EXEC}`, ...lines), secrets)
    await eventually('an answer', () => client.received.length > 0 || client.closed)
    // As one that has been let through would go on.
    client.send(secrets)
    await client.gone()
    expect(client.responses).toHaveLength(1)
    const [refusal] = client.responses
    expect(refusal?.code).toBeGreaterThanOrEqual(400)
    expect(JSON.parse(String(refusal?.body))).toMatchObject({ kind: 'Status', status: 'Failure' })
    expect(client.received.toString()).not.toContain('of the cluster')
    expect([upgraded.length > 0, stray]).toEqual([true, 0])
    expect(under.cluster.seen(/secrets/)).toEqual([])
    await eventually('no upgrade connection', () => upgraded.every(({ destroyed }) => destroyed))
    await eventually('nothing runs', () => under.gateway.active === 0)
    const ends = [...under.store.sessions.values()].map(({ end }) => end?.outcome)
    expect(ends).not.toContain('Completed')
    expect(ends).not.toContain(undefined)
  })

  it.each([301, 302, 303, 307, 308])('a redirect by %d is not followed', async (code) => {
    let visits = 0
    const canary = createServer((socket) => socket.destroy()).on('connection', () => (visits += 1))
    canary.listen(0, '127.0.0.1')
    await once(canary, 'listening')
    const { port } = canary.address() as AddressInfo
    try {
      answerWith(response(`${code} Elsewhere`, [`Location: https://127.0.0.1:${port}/exec`]))
      const client = await RawClient.open(under)
      client.send(signedHead(under, 'ana', `${method} ${EXEC}`, ...lines))
      await client.gone()
      const [refusal] = client.responses
      expect(refusal?.code).toBeGreaterThanOrEqual(400)
      expect(refusal?.headers.has('location')).toBe(false)
      expect(client.received.toString()).not.toContain(String(port))
      expect([visits, stray]).toEqual([0, 0])
      await eventually('no upgrade connection', () => upgraded.every(({ destroyed }) => destroyed))
    } finally {
      canary.close()
    }
  })
})
