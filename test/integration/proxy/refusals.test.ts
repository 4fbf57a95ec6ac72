/** I5: whatever goes wrong, kubectl gets a Status that it can show. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { answer } from '../../fakes/scripted-api-server.ts'
import { json, refuse } from '../../fakes/scripted-cluster.ts'
import {
  POD_PATH,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { RawClient, signedHead, type RawResponse } from './raw-client.ts'

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

beforeEach(() => {
  under.cluster.requests.length = 0
})

afterEach(() => {
  under.cluster.intercept = undefined
})

const PATH = '/api/v1/namespaces/shop/configmaps'

async function ask(start = `GET ${PATH}`, ...lines: string[]): Promise<RawResponse> {
  const client = await RawClient.open(under)
  client.send(signedHead(under, 'ana', start, ...lines))
  const response = await client.response()
  client.socket.destroy()
  return response
}

function statusOf(response: RawResponse): { reason: string; message: string; code: number } {
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.body.length).toBeLessThan(1000)
  const status = JSON.parse(response.body.toString()) as {
    kind: string
    apiVersion: string
    status: string
    reason: string
    message: string
    code: number
  }
  expect(status).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure' })
  expect(status.code).toBe(response.code)
  return status
}

function serve(respond: (response: ServerResponse) => void): void {
  under.cluster.intercept = (_request, response, url) => {
    if (url.pathname !== PATH) return false
    respond(response)
    return true
  }
}

describe('a redirect is not followed, whatever it says:', () => {
  it.each([300, 301, 302, 303, 305, 307, 308])('%d', async (code) => {
    const canary = createServer((socket) => socket.destroy())
    let visits = 0
    canary.on('connection', () => (visits += 1))
    canary.listen(0, '127.0.0.1')
    await once(canary, 'listening')
    const location = `https://127.0.0.1:${(canary.address() as AddressInfo).port}/`
    serve((response) => response.writeHead(code, { location }).end('moved'))
    const response = await ask()
    expect(statusOf(response)).toMatchObject({ code: 502, reason: 'BadGateway' })
    expect(response.headers.has('location')).toBe(false)
    expect([visits, under.cluster.seen(PATH).length]).toEqual([0, 1])
    canary.close()
    await once(canary, 'close')
  })
})

describe('what is wrong behind the gateway is told apart:', () => {
  it.each([
    {
      name: "the gateway's own credential is refused",
      respond: (response: ServerResponse): void => refuse(response, 401, 'Unauthorized', 'no'),
      want: { code: 503, reason: 'ServiceUnavailable', message: /PODGATE-1505/ },
    },
    {
      name: 'the connection is cut',
      respond: (response: ServerResponse): void => void response.destroy(),
      want: { code: 503, reason: 'ServiceUnavailable', message: /PODGATE-1503/ },
    },
    {
      name: 'the protocol is switched, which nobody asked for',
      respond: ({ socket }: ServerResponse): void =>
        void socket?.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
        ),
      want: { code: 502, reason: 'BadGateway', message: /PODGATE-1507/ },
    },
    {
      name: 'the answer is no HTTP',
      respond: ({ socket }: ServerResponse): void => void socket?.write('garbage\r\n\r\n'),
      want: { code: 502, reason: 'BadGateway', message: /PODGATE-1507/ },
    },
    {
      name: 'the head of the answer is endless',
      respond: (response: ServerResponse): void =>
        void response.writeHead(200, { 'x-long': 'x'.repeat(100_000) }).end(),
      want: { code: 502, reason: 'BadGateway', message: /PODGATE-1507/ },
    },
  ])('$name', async ({ respond, want }) => {
    serve(respond)
    const { code, reason, message } = statusOf(await ask())
    expect({ code, reason }).toEqual({ code: want.code, reason: want.reason })
    expect(message).toMatch(want.message)
    await eventually('no half-open connection', () => under.clients.size === 0)
  })

  it('nobody listens, and later somebody does again', async () => {
    await under.cluster.stop()
    expect(statusOf(await ask())).toMatchObject({ code: 503, reason: 'ServiceUnavailable' })
    await under.cluster.listen()
    serve((response) => json(response, 200, {}))
    expect((await ask()).code).toBe(200)
  })
})

describe('ways into pods and nodes that no policy covers are closed:', () => {
  it.each([
    `GET ${POD_PATH}/nobody-knows`,
    'GET /api/v1/nodes/n1/log',
    'GET /api/v1/namespaces/shop/serviceaccounts/default/token',
  ])('%s', async (start) => {
    const { code, reason, message } = statusOf(await ask(start))
    expect([code, reason]).toEqual([403, 'Forbidden'])
    expect(message).toContain('PODGATE-1014')
    expect(under.cluster.seen(/^(?!\/apis\/podgate)/)).toEqual([])
  })

  it.each(['exec?command=id&stdout=true', 'attach?stdout=true', 'portforward'])(
    'a %s that is no upgrade',
    async (rest) => {
      const { code, message } = statusOf(await ask(`POST ${POD_PATH}/${rest}`))
      expect([code, message]).toEqual([400, expect.stringContaining('Upgrade request required')])
      expect(under.cluster.seen(/^(?!\/apis\/podgate)/)).toEqual([])
    },
  )
})

describe('what is right passes', () => {
  it("the API server's own refusals, in its own words and of any length", async () => {
    const message = 'a very long story. '.repeat(200)
    serve((response) => refuse(response, 422, 'Invalid', message))
    const response = await ask()
    expect(response.code).toBe(422)
    expect(JSON.parse(response.body.toString())).toMatchObject({ message, reason: 'Invalid' })
  })

  it("the gateway's own API", async () => {
    const { code, body } = await ask('GET /podgate/v1alpha1/sessions')
    expect([code, body.toString()]).toEqual([200, 'console'])
    expect(under.cluster.seen(/^(?!\/apis\/podgate)/)).toEqual([])
  })

  it('an expectation that nobody knows is passed over', async () => {
    serve((response) => json(response, 200, {}))
    expect((await ask(`GET ${PATH}`, 'Expect: the-unexpected')).code).toBe(200)
  })
})

it('a client that goes on uploading after its refusal is cut off', async () => {
  const client = await RawClient.open(under)
  client.send(
    signedHead(under, 'ana', `POST ${POD_PATH}/nobody-knows`, 'Content-Length: 1000000000'),
  )
  const drip = setInterval(() => client.send('x'), 50)
  expect(statusOf(await client.response()).code).toBe(403)
  await client.gone(4000)
  clearInterval(drip)
})

describe('refused execs', () => {
  const EXEC = `POST ${POD_PATH}/exec?command=id&stdout=true`
  const SPDY = ['Connection: Upgrade', 'Upgrade: SPDY/3.1']
  const VERSION = 'X-Stream-Protocol-Version: v4.channel.k8s.io'

  it('by the API server are cut to what kubectl reads', async () => {
    const message = 'ü'.repeat(3000)
    under.cluster.upgrade = answer(403, {
      kind: 'Status',
      status: 'Failure',
      message,
      reason: 'Forbidden',
      code: 403,
      details: { causes: [{ message }] },
    })
    const status = statusOf(await ask(EXEC, ...SPDY, VERSION))
    expect(status).toMatchObject({ code: 403, reason: 'Forbidden' })
    expect(status.message).toMatch(/^ü+\.\.\.$/)
  })

  it.each([
    {
      name: 'a reason with line ends',
      status: { reason: 'X\r\nX-Evil: 1\r\n\r\nevil', code: 403 },
    },
    { name: 'a code with line ends', status: { reason: 'Bad', code: '403\r\nX-Evil: 1\r\n\r\n' } },
    { name: 'a code that is none', status: { reason: 'Bad', code: 7 } },
    { name: 'a code of success', status: { reason: 'Bad', code: 101 } },
    { name: 'no code', status: { reason: 'Bad' } },
    { name: 'a message that is none', status: { reason: 'Bad', message: { x: 1 }, code: 403 } },
  ])('by a hostile kubelet are one well-formed answer: $name', async ({ status }) => {
    under.cluster.upgrade = answer(403, {
      kind: 'Status',
      status: 'Failure',
      details: { causes: [] },
      ...status,
    })
    const client = await RawClient.open(under)
    client.send(signedHead(under, 'ana', EXEC, ...SPDY, VERSION))
    await client.gone()
    expect(client.responses).toHaveLength(1)
    const [response] = client.responses
    expect(response).toMatchObject({ code: 403, complete: true })
    expect(response?.headers.has('x-evil')).toBe(false)
    statusOf(response as RawResponse)
  })
})
