import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'

import { afterEach, describe, expect, it } from '@jest/globals'
import { Counter, Registry } from 'prom-client'

import { createOpsServer, type HealthCheck } from '../../../lib/telemetry/ops-server.ts'

const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

interface Ops {
  port: number
  unready: string[]
  get(path: string, method?: string): Promise<{ code: number; type: string; text: string }>
}

const WELL: HealthCheck = { name: 'policies', check: () => undefined }
const ILL: HealthCheck = {
  name: 'mongodb',
  check: () => {
    throw new Error('mongodb://user:secret@db refused')
  },
}
const REJECTING: HealthCheck = {
  name: 'approvals',
  check: () => Promise.reject(new Error('too old')),
}
const HANGING: HealthCheck = { name: 'hanging', check: () => new Promise<void>(() => undefined) }
/** A check may reject with nothing at all. */
const SILENT: HealthCheck = {
  name: 'silent',
  check: () => Promise.reject(undefined),
}

async function start(readiness: HealthCheck[], registry = new Registry()): Promise<Ops> {
  const unready: string[] = []
  const server = createOpsServer({
    registry,
    readiness,
    checkTimeoutMs: 50,
    onUnready: (name, reason) => void unready.push(`${name}: ${String(reason)}`),
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    unready,
    async get(path, method = 'GET') {
      const request = httpRequest({ host: '127.0.0.1', port, path, method, agent: false }).end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      let text = ''
      for await (const chunk of response) text += String(chunk)
      const type = response.headers['content-type'] ?? ''
      return { code: response.statusCode ?? 0, type, text }
    },
  }
}

describe('/livez', () => {
  it('is well whatever the checks say, because a restart would not help', async () => {
    const ops = await start([ILL, HANGING])
    expect(await ops.get('/livez')).toMatchObject({ code: 200, text: 'ok\n' })
    expect(ops.unready).toEqual([])
  })
})

describe('/readyz', () => {
  it.each([
    { name: 'is short when all is well', path: '/readyz', checks: [WELL], code: 200, text: 'ok\n' },
    {
      name: 'lists each check when asked to',
      path: '/readyz?verbose',
      checks: [WELL, { ...WELL, name: 'mongodb' }],
      code: 200,
      text: '[+]policies ok\n[+]mongodb ok\nreadyz check passed\n',
    },
    {
      name: 'lists each check when one fails, without the reason',
      path: '/readyz',
      checks: [WELL, ILL],
      code: 503,
      text: '[+]policies ok\n[-]mongodb failed: reason withheld\nreadyz check failed\n',
    },
    {
      name: 'takes a rejection for a failure',
      path: '/readyz?verbose',
      checks: [REJECTING],
      code: 503,
      text: '[-]approvals failed: reason withheld\nreadyz check failed\n',
    },
    {
      name: 'takes a rejection without a reason for a failure',
      path: '/readyz',
      checks: [SILENT],
      code: 503,
      text: '[-]silent failed: reason withheld\nreadyz check failed\n',
    },
    {
      name: 'does not wait for ever for a check',
      path: '/readyz',
      checks: [HANGING, WELL],
      code: 503,
      text: '[-]hanging failed: reason withheld\n[+]policies ok\nreadyz check failed\n',
    },
    {
      name: 'asks one check alone',
      path: '/readyz/policies',
      checks: [WELL, ILL],
      code: 200,
      text: 'ok\n',
    },
    {
      name: 'tells of one check alone',
      path: '/readyz/mongodb?verbose',
      checks: [WELL, ILL],
      code: 503,
      text: '[-]mongodb failed: reason withheld\nreadyz check failed\n',
    },
    {
      name: 'knows no check of another name',
      path: '/readyz/nothing',
      checks: [WELL],
      code: 404,
      text: 'no such check\n',
    },
    {
      name: 'takes a slash at its end for nothing',
      path: '/readyz/',
      checks: [WELL],
      code: 200,
      text: 'ok\n',
    },
  ])('$name', async ({ path, checks, code, text }) => {
    const ops = await start(checks)
    expect(await ops.get(path)).toMatchObject({ code, text })
  })

  it('tells the reason to the log, and to nobody else', async () => {
    const ops = await start([WELL, ILL, HANGING])
    const { text } = await ops.get('/readyz?verbose')
    expect(text).not.toContain('secret')
    expect(ops.unready).toEqual([
      'mongodb: Error: mongodb://user:secret@db refused',
      'hanging: Error: timed out',
    ])
  })

  it('answers a HEAD without a body', async () => {
    const ops = await start([ILL])
    expect(await ops.get('/readyz', 'HEAD')).toMatchObject({ code: 503, text: '' })
  })
})

describe('/metrics', () => {
  it('are in the text format of Prometheus', async () => {
    const registry = new Registry()
    new Counter({ name: 'tries_total', help: 'Tries.', registers: [registry] }).inc(3)
    const { code, type, text } = await (await start([], registry)).get('/metrics')
    expect([code, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    expect(text).toContain('# TYPE tries_total counter\ntries_total 3\n')
  })
})

describe('anything else is answered, and only that:', () => {
  it.each([
    ['GET', '/', 404],
    ['GET', '/debug/pprof', 404],
    ['GET', '//', 404],
    ['GET', '//evil/livez', 404],
    ['GET', '/readyz/../metrics', 404],
    ['GET', '/%', 404],
    ['GET', 'http://[', 404],
    ['POST', '/livez', 405],
    ['DELETE', '/metrics', 405],
  ])('%s %s', async (method, path, code) => {
    const ops = await start([WELL])
    expect((await ops.get(path, method)).code).toBe(code)
    expect(ops.unready).toEqual([])
  })

  it('garbage closes the connection', async () => {
    const { port, get } = await start([WELL])
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('garbage\r\n\r\n')
    await once(socket, 'close')
    expect((await get('/livez')).code).toBe(200)
  })
})
