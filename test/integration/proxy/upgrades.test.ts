/** Upgrades: what is taken, what is refused, and what is left behind by clients that vanish. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { accept, answer } from '../../fakes/scripted-api-server.ts'
import {
  POD_PATH,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { RawClient, head, signedHead } from './raw-client.ts'
import { SPDY, V4, V5, WEBSOCKET } from './upgrade-heads.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  under = await startGatewayUnderTest(ground)
  under.cluster.requests.length = 0
})

afterEach(async () => {
  await under.close()
})

const EXEC = `${POD_PATH}/exec?command=id&stdout=true&stderr=true`

/** What came from the client and not from the gateway's own watches. */
function seen(): string[] {
  return under.cluster.seen(/^(?!\/apis\/podgate)/).map(({ method, url }) => `${method} ${url}`)
}

/** Sends a request and something behind it that must never be served. */
async function exchange(start: string, ...lines: string[]): Promise<RawClient> {
  const client = await RawClient.open(under)
  client.send(
    signedHead(under, 'ana', start, ...lines),
    signedHead(under, 'ana', 'GET /api/v1/namespaces/shop/secrets'),
  )
  return client
}

describe('an upgrade that is none of ours is refused, and nothing behind it is served:', () => {
  it.each([
    ['h2c', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: h2c', V4]],
    ['TLS', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: TLS/1.0', V4]],
    ['an unknown word', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: foo', V4]],
    ['a list', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: websocket, SPDY/3.1', V4]],
    ['two lines', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: SPDY/3.1', 'Upgrade: foo', V4]],
    ['another SPDY', 'POST', EXEC, ['Connection: Upgrade', 'Upgrade: SPDY/3', V4]],
    ['SPDY without a version', 'POST', EXEC, SPDY],
    ['SPDY of a version that nobody has', 'POST', EXEC, [...SPDY, 'X-Stream-Protocol-Version: v9']],
    ['SPDY by DELETE', 'DELETE', EXEC, [...SPDY, V4]],
    ['WebSocket without a subprotocol', 'GET', EXEC, WEBSOCKET],
    ['WebSocket by POST', 'POST', EXEC, [...WEBSOCKET, V5]],
    [
      'WebSocket of an unknown subprotocol',
      'GET',
      EXEC,
      [...WEBSOCKET, 'Sec-WebSocket-Protocol: chat'],
    ],
    [
      'WebSocket of another version',
      'GET',
      EXEC,
      [...WEBSOCKET.map((line) => line.replace('13', '8')), V5],
    ],
    ['a stream without a command', 'POST', `${POD_PATH}/exec?stdout=true`, [...SPDY, V4]],
    ['contradicting parameters', 'POST', `${EXEC}&tty=true&tty=false`, [...SPDY, V4]],
    ['port-forward', 'POST', `${POD_PATH}/portforward`, [...SPDY, V4]],
    ['an upgrade of a watch', 'GET', '/api/v1/pods?watch=true', [...WEBSOCKET, V5]],
    ['an upgrade of a log', 'GET', `${POD_PATH}/log?follow=true`, [...WEBSOCKET, V5]],
    ['an upgrade of the pod proxy', 'GET', `${POD_PATH}/proxy/`, [...WEBSOCKET, V5]],
    [
      'an upgrade of the node proxy',
      'GET',
      '/api/v1/nodes/n1/proxy/exec/shop/web-0/main',
      [...WEBSOCKET, V5],
    ],
    ['an upgrade of the own API', 'GET', '/podgate/v1alpha1/sessions', [...WEBSOCKET, V5]],
    [
      'an upgrade of an ambiguous path',
      'POST',
      `${POD_PATH}/%2e%2e/exec?command=id`,
      [...SPDY, V4],
    ],
    ['impersonation', 'POST', EXEC, [...SPDY, V4, 'Impersonate-User: admin']],
  ])('%s', async (_name, method, path, lines) => {
    const client = await exchange(`${method} ${path}`, ...lines)
    await client.gone()
    expect(client.responses).toHaveLength(1)
    const [response] = client.responses
    expect(response?.code).toBeGreaterThanOrEqual(400)
    expect(response?.code).toBeLessThan(500)
    expect(response?.headers.get('connection')).toBe('close')
    expect(JSON.parse(String(response?.body))).toMatchObject({ kind: 'Status', status: 'Failure' })
    expect(seen()).toEqual([])
  })

  it('an upgrade without a token', async () => {
    const client = await RawClient.open(under)
    client.send(head(`POST ${EXEC}`, ...SPDY, V4))
    await client.gone()
    expect(client.responses.map(({ code }) => code)).toEqual([401])
    expect(seen()).toEqual([])
  })
})

describe('words in any case and in company are understood:', () => {
  it.each([
    ['POST', ['connection: keep-alive, UPGRADE', 'upgrade: spdy/3.1', V4]],
    ['GET', ['Connection: Upgrade', 'Upgrade: SPDY/3.1', V4]],
    ['GET', [...WEBSOCKET.map((line) => line.replace('websocket', 'WebSocket')), V5]],
  ])('%s %j', async (method, lines) => {
    const client = await RawClient.open(under)
    client.send(signedHead(under, 'ana', `${method} ${EXEC}`, ...lines))
    await eventually('101', () => client.responses[0]?.code === 101)
    client.socket.destroy()
  })
})

/** What a session leaves: sockets of clients, sockets to the cluster, streams under way. */
async function nothingLeft(): Promise<void> {
  await eventually('no client', () => under.clients.size === 0)
  await eventually('no stream', () => under.gateway.active === 0)
  // Idle connections of the pool and the three watches stay.
  await eventually('no exec connection', () =>
    under.cluster.sessions.every((session) => session.bufferedBytes === 0),
  )
}

type Stage = (client: RawClient) => Promise<void> | void

const REQUEST: Stage = (client) =>
  client.send(signedHead(under, 'ana', `POST ${EXEC}`, ...SPDY, V4))

describe('a client that resets the connection does no harm', () => {
  const stages: [string, Stage][] = [
    ['before a byte', (): void => undefined],
    ['in the middle of the head', (client): void => client.send('POST /api/v1/names')],
    ['right behind the head', REQUEST],
    [
      'while its rights are looked up',
      async (client): Promise<void> => {
        under.cluster.intercept = (_request, _response, url) => url.pathname.includes('subject')
        await REQUEST(client)
        await eventually('a review', () => under.cluster.seen(/subjectaccess/).length === 1)
      },
    ],
    [
      'while the record is opened',
      async (client): Promise<void> => {
        under.store.mode = 'silent'
        await REQUEST(client)
        await eventually('a pod', () => under.cluster.seen(POD_PATH).length === 1)
      },
    ],
    [
      'while the pod is dialled',
      async (client): Promise<void> => {
        under.cluster.upgrade = () => undefined
        await REQUEST(client)
        await eventually('an upgrade', () => under.cluster.seen(/exec/).length === 1)
      },
    ],
    [
      'with 101 and before a stream',
      async (client): Promise<void> => {
        await REQUEST(client)
        await eventually('101', () => client.responses[0]?.code === 101)
      },
    ],
    [
      'over WebSocket in the middle of a session',
      async (client): Promise<void> => {
        client.send(signedHead(under, 'ana', `GET ${EXEC}`, ...WEBSOCKET, V5))
        await eventually('101', () => client.responses[0]?.code === 101)
        await eventually('a session', () => under.cluster.sessions.length === 1)
        under.cluster.sessions[0]?.write('stdout', Buffer.alloc(1_000_000))
      },
    ],
  ]

  it.each(stages)('%s', async (_name, stage) => {
    const client = await RawClient.openResettable(under)
    await stage(client)
    client.reset()
    await eventually('no client', () => under.clients.size === 0)
    under.store.mode = 'up'
    under.cluster.intercept = undefined
    // Whoever waits for an answer of the cluster waits for 10 s at most; let it come.
    for (const socket of under.cluster.open) socket.destroy()
    await nothingLeft()
    under.cluster.upgrade = accept(() => under.cluster.sessions)
    await eventually('the gateway is well', () => under.policies.ageMs() < 15_000)
    const next = await RawClient.open(under)
    next.send(signedHead(under, 'ana', `GET ${EXEC}`, ...WEBSOCKET, V5))
    await eventually('101', () => next.responses[0]?.code === 101)
    next.socket.destroy()
    await nothingLeft()
  })
})

describe('when the API server refuses the upgrade', () => {
  it('nothing of the client reaches it on that connection (CVE-2018-1002105)', async () => {
    let stray = 0
    under.cluster.upgrade = (socket, request, bytes) => {
      stray += bytes.length
      socket.on('data', (chunk: Buffer) => (stray += chunk.length))
      return answer(403, { kind: 'Status', reason: 'Forbidden', code: 403, message: 'no' })(
        socket,
        request,
        bytes,
      )
    }
    const client = await exchange(`POST ${EXEC}`, ...SPDY, V4)
    await client.gone()
    expect(client.responses.map(({ code }) => code)).toEqual([403])
    expect(stray).toBe(0)
    expect(seen().filter((line) => line.includes('secrets'))).toEqual([])
  })

  it('500 times, over both wires, nothing is left', async () => {
    under.cluster.upgrade = answer(403, { kind: 'Status', reason: 'Forbidden', code: 403 })
    const handles = (): number => process.getActiveResourcesInfo().length
    const one = async (n: number): Promise<number | undefined> => {
      const leaves = n % 10 === 9
      const client = await (leaves ? RawClient.openResettable(under) : RawClient.open(under))
      const [method, lines] = n % 2 === 0 ? ['POST', [...SPDY, V4]] : ['GET', [...WEBSOCKET, V5]]
      client.send(signedHead(under, 'ana', `${method} ${EXEC}`, ...lines))
      if (leaves) client.reset()
      await client.gone(20_000)
      return client.responses[0]?.code
    }
    await one(0)
    await nothingLeft()
    const before = handles()
    const codes = new Set<number | undefined>()
    for (let round = 0; round < 20; round += 1) {
      const wave = Array.from({ length: 25 }, (_, n) => one(n))
      for (const code of await Promise.all(wave)) codes.add(code)
    }
    expect([...codes].filter((code) => code !== undefined)).toEqual([403])
    await nothingLeft()
    // The pool of the gateway keeps 32 idle connections at most, each one on both sides.
    await eventually('few handles', () => handles() <= before + 2 * 32 + 10)
    expect(under.gateway.active).toBe(0)
  }, 40_000)
})
