/** JSON requests of the gateway itself, against a TLS server that answers as scripted. */
import type { ServerResponse } from 'node:http'
import { get } from 'node:https'

import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { createApiClient, type ApiClient } from '../../../lib/kube/api-client.ts'
import { eventually } from '../../fakes/eventually.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { ScriptedCluster, json, readBytes, refuse } from '../../fakes/scripted-cluster.ts'

let pki: TestPki
let cluster: ScriptedCluster
let client: ApiClient

beforeAll(async () => {
  pki = await createTestPki()
})

beforeEach(async () => {
  cluster = await ScriptedCluster.start(pki)
  client = createApiClient(cluster.endpoint)
})

afterEach(async () => {
  client.close()
  await cluster.stop()
})

function answer(respond: (response: ServerResponse) => void): void {
  cluster.intercept = (_request, response) => {
    respond(response)
    return true
  }
}

describe('a request', () => {
  it('carries method, path below the base path, JSON, and the own account once', async () => {
    cluster.endpoint.basePath = '/clusters/one'
    let body = ''
    cluster.intercept = (request, response) => {
      void readBytes(request).then((bytes) => {
        body = bytes.toString()
        json(response, 200, { fine: true })
      })
      return true
    }
    const headers = { 'Impersonate-User': 'ana', 'Impersonate-Group': ['dev', 'oncall'] }
    const answered = await client.request('PATCH', '/api/v1/things?x=1', {
      body: { text: 'ü' },
      contentType: 'application/merge-patch+json',
      headers,
    })
    expect(answered).toEqual({ fine: true })
    expect(body).toBe('{"text":"ü"}')
    const [seen] = cluster.requests
    expect(`${seen?.method} ${seen?.url}`).toBe('PATCH /clusters/one/api/v1/things?x=1')
    expect(seen?.headers.filter((line) => !line.startsWith('host'))).toEqual([
      'accept: application/json',
      'user-agent: podgate',
      'impersonate-user: ana',
      'impersonate-group: dev',
      'impersonate-group: oncall',
      'authorization: Bearer of-the-gateway',
      'content-type: application/merge-patch+json',
      'content-length: 13',
      'connection: keep-alive',
    ])
  })

  it('uses one connection for many, one after another', async () => {
    answer((response) => json(response, 200, {}))
    for (let n = 0; n < 20; n += 1) await client.request('GET', '/api')
    expect(cluster.connections).toBe(1)
  })

  it('does not wait for what people have open, however much that is', async () => {
    cluster.intercept = (_request, response, url) => {
      if (url.pathname === '/watch') response.writeHead(200).flushHeaders()
      else json(response, 200, {})
      return true
    }
    const { host, port, tls } = cluster.endpoint
    const watches = Array.from({ length: 40 }, () =>
      get({ host, port, ...tls, path: '/watch', agent: client.agent }).on('error', () => undefined),
    )
    await eventually('all watches', () => cluster.seen('/watch').length === 40)
    await client.request('GET', '/api')
    // Of its own, so that no limit on the one pool can starve the other.
    expect(cluster.connections).toBe(41)
    for (const watch of watches) watch.destroy()
  })

  it('leaves no connection open that is not used', async () => {
    const brief = createApiClient(cluster.endpoint, { idleMs: 30 })
    answer((response) => void setTimeout(() => json(response, 200, { slow: true }), 90))
    await expect(brief.request('GET', '/api')).resolves.toEqual({ slow: true })
    await eventually('no connection', () => cluster.open.size === 0)
    brief.close()
  })

  it('is answered again after the API server was restarted on its port', async () => {
    answer((response) => json(response, 200, {}))
    await client.request('GET', '/api')
    await cluster.stop()
    await expect(client.request('GET', '/api')).rejects.toMatchObject({ id: 1503 })
    await cluster.listen()
    await expect(client.request('GET', '/api')).resolves.toEqual({})
  })
})

