import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { createConsole } from '../../../lib/console/api.ts'
import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { User } from '../../../lib/identity/user.ts'
import { encodeFrame, type Entry } from '../../../lib/recording/frame.ts'
import { sessionDocument } from '../../../lib/recording/session-document.ts'
import { endFrame } from '../../conformance/store-suite.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { sessionStart } from '../../fakes/session-start.ts'
import { type Revoking, startRevoking } from '../../fakes/revoking.ts'
import { ISSUER, userNamed } from '../../fakes/user.ts'

function user(username: string, groups: string[], issuer = ISSUER): User {
  return userNamed(username, { groups, issuer })
}

const USERS = new Map<string, User>([
  ['ana', user('ana', ['dev'])],
  ['bo', user('bo', ['oncall'])],
  ['dpo', user('dpo', ['privacy', 'dev'])],
  ['other-ana', user('ana', ['dev'], 'https://elsewhere.test')],
])

let store: MemoryStore
let server: Server
let fetched: number
let revoking: Revoking

beforeEach(async () => {
  store = createMemoryStore()
  fetched = 0
  const counting = {
    ...store,
    getFrame: async (session: string, seq: number) => {
      fetched++
      return await store.getFrame(session, seq)
    },
  }
  revoking = await startRevoking(new AbortController().signal)
  const app = createConsole({
    store: counting,
    authenticate: async (request) => {
      const known = USERS.get(request.headers.authorization ?? '')
      if (known === undefined) {
        throw new GatewayError('Unauthorized', 'sign in again', { id: 1401 })
      }
      return known
    },
    auditorGroups: ['privacy'],
    adminGroups: ['platform'],
    ...revoking,
    watch: revoking.revocations.watch,
  })
  server = createServer((request, response) => {
    app(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

async function open(path: string, as = 'ana', method = 'GET'): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo
  const request = httpRequest({
    host: '127.0.0.1',
    port,
    path: `/podgate/v1alpha1/${path}`,
    method,
    headers: { authorization: as },
    agent: false,
  })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

interface Answer {
  code: number | undefined
  headers: IncomingMessage['headers']
  text: string
}

async function get(path: string, as = 'ana', method = 'GET'): Promise<Answer> {
  const response = await open(path, as, method)
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return {
    code: response.statusCode,
    headers: response.headers,
    text: Buffer.concat(chunks).toString(),
  }
}

async function getJson(path: string, as = 'ana', method = 'GET'): Promise<Record<string, unknown>> {
  const { text, headers } = await get(path, as, method)
  expect(headers['content-type']).toBe('application/json; charset=utf-8')
  return JSON.parse(text) as Record<string, unknown>
}

async function putSession(id: string, who = 'ana', minute = 0, issuer = ISSUER): Promise<void> {
  const start = sessionStart({
    id,
    user: { username: who, groups: [], issuer },
    startedAt: new Date(Date.UTC(2026, 10, 22, 10, minute)),
  })
  await store.putSession(sessionDocument(start, 'w', new Date()))
}

const LARGE_BYTES = 256 * 1024

/** More than sockets hold. */
async function putLargeSession(id: string, frames: number): Promise<void> {
  await putSession(id)
  const data = randomBytes(LARGE_BYTES)
  const entry = { kind: 'stdout', atMs: 1, data } as const
  await putFrames(
    id,
    Array.from({ length: frames }, () => [entry]),
  )
}

async function putFrames(id: string, frames: Entry[][]): Promise<void> {
  for (const [seq, entries] of frames.entries()) {
    await store.putFrame(await encodeFrame(entries, { session: id, seq, writer: 'w' }))
  }
}

async function ids(path: string, as?: string): Promise<string[]> {
  const { items } = await getJson(path, as)
  return (items as { id: string }[]).map(({ id }) => id)
}

describe('the list of sessions', () => {
  beforeEach(async () => {
    await putSession('s-a1', 'ana', 1)
    await putSession('s-b1', 'bo', 2)
    await putSession('s-a2', 'ana', 3)
    await putSession('s-x1', 'ana', 4, 'https://elsewhere.test')
  })

  const cases: [string, string, string, string[]][] = [
    ['one’s own, newest first', 'ana', 'sessions', ['s-a2', 's-a1']],
    [
      'nothing to a namesake of another identity provider but their own',
      'other-ana',
      'sessions',
      ['s-x1'],
    ],
    ['everything to an auditor', 'dpo', 'sessions', ['s-x1', 's-a2', 's-b1', 's-a1']],
    ['one user’s to an auditor', 'dpo', 'sessions?user=bo', ['s-b1']],
    ['nothing of others to the rest', 'ana', 'sessions?user=bo', []],
    ['what a filter leaves', 'ana', 'sessions?namespace=shop&pod=web-0', ['s-a2', 's-a1']],
    ['nothing of another pod', 'ana', 'sessions?pod=web-1', []],
  ]
  it.each(cases)('shows %s', async (_name, as, path, want) => {
    expect(await ids(path, as)).toEqual(want)
  })

  it('comes in pages that join without a gap', async () => {
    const seen: string[] = []
    let path = 'sessions?limit=1'
    for (;;) {
      const { items, metadata } = await getJson(path, 'dpo')
      seen.push(...(items as { id: string }[]).map(({ id }) => id))
      const token = (metadata as { continue?: string }).continue
      if (token === undefined) break
      path = `sessions?limit=1&continue=${encodeURIComponent(token)}`
    }
    expect(seen).toEqual(['s-x1', 's-a2', 's-b1', 's-a1'])
  })

  const attacks = [
    'user[$ne]=x',
    'user[]=bo',
    'user=ana&user=bo',
    'user.username=bo',
    '$where=1',
    'limit=1000',
    'continue=%00',
  ]
  it.each(attacks)('refuses ?%s', async (query) => {
    for (const as of ['ana', 'dpo']) {
      expect(await getJson(`sessions?${query}`, as)).toMatchObject({
        kind: 'Status',
        code: 400,
        reason: 'BadRequest',
      })
    }
  })
})

describe('one session', () => {
  it('is one flat document, without what is the store’s', async () => {
    await putSession('s-1')
    await putFrames('s-1', [[]])
    await store.setEnd('s-1', endFrame('s-1', 1, 'w').end)
    const session = await getJson('sessions/s-1')
    expect(session).toMatchObject({
      kind: 'Session',
      id: 's-1',
      user: { username: 'ana' },
      state: 'Ended',
      outcome: 'Completed',
      exitCode: 3,
      masked: { 'customer.no': 2 },
      startedAt: '2026-11-22T10:00:00.000Z',
      endedAt: '2026-11-22T10:01:00.000Z',
    })
    for (const field of ['_id', 'writer', 'leaseUntil', 'schemaVersion', 'end']) {
      expect(session).not.toHaveProperty(field)
    }
  })

  it('is Running until it has its end', async () => {
    await putSession('s-1')
    expect(await getJson('sessions/s-1')).toMatchObject({ state: 'Running' })
  })

  it('that is not there and one that is not yours get the same answer', async () => {
    await putSession('s-b', 'bo')
    await putSession('s-x', 'ana', 0, 'https://elsewhere.test')
    const missing = await get('sessions/s-none')
    expect(missing.code).toBe(404)
    for (const id of ['s-b', 's-x', 'S%24', '..%2f..', 'x'.repeat(200), '__proto__']) {
      for (const tail of ['', '/frames']) {
        const { code, text } = await get(`sessions/${id}${tail}`)
        expect([id, code, text]).toEqual([id, 404, missing.text])
      }
    }
    expect((await get('sessions/s-b', 'dpo')).code).toBe(200)
  })
})

describe('the frames of a session', () => {
  it('come as NDJSON, in order, with the very bytes', async () => {
    await putSession('s-1')
    const bytes = randomBytes(1000)
    await putFrames('s-1', [
      [
        { kind: 'stdout', atMs: 5, data: Buffer.from('a\n') },
        { kind: 'resize', atMs: 7, data: Buffer.from('{"Width":80,"Height":24}') },
      ],
      [{ kind: 'stderr', atMs: 9, data: bytes }],
    ])
    await store.putFrame(endFrame('s-1', 2, 'w'))
    const { headers, text } = await get('sessions/s-1/frames')
    expect(headers['content-type']).toBe('application/x-ndjson')
    expect(text.split('\n').map((line) => (line === '' ? '' : JSON.parse(line)))).toEqual([
      { atMs: 5, kind: 'stdout', data: 'YQo=' },
      { atMs: 7, kind: 'resize', data: Buffer.from('{"Width":80,"Height":24}').toString('base64') },
      { atMs: 9, kind: 'stderr', data: bytes.toString('base64') },
      '',
    ])
  })

  it('are an empty body for a session that has shown nothing', async () => {
    await putSession('s-1')
    expect(await get('sessions/s-1/frames')).toMatchObject({ code: 200, text: '' })
  })

  it('are read no faster than the client takes them', async () => {
    await putLargeSession('s-1', 120)
    const response = await open('sessions/s-1/frames')
    let before = -1
    // Until nothing moves any more: sockets hold some megabytes, the rest stays in the store.
    while (before !== fetched) {
      before = fetched
      await new Promise<void>((resolve) => {
        setTimeout(resolve, 100)
      })
    }
    expect(fetched).toBeLessThan(80)
    let size = 0
    for await (const chunk of response as AsyncIterable<Buffer>) size += chunk.length
    expect(size).toBeGreaterThan(120 * LARGE_BYTES)
    // All frames, and at most one window of look-ups beyond the last.
    expect(fetched).toBeLessThanOrEqual(125)
  })

  it('stop being read when the client goes away', async () => {
    await putLargeSession('s-1', 60)
    const response = await open('sessions/s-1/frames')
    response.destroy()
    expect((await get('sessions/s-1')).code).toBe(200)
    expect(fetched).toBeLessThan(60)
  })

  it('end when whoever reads them is revoked, in a broken connection', async () => {
    await putLargeSession('s-1', 60)
    const response = await open('sessions/s-1/frames')
    const target = { kind: 'User', username: 'ana' } as const
    await revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'left' })
    await expect(async () => {
      for await (const chunk of response as AsyncIterable<Buffer>)
        expect(chunk.length).toBeGreaterThan(0)
    }).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(fetched).toBeLessThan(60)
  })

  it('end in a broken connection, never a complete one, when a frame cannot be read', async () => {
    await putSession('s-1')
    await putFrames('s-1', [[{ kind: 'stdout', atMs: 1, data: Buffer.from('a') }]])
    const damaged = await encodeFrame([], { session: 's-1', seq: 1, writer: 'w' })
    await store.putFrame({ ...damaged, data: Buffer.from('junk'), size: 4 })
    await expect(get('sessions/s-1/frames')).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('are refused with a Status when the first cannot be read', async () => {
    await putSession('s-1')
    const damaged = await encodeFrame([], { session: 's-1', seq: 0, writer: 'w' })
    await store.putFrame({ ...damaged, data: Buffer.from('junk'), size: 4 })
    expect(await getJson('sessions/s-1/frames')).toMatchObject({ kind: 'Status', code: 500 })
  })
})

describe('every refusal is a Status', () => {
  const cases: [string, string, string, string, number, string][] = [
    ['nobody known', 'GET', 'sessions', 'nobody', 401, 'Unauthorized'],
    ['nobody known, on any path', 'GET', 'nothing', 'nobody', 401, 'Unauthorized'],
    ['an unknown path', 'GET', 'nothing', 'ana', 404, 'NotFound'],
    ['a path below frames', 'GET', 'sessions/s-1/frames/1', 'ana', 404, 'NotFound'],
    ['another method', 'POST', 'sessions', 'ana', 405, 'MethodNotAllowed'],
    [
      'HEAD is another method, DELETE too',
      'DELETE',
      'sessions/s-1',
      'ana',
      405,
      'MethodNotAllowed',
    ],
    ['a path that cannot be decoded', 'GET', 'sessions/%zz', 'ana', 400, 'BadRequest'],
  ]
  it.each(cases)('for %s', async (_name, method, path, as, code, reason) => {
    const answer = await get(path, as, method)
    expect(answer.code).toBe(code)
    expect(JSON.parse(answer.text)).toMatchObject({
      kind: 'Status',
      status: 'Failure',
      code,
      reason,
    })
    expect(answer.headers).not.toHaveProperty('x-powered-by')
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('also when the store is away', async () => {
    store.mode = 'down'
    for (const path of ['sessions', 'sessions/s-1', 'sessions/s-1/frames']) {
      expect(await getJson(path)).toMatchObject({ code: 503, reason: 'ServiceUnavailable' })
    }
  })
})
