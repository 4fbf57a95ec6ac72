import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { startKubeApiServer, type FakeKubeApiServer } from '../../fakes/kube-api-server.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

let server: FakeKubeApiServer
let place: Workplace
let ca: { 'certificate-authority-data': string }

beforeAll(async () => {
  place = await createWorkplace()
})

afterAll(() => place.remove())

beforeEach(async () => {
  server = await startKubeApiServer({ pathPrefix: '/clusters/one' })
  server.tokens.set('good', { username: 'bo', groups: ['oncall'] })
  ca = { 'certificate-authority-data': base64(server.ca.certificate) }
})

afterEach(() => server.close())

const list = (env: Record<string, string> = {}): Promise<Ended> =>
  place.run('kubectl-approve', [], env)

const NOTHING = { code: 0, out: '', err: 'No requests wait for your decision.\n' }

describe('a kubeconfig signs in', () => {
  it('with a token, below the path of the server', async () => {
    await place.kubeconfig(server.url, ca, { token: 'good' })
    expect(await list()).toMatchObject(NOTHING)
    expect(server.seen.map(({ username, userAgent }) => ({ username, userAgent }))).toEqual(
      Array.from({ length: 2 }, () => ({ username: 'bo', userAgent: 'podgate-cli/0.1.0' })),
    )
    expect(server.seen.every(({ url }) => url.startsWith('/clusters/one/apis/'))).toBe(true)
  })

  it('with a slash at the end of the server', async () => {
    await place.kubeconfig(`${server.url}/`, ca, { token: 'good' })
    expect(await list()).toMatchObject(NOTHING)
  })

  it('with a token file, which counts more than a token, beside the kubeconfig', async () => {
    await place.write('token', 'good\n')
    await place.kubeconfig(server.url, ca, { token: 'stale', tokenFile: 'token' })
    expect(await list()).toMatchObject(NOTHING)
  })

  it('with a client certificate, as data and as files', async () => {
    const { certificate, privateKey } = await issueCertificate(server.ca, {
      commonName: 'cy',
      organizations: ['oncall'],
      usages: ['client'],
    })
    await place.kubeconfig(server.url, ca, {
      'client-certificate-data': base64(certificate),
      'client-key-data': base64(privateKey),
    })
    expect(await list()).toMatchObject(NOTHING)
    await place.write('c.crt', certificate)
    await place.write('c.key', privateKey)
    await place.write('ca.crt', server.ca.certificate)
    await place.kubeconfig(
      server.url,
      { 'certificate-authority': 'ca.crt' },
      { 'client-certificate': 'c.crt', 'client-key': 'c.key' },
    )
    expect(await list()).toMatchObject(NOTHING)
    expect(server.seen.map(({ username }) => username)).toEqual(['cy', 'cy', 'cy', 'cy'])
  })

  it('to a server under another name with tls-server-name', async () => {
    const cluster = { ...ca, 'tls-server-name': 'api.internal' }
    await place.kubeconfig(server.url, cluster, { token: 'good' })
    expect(await list()).toMatchObject(NOTHING)
  })

  it('without checking the server with insecure-skip-tls-verify', async () => {
    await place.kubeconfig(server.url, { 'insecure-skip-tls-verify': true }, { token: 'good' })
    expect(await list()).toMatchObject(NOTHING)
  })
})

