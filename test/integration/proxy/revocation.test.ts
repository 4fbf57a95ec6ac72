/** Two replicas, one store of sign-ins: what is revoked at one ends at both, with words. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { Wire } from '../../../lib/kube/dial-exec.ts'
import { observe } from '../../conformance/observe.ts'
import { eventually } from '../../fakes/eventually.ts'
import { createMemoryLoginStore } from '../../fakes/memory-login-store.ts'
import { askGateway } from './ask-gateway.ts'
import {
  CAT,
  POD_PATH,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

let ground: Ground
let here: GatewayUnderTest
let there: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  const logins = createMemoryLoginStore()
  const policies = [policy('free', { match: { operations: ['Exec', 'Logs'] } })]
  here = await startGatewayUnderTest(ground, policies, {}, logins)
  there = await startGatewayUnderTest(ground, policies, {}, logins)
})

afterEach(async () => {
  await Promise.all([here.close(), there.close()])
})

const NO_SIGNAL = new AbortController().signal
const ANA = { kind: 'User', username: 'ana' } as const

async function revokeAna(): Promise<string> {
  const { revoker } = here.revoking
  const { _id } = await revoker.revoke({ target: ANA, block: true, by: 'bo', reason: 'left' })
  await there.revoking.revocations.refresh()
  return _id
}

/** A response that goes on, of a log or a watch. */
async function follow(under: GatewayUnderTest, path: string): Promise<IncomingMessage> {
  const request = httpsRequest({
    host: '127.0.0.1',
    port: under.port,
    ca: under.ca,
    path,
    headers: { authorization: ground.people.bearer('ana') },
    agent: false,
  })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => undefined)
  return response
}

const PODS_PATH = '/api/v1/namespaces/shop/pods'

/** An API server whose watch says this, and then nothing. */
function watches(type: string, text: string): void {
  there.cluster.intercept = (_request, response, url) => {
    if (!url.searchParams.has('watch') || url.pathname !== PODS_PATH) return false
    response.writeHead(200, { 'content-type': type }).write(text)
    return true
  }
}

/** All that comes until it ends or is cut. */
async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  response.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await new Promise<void>((resolve) => response.once('close', () => resolve()))
  return text
}

/** `once` would take the error of a cut body for its own. */
async function closed(response: IncomingMessage): Promise<void> {
  await new Promise<void>((resolve) => response.once('close', () => resolve()).resume())
}