describe('a refusal', () => {
  it("is the API server's own Status, with its code", async () => {
    answer((response) => refuse(response, 409, 'Conflict', 'has been modified'))
    await expect(client.request('PUT', '/api', { body: {} })).rejects.toMatchObject({
      name: 'UpstreamStatusError',
      httpCode: 409,
      status: { reason: 'Conflict', message: 'has been modified' },
    })
  })

  it.each([
    { name: 'plain text', text: 'no backend', want: 'no backend' },
    { name: 'nothing', text: '', want: 'the API server answered HTTP 503' },
    { name: 'another kind of object', text: '{"kind":"Pod"}', want: '{"kind":"Pod"}' },
    { name: 'JSON null', text: 'null', want: 'null' },
    { name: 'a long page', text: 'x'.repeat(5000), want: 'x'.repeat(500) },
  ])('that is $name is wrapped', async ({ text, want }) => {
    answer((response) => response.writeHead(503).end(text))
    await expect(client.request('GET', '/api')).rejects.toMatchObject({
      httpCode: 503,
      status: { kind: 'Status', status: 'Failure', message: want, code: 503 },
    })
  })

  it.each([301, 302, 307, 308])('by redirect %d is not followed', async (code) => {
    answer((response) =>
      response.writeHead(code, { location: 'https://127.0.0.1:1/elsewhere' }).end(),
    )
    await expect(client.request('GET', '/api')).rejects.toMatchObject({ httpCode: code })
    expect(cluster.requests).toHaveLength(1)
  })
})

describe('trouble is told in words:', () => {
  it('nobody listens', async () => {
    await cluster.stop()
    await expect(client.request('GET', '/api')).rejects.toMatchObject({
      name: 'GatewayError',
      reason: 'ServiceUnavailable',
      id: 1503,
    })
  })

  it.each([
    ['no answer comes in time', (): void => undefined],
    [
      'an answer stops in the middle',
      (response: ServerResponse): void => void response.writeHead(200).write('{"half":'),
    ],
  ])('%s', async (_name, respond) => {
    answer(respond)
    await expect(client.request('GET', '/api', { timeoutMs: 100 })).rejects.toMatchObject({
      reason: 'Timeout',
      id: 1504,
    })
    await eventually('the connection is closed', () => cluster.open.size === 0)
  })

  it.each([
    [
      'the connection breaks before the answer',
      (response: ServerResponse): void => void response.destroy(),
    ],
    [
      'the connection breaks in the middle of the answer',
      (response: ServerResponse): void => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{"half":', () => response.destroy())
      },
    ],
  ])('%s', async (_name, respond) => {
    answer(respond)
    await expect(client.request('GET', '/api')).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      id: 1503,
    })
  })

  it('the answer is no JSON', async () => {
    answer((response) => response.writeHead(200).end('<html>'))
    await expect(client.request('GET', '/api')).rejects.toMatchObject({
      name: 'GatewayError',
      reason: 'InternalError',
    })
  })

  it('the answer is 101, which nobody asked for', async () => {
    cluster.intercept = (request) => {
      request.socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      )
      return true
    }
    await expect(client.request('GET', '/api')).rejects.toMatchObject({ name: 'GatewayError' })
    await eventually('the connection is closed', () => cluster.open.size === 0)
  })

  it('the certificate is not trusted', async () => {
    const stranger = await createTestPki()
    const endpoint = { ...cluster.endpoint, tls: { ca: stranger.authority.certificate } }
    const distrustful = createApiClient(endpoint)
    try {
      await expect(distrustful.request('GET', '/api')).rejects.toMatchObject({
        reason: 'BadGateway',
        id: 1509,
      })
      expect(cluster.requests).toHaveLength(0)
    } finally {
      distrustful.close()
    }
  })
})

describe('an abort', () => {
  it('before the answer closes the connection and says so', async () => {
    const abort = new AbortController()
    const asked = client.request('GET', '/api', { signal: abort.signal })
    answer(() => abort.abort())
    await expect(asked).rejects.toMatchObject({ name: 'GatewayError' })
    await eventually('the connection is closed', () => cluster.open.size === 0)
  })

  it('during a body that is read piece by piece ends it', async () => {
    const abort = new AbortController()
    answer((response) => void response.writeHead(200).write('piece'))
    const body = await client.open('GET', '/watch', { signal: abort.signal, timeoutMs: 0 })
    const pieces: string[] = []
    await expect(async () => {
      for await (const piece of body) {
        pieces.push(String(piece))
        abort.abort()
      }
    }).rejects.toThrow()
    expect(pieces).toEqual(['piece'])
    await eventually('the connection is closed', () => cluster.open.size === 0)
  })
})
