/** Proxies of pods, services and nodes. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { readBytes } from '../../fakes/scripted-cluster.ts'
import { NEEDS_APPROVAL, pod, prepareGround, type Ground } from './gateway-under-test.ts'
import { nextChunk } from './log-bed.ts'
import { NODE, POD, RoadBed, SERVICE, clusterPolicy, wordsOf } from './road-bed.ts'

let ground: Ground
let bed: RoadBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

afterEach(async () => {
  await bed.under.close()
})

const PROXY = /\/proxy(?:\/|$)/
const PODS = { match: { operations: ['Proxy' as const] } }
const SERVICES = { match: { operations: ['Proxy' as const], services: ['web'] } }

function sha256(data: string): string {
  return createHash('sha256').update(data).digest('hex')
}

function says(text: string, headers: Record<string, string> = {}, code = 200) {
  return (_request: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(code, { 'content-type': 'text/plain', ...headers }).end(text)
}

describe('a request through the proxy', () => {
  it('is the marked person’s, without credentials, and is recorded by digest', async () => {
    bed = await RoadBed.start(ground, SERVICES)
    let posted = ''
    bed.serves(PROXY, (request, response) => {
      void readBytes(request).then((body) => {
        posted = body.toString()
        response.writeHead(201, { 'set-cookie': 'a=b', 'content-type': 'text/plain' }).end('made')
      })
    })
    const headers = { cookie: 'x=y', 'content-type': 'text/plain', range: 'bytes=0-' }
    const path = `${SERVICE}/orders/?mail=alice@example.com`
    const answer = await bed.ask('POST', path, headers, Buffer.from('an order'))
    expect([answer.code, answer.body.toString(), posted]).toEqual([201, 'made', 'an order'])
    expect(answer.headers['set-cookie']).toBeUndefined()
    const [upstream] = bed.under.cluster.seen(PROXY)
    expect(upstream?.url).toBe(path)
    const record = await bed.sealed()
    expect(
      upstream?.headers.filter((line) => /^(?:imp|auth|cookie|range)/.test(line)).sort(),
    ).toEqual([
      'authorization: Bearer of-the-gateway',
      ...ground.people.originLines('ana').slice(0, 1),
      `impersonate-extra-podgate.dev%2fsession: ${record._id}`,
      ...ground.people.originLines('ana').slice(1),
      'impersonate-group: dev',
      'impersonate-group: staff',
      'impersonate-uid: ana',
      'impersonate-user: ana',
      'range: bytes=0-',
    ])
    expect(record).toMatchObject({
      operation: 'Proxy',
      command: ['POST', '/orders/', expect.stringMatching(/^\?sha256=/)],
      content: 'Digest',
      target: { pod: '', podUID: '', service: 'web', port: 80 },
      end: { outcome: 'Completed', bytes: { stdin: 8, stdout: 4, stderr: 0 } },
    })
    const events = await bed.events()
    expect(events).toEqual(
      expect.arrayContaining([
        { type: 'digest', channel: 'stdin', bytes: 8, sha256: sha256('an order') },
        { type: 'digest', channel: 'stdout', bytes: 4, sha256: sha256('made') },
        { type: 'request', method: 'POST', path: `${SERVICE}/orders/`, status: 201 },
      ]),
    )
    expect(JSON.stringify([record, events])).not.toContain('alice')
    expect(bed.under.log.join('\n')).not.toContain('alice')
  })

  it('is kept in full where a policy says so, both ways', async () => {
    bed = await RoadBed.start(ground, { ...PODS, recording: { content: 'Full' } })
    bed.serves(PROXY, (request, response) => void request.pipe(response))
    const answer = await bed.ask('PUT', `${POD}/echo`, {}, Buffer.from('both ways'))
    expect(answer.body.toString()).toBe('both ways')
    await bed.sealed()
    const kept = (await bed.entries()).filter(({ kind }) => kind !== 'event')
    expect(kept.map(({ kind, data }) => [kind, Buffer.from(data).toString()])).toEqual([
      ['stdin', 'both ways'],
      ['stdout', 'both ways'],
    ])
  })

  it.each(['Digest', 'Full'] as const)(
    'of 8 MB either way is the same bytes: %s',
    async (content) => {
      bed = await RoadBed.start(ground, { ...PODS, recording: { content } })
      bed.serves(PROXY, (request, response) => void request.pipe(response))
      const body = Buffer.alloc(8 * 1024 * 1024, 'all work and no play\n')
      const answer = await bed.ask('POST', POD, {}, body)
      expect(answer.body.equals(body)).toBe(true)
      const bytes = { stdin: body.length, stdout: body.length, stderr: 0 }
      expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', bytes })
    },
  )

  it('streams: each event leaves when it is sent, and the program ends with the client', async () => {
    bed = await RoadBed.start(ground, PODS)
    const live = Promise.withResolvers<ServerResponse>()
    bed.serves(PROXY, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      live.resolve(response)
    })
    const request = httpsRequest({
      host: '127.0.0.1',
      port: bed.under.port,
      ca: bed.under.ca,
      path: `${POD}/events`,
      headers: { authorization: ground.people.bearer('ana') },
      agent: false,
    })
    request.on('error', () => undefined)
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => undefined)
    const program = await live.promise
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      program.write(event)
      expect(await nextChunk(response)).toBe(event)
    }
    response.destroy()
    await once(program, 'close')
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'ClientLost' })
  })

  it.each([
    ['HEAD', 'get'],
    ['GET', 'get'],
    ['POST', 'create'],
    ['PUT', 'update'],
    ['PATCH', 'patch'],
    ['DELETE', 'delete'],
  ])('by %s needs the right to %s', async (method, verb) => {
    bed = await RoadBed.start(ground, PODS)
    bed.under.cluster.allows = (_user, attributes) => attributes['verb'] !== verb
    bed.serves(PROXY, says('no'))
    expect((await bed.ask(method, POD)).code).toBe(403)
    bed.under.cluster.allows = (_user, attributes) =>
      attributes['verb'] === verb &&
      attributes['subresource'] === 'proxy' &&
      attributes['name'] === 'web-0:8080'
    expect((await bed.ask(method, POD)).code).toBe(200)
  })

  it('by another method is refused', async () => {
    bed = await RoadBed.start(ground, PODS)
    const answer = await bed.ask('OPTIONS', POD)
    expect([answer.code, answer.headers.allow]).toEqual([
      405,
      'GET, HEAD, POST, PUT, PATCH, DELETE',
    ])
  })

  it('waits for approval where a policy demands it', async () => {
    bed = await RoadBed.start(ground, { ...SERVICES, ...NEEDS_APPROVAL })
    expect(wordsOf(await bed.ask('GET', `${SERVICE}/a`))).toContain('PODGATE-1004')
    expect(bed.under.cluster.seen(PROXY)).toEqual([])
    const [asked] = bed.under.cluster.objects.list('approvalrequests', 'shop')
    expect(asked?.['spec']).toMatchObject({
      operation: 'Proxy',
      command: ['GET', '/a'],
      target: { service: 'web', ports: [80] },
    })
  })

  it('through a pod that was replaced meanwhile shows nothing', async () => {
    bed = await RoadBed.start(ground, PODS)
    bed.serves(PROXY, (_request, response) => {
      bed.under.cluster.objects.put('pods', pod('pod-2'))
      response.end('of another')
    })
    const answer = await bed.ask('GET', POD)
    expect([answer.code, wordsOf(answer)]).toEqual([409, expect.stringContaining('PODGATE-1032')])
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed' })
  })

  it('is refused while nothing can be recorded', async () => {
    bed = await RoadBed.start(ground, PODS)
    bed.under.store.mode = 'down'
    expect(wordsOf(await bed.ask('GET', POD))).toContain('PODGATE-1012')
    expect(bed.under.cluster.seen(PROXY)).toEqual([])
  })
})

describe('what the program says', () => {
  it.each([401, 403, 404, 500, 503])('passes with its %d', async (code) => {
    bed = await RoadBed.start(ground, PODS)
    bed.serves(PROXY, says('its own words', { 'www-authenticate': 'Basic' }, code))
    const answer = await bed.ask('GET', POD)
    expect([answer.code, answer.body.toString()]).toEqual([code, 'its own words'])
    expect(answer.headers['www-authenticate']).toBeUndefined()
  })

  it('may lead to another page of its own', async () => {
    bed = await RoadBed.start(ground, PODS)
    bed.serves(PROXY, says('', { location: `${POD}/` }, 301))
    const { code, headers } = await bed.ask('GET', POD)
    expect([code, headers.location]).toEqual([301, `${POD}/`])
  })

  it.each(['https://example.com/', '/api/v1/secrets', `${POD}/../../../secrets`, '//x/proxy'])(
    'does not lead to %s',
    async (location) => {
      bed = await RoadBed.start(ground, PODS)
      bed.serves(PROXY, says('', { location }, 302))
      const answer = await bed.ask('GET', POD)
      expect([answer.code, answer.headers.location]).toEqual([502, undefined])
      expect(wordsOf(answer)).toContain('PODGATE-1506')
    },
  )

  it('breaks off where it breaks off', async () => {
    bed = await RoadBed.start(ground, PODS)
    bed.serves(PROXY, (_request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    })
    await expect(bed.ask('GET', POD)).rejects.toThrow()
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })
})

describe('no policy, no proxy:', () => {
  it.each([
    ['a pod', PODS, { match: { operations: ['Logs' as const] } }, `${POD}/`],
    ['a service', SERVICES, PODS, `${SERVICE}/`],
    [
      'another service',
      {},
      { match: { operations: ['Proxy' as const], services: ['db'] } },
      SERVICE,
    ],
    ['another port', {}, { match: { operations: ['Proxy' as const], ports: [9090] } }, POD],
    ['a node', {}, { ...PODS, namespaceSelector: {} }, `${NODE}/metrics`],
  ])('%s', async (_name, _allowed, spec, path) => {
    bed = await RoadBed.start(ground, { match: spec.match })
    const answer = await bed.ask('GET', path)
    expect([answer.code, wordsOf(answer)]).toEqual([403, expect.stringContaining('PODGATE-1002')])
    expect(bed.under.cluster.seen(PROXY)).toEqual([])
  })

  it('a node is reached where a ClusterAccessPolicy names it, its exec never', async () => {
    const match = { operations: ['Proxy' as const], nodes: ['*'] }
    bed = await RoadBed.start(ground, PODS, clusterPolicy('nodes', match))
    bed.serves(PROXY, says('up 1\n'))
    expect((await bed.ask('GET', `${NODE}/metrics`)).body.toString()).toBe('up 1\n')
    expect(await bed.sealed()).toMatchObject({ target: { node: 'n1', port: 10250, pod: '' } })
    bed.under.cluster.requests.length = 0
    for (const page of [
      'run/shop/web-0/main',
      'exec/shop/web-0/main',
      'containerLogs/shop/web-0/x',
    ]) {
      expect(wordsOf(await bed.ask('POST', `${NODE}/${page}`))).toContain('PODGATE-1046')
    }
    expect(bed.under.cluster.seen(PROXY)).toEqual([])
  })

  it('a port by its name is decided by its number', async () => {
    const match = { operations: ['Proxy' as const], services: ['web'], ports: [80] }
    bed = await RoadBed.start(ground, { match })
    bed.serves(PROXY, says('ok'))
    const named = SERVICE.replace('web:80', 'web:http')
    expect((await bed.ask('GET', named)).code).toBe(200)
    expect((await bed.ask('GET', SERVICE.replace('web:80', 'web:https'))).code).toBe(403)
    expect((await bed.ask('GET', SERVICE.replace('web:80', 'web:+80'))).code).toBe(400)
  })
})