describe('who is revoked at one replica', () => {
  it.each<Wire>(['WebSocket', 'SPDY'])(
    'has their shell over %s ended at the other, with words, and the record says so',
    async (wire) => {
      const client = observe(await there.kubectl('ana', wire).dial(CAT, {}, NO_SIGNAL))
      const other = observe(await there.kubectl('eve', wire).dial(CAT, {}, NO_SIGNAL))
      await revokeAna()
      await client.until(() => client.closes.length > 0)
      expect(client.text('error')).toMatch(/your access was revoked by bo .*left.*PODGATE-1450/)
      expect(other.closes).toEqual([])
      const records = (): unknown[] =>
        [...there.store.sessions.values()].map(({ user, end }) => [user.username, end?.outcome])
      await eventually('the record', () => JSON.stringify(records()).includes('Revoked'))
      expect(records()).toEqual(
        expect.arrayContaining([
          ['ana', 'Revoked'],
          ['eve', undefined],
        ]),
      )
    },
  )

  it('types nothing more: what comes after it does not reach the pod', async () => {
    const session = await there.kubectl('ana').dial(CAT, {}, NO_SIGNAL)
    const client = observe(session)
    const upstream = observe(there.cluster.sessions[0] ?? session)
    session.write('stdin', Buffer.from('before'))
    await upstream.until(() => upstream.text('stdin') === 'before')
    await revokeAna()
    session.write('stdin', Buffer.from('after'))
    await client.until(() => client.closes.length > 0)
    expect(upstream.text('stdin')).toBe('before')
  })

  it.each([
    ['application/json', '1'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io', 'true'],
  ])('has a watch in %s ended with an event that says why', async (type, value) => {
    watches(type, '{"type":"ADDED"}\n')
    const response = await follow(there, `${PODS_PATH}?watch=${value}`)
    const text = textOf(response)
    await revokeAna()
    const [first, last, ...more] = (await text).split('\n')
    expect(first).toBe('{"type":"ADDED"}')
    expect(JSON.parse(last ?? '')).toMatchObject({
      type: 'ERROR',
      object: {
        kind: 'Status',
        code: 401,
        message: expect.stringMatching(/your access was revoked by bo .*PODGATE-1450/),
      },
    })
    expect(more).toEqual([''])
    expect(response.complete).toBe(true)
  })

  it.each([
    ['within an event', 'application/json', '{"type":"ADDED"}\n{"type":', '1'],
    ['in protobuf', 'application/vnd.kubernetes.protobuf;stream=watch', '\0\0\0\x01x\n', '1'],
    ['of a list that is no watch', 'application/json', '{"items":[\n', '0'],
  ])(
    'has an answer %s cut, and never so that it looks complete',
    async (_name, type, text, value) => {
      watches(type, text)
      const response = await follow(there, `${PODS_PATH}?watch=${value}`)
      const received = textOf(response)
      await revokeAna()
      expect(await received).toBe(text)
      expect(response.complete).toBe(false)
    },
  )

  it('has a log that is being written ended', async () => {
    there.cluster.intercept = (_request, response, url) => {
      if (url.pathname !== `${POD_PATH}/log`) return false
      response.writeHead(200, { 'content-type': 'text/plain' }).write('a line\n')
      return true
    }
    const response = await follow(there, `${POD_PATH}/log?follow=true`)
    const ended = closed(response)
    await revokeAna()
    await ended
    await eventually('the record', () =>
      [...there.store.sessions.values()].some(({ end }) => end?.outcome === 'Revoked'),
    )
  })

  it('gets in by no road any more, at no replica, until let in again', async () => {
    const id = await revokeAna()
    for (const under of [here, there]) {
      const { code, body } = await askGateway(under, ground, '/api/v1/namespaces/shop/pods')
      expect([code, body.toString()]).toEqual([401, expect.stringContaining('PODGATE-1450')])
      await expect(under.kubectl('ana').dial(CAT, {}, NO_SIGNAL)).rejects.toBeDefined()
      expect(under.cluster.seen(/\/exec/)).toEqual([])
    }
    await here.revoking.revoker.lift(id)
    await there.revoking.revocations.refresh()
    for (const under of [here, there]) {
      expect((await askGateway(under, ground, '/api/v1/namespaces/shop/pods')).code).toBe(200)
    }
  })
})

describe('somebody whose time is over', () => {
  const DISCOVERY = ['/api', '/apis', '/api/v1', '/apis/apps/v1', '/version', '/openapi/v2']
  const OTHERS = ['/api/v1/namespaces/shop/pods', '/api/v1/namespaces', '/healthz', '/metrics', '/']

  it.each([
    ['has an ended token', async () => await ground.people.expiredBearer('ana'), '1405'],
    [
      'was revoked',
      async () => {
        await revokeAna()
        return ground.people.bearer('ana')
      },
      '1450',
    ],
  ])(
    '%s: gets discovery as nobody in particular, and words for all else',
    async (_name, bearer, id) => {
      const headers = { authorization: await bearer() }
      there.cluster.requests.length = 0
      for (const path of DISCOVERY) {
        expect((await askGateway(there, ground, path, { headers })).code).not.toBe(401)
      }
      const identities = there.cluster.requests.map(({ headers: lines }) =>
        lines.filter((line) => line.startsWith('impersonate-')),
      )
      expect(new Set(identities.flat())).toEqual(new Set(['impersonate-user: podgate:signed-out']))
      expect(identities).toHaveLength(DISCOVERY.length)
      for (const path of OTHERS) {
        const { code, body } = await askGateway(there, ground, path, { headers })
        expect([code, body.toString()]).toEqual([401, expect.stringContaining(`PODGATE-${id}`)])
      }
      const posted = await askGateway(there, ground, '/api', { headers, method: 'POST' })
      expect(posted.code).toBe(401)
      expect(there.cluster.requests).toHaveLength(DISCOVERY.length)
    },
  )

  it.each([
    ['no token', {}],
    ['a token of nobody', { authorization: 'Bearer x.y.z' }],
  ])('is not somebody with %s: no discovery', async (_name, headers) => {
    there.cluster.requests.length = 0
    const bare = headers as Record<string, string>
    const { code } = await askGateway(there, ground, '/api', {
      headers: { authorization: '', ...bare },
    })
    expect(code).toBe(401)
    expect(there.cluster.requests).toEqual([])
  })
})