describe('what goes wrong is said in words, with its own code', () => {
  it('a token that is refused', async () => {
    await place.kubeconfig(server.url, ca, { token: 'bad' })
    expect(await list()).toMatchObject({
      code: 3,
      err: 'error: You must be logged in to the server (Unauthorized)\n',
    })
  })

  it('a server of another authority', async () => {
    const other = await createAuthority('other')
    const cluster = { 'certificate-authority-data': base64(other.certificate) }
    await place.kubeconfig(server.url, cluster, { token: 'good' })
    const { code, err } = await list()
    expect(err).toMatch(
      /^Unable to connect to the server https:.*: its certificate is signed by an unknown authority/,
    )
    expect(code).toBe(6)
    expect(server.seen).toEqual([])
  })

  it('a certificate for another name', async () => {
    await place.kubeconfig(server.url, { ...ca, 'tls-server-name': 'other' }, { token: 'good' })
    const { code, err } = await list()
    expect(err).toContain('its certificate is for another name')
    expect(code).toBe(6)
  })

  it('a port where nobody listens', async () => {
    const closed = createTcpServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    await place.kubeconfig(`https://127.0.0.1:${port}`, ca, { token: 'good' })
    expect(await list()).toMatchObject({
      code: 6,
      err: `Unable to connect to the server https://127.0.0.1:${port}: the connection was refused; is it running? (ECONNREFUSED)\n`,
    })
  })

  it('a server that speaks no TLS', async () => {
    const plain = createServer((_request, response) => response.end('hello'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const { port } = plain.address() as AddressInfo
    await place.kubeconfig(`https://127.0.0.1:${port}`, ca, { token: 'good' })
    const { code, err } = await list()
    expect(err).toContain('it does not speak TLS')
    expect(code).toBe(6)
    await closeServer(plain)
  })

  it('an answer without a Status', async () => {
    server.intercept = (_request, response) => {
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html>')
      return true
    }
    await place.kubeconfig(server.url, ca, { token: 'good' })
    expect(await list()).toMatchObject({
      code: 1,
      err: 'Error from server: it answered HTTP 502\n',
    })
  })

  it('an answer that is no JSON', async () => {
    server.intercept = (_request, response) => {
      response.writeHead(200).end('<html>')
      return true
    }
    await place.kubeconfig(server.url, ca, { token: 'good' })
    const { code, err } = await list()
    expect(err).toContain('answered something that is not JSON')
    expect(code).toBe(1)
  })

  it('an answer that breaks off', async () => {
    server.intercept = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{', () => response.destroy())
      return true
    }
    await place.kubeconfig(server.url, ca, { token: 'good' })
    const { code, err } = await list()
    expect(err).toContain('the connection was broken off')
    expect(code).toBe(6)
  })

  it('a proxy of a kind that is not supported', async () => {
    await place.kubeconfig(
      server.url,
      { ...ca, 'proxy-url': 'socks5://127.0.0.1:1' },
      { token: 'good' },
    )
    expect(await list()).toMatchObject({
      code: 1,
      err: 'error: proxy-url of the kubeconfig is socks5://127.0.0.1:1, which is not supported; only http:// and https:// proxies are\n',
    })
  })
})

describe('warnings of the server', () => {
  it('are shown once', async () => {
    server.intercept = (_request, response) => {
      response.setHeader(
        'warning',
        String.raw`299 - "deprecated, \"soon\" gone", 299 - "other \[2J"`,
      )
      return false
    }
    await place.kubeconfig(server.url, ca, { token: 'good' })
    expect((await list()).err).toBe(
      'Warning: deprecated, "soon" gone\nWarning: other [2J\nNo requests wait for your decision.\n',
    )
  })
})

describe('an http:// server', () => {
  it('is never sent a credential', async () => {
    const seen: (string | undefined)[] = []
    const plain = createServer((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(401, { 'content-type': 'application/json' }).end('{}')
    })
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    await place.kubeconfig(
      `http://127.0.0.1:${(plain.address() as AddressInfo).port}`,
      {},
      {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: 'no-such-plugin',
          interactiveMode: 'Never',
        },
      },
    )
    expect((await list()).code).toBe(3)
    expect(seen.length).toBeGreaterThan(0)
    expect(seen.every((header) => header === undefined)).toBe(true)
    await closeServer(plain)
  })
})

describe('an HTTP proxy', () => {
  let proxy: Server
  let asked: string[]
  let tunnels: Socket[]

  beforeEach(async () => {
    asked = []
    tunnels = []
    proxy = createServer()
    proxy.on('connect', (request, socket: Socket) => {
      asked.push(request.url ?? '')
      // Wherever the tunnel is meant to go, it ends at the fake: `gw.test` has no address.
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.pipe(socket).pipe(upstream)
      })
      tunnels.push(socket, upstream)
      for (const end of [socket, upstream]) end.on('error', () => end.destroy())
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
  })

  afterEach(async () => {
    for (const socket of tunnels) socket.destroy()
    await closeServer(proxy)
  })

  const proxyUrl = (): string => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const elsewhere = 'https://gw.test/clusters/one'

  it('of the kubeconfig is gone through', async () => {
    await place.kubeconfig(
      elsewhere,
      { ...otherName(), 'proxy-url': proxyUrl() },
      { token: 'good' },
    )
    expect(await list()).toMatchObject(NOTHING)
    expect(new Set(asked)).toEqual(new Set(['gw.test:443']))
  })

  it('of the environment is gone through', async () => {
    await place.kubeconfig(elsewhere, otherName(), { token: 'good' })
    expect(await list({ HTTPS_PROXY: proxyUrl() })).toMatchObject(NOTHING)
    expect(new Set(asked)).toEqual(new Set(['gw.test:443']))
  })

  it('of the environment is left aside for this machine', async () => {
    await place.kubeconfig(server.url, ca, { token: 'good' })
    expect(await list({ HTTPS_PROXY: proxyUrl() })).toMatchObject(NOTHING)
    expect(asked).toEqual([])
  })
})

const otherName = (): object => ({ ...ca, 'tls-server-name': 'api.internal' })

async function closeServer(plain: Server): Promise<void> {
  plain.close()
  plain.closeAllConnections()
  await once(plain, 'close')
}
