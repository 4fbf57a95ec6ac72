/** The listener by itself: clients that take their time, and what TLS it speaks. */
import { once } from 'node:events'
import type { Server } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { createListener, listen } from '../../../lib/proxy/listener.ts'
import { eventually } from '../../fakes/eventually.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { RawClient, head } from './raw-client.ts'

let pki: TestPki
let server: Server
let address: { port: number; ca: string }

function options(patienceMs: number): Parameters<typeof createListener>[0] {
  return {
    cert: pki.server.certificate,
    key: pki.server.privateKey,
    patienceMs,
    onRequest: (_request, response) => void response.end('served'),
    onUpgrade: (_request, socket) => void socket.destroy(),
  }
}

/** Sends `text` letter by letter; the signal tells when all is sent. */
function drip(client: RawClient, text: string, everyMs: number): AbortController {
  const done = new AbortController()
  let at = 0
  const timer = setInterval(() => {
    client.send(text.charAt(at))
    at += 1
    if (at === text.length) done.abort()
  }, everyMs)
  done.signal.addEventListener('abort', () => clearInterval(timer))
  return done
}

beforeAll(async () => {
  pki = await createTestPki()
  server = createListener(options(150))
  address = { port: await listen(server, '127.0.0.1', 0), ca: pki.authority.certificate }
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

describe('a client that takes its time is cut off', () => {
  it('when it does not begin TLS', async () => {
    const socket = connectTcp(address.port, '127.0.0.1').resume()
    socket.on('error', () => undefined)
    const ms = await eventually('it is closed', () => socket.closed)
    expect(ms).toBeLessThan(2000)
  })

  it('when its head comes letter by letter, and is told so', async () => {
    const client = await RawClient.open(address)
    const stop = drip(client, head('GET /', `X-Long: ${'x'.repeat(1000)}`), 10)
    await client.gone(3000)
    stop.abort()
    const [response] = client.responses
    expect(response?.code).toBe(504)
    expect(JSON.parse(String(response?.body))).toMatchObject({ kind: 'Status', reason: 'Timeout' })
  })

  it('but not when only the body is slow', async () => {
    const client = await RawClient.open(address)
    client.send(head('POST /', 'Content-Length: 4'))
    expect((await client.response()).body.toString()).toBe('served')
    // Longer than a head may take.
    const { signal } = drip(client, 'abcd', 100)
    await once(signal, 'abort')
    client.send(head('GET /'))
    expect((await client.response(1)).code).toBe(200)
    client.socket.destroy()
  })
})

describe('TLS', () => {
  it.each(['TLSv1', 'TLSv1.1'] as const)('%s is not spoken', async (version) => {
    const socket = connect({
      host: '127.0.0.1',
      port: address.port,
      ca: address.ca,
      minVersion: version,
      maxVersion: version,
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    await expect(once(socket, 'secureConnect')).rejects.toThrow()
  })

  it.each([
    [['h2', 'http/1.1'], 'http/1.1'],
    [['http/1.1'], 'http/1.1'],
    [[], false],
  ])('with an offer of %j agrees on %s', async (offer, want) => {
    const socket = connect({
      host: '127.0.0.1',
      port: address.port,
      ca: address.ca,
      ...(offer.length === 0 ? {} : { ALPNProtocols: offer }),
    })
    await once(socket, 'secureConnect')
    expect(socket.alpnProtocol).toBe(want)
    socket.destroy()
  })

  it.each(['', 'x'.repeat(250), 'xn--caf-dma.test', '..', 'a..b'])(
    'takes %p for a server name, or ends, but goes on serving',
    async (servername) => {
      const socket = connect({
        host: '127.0.0.1',
        port: address.port,
        servername,
        rejectUnauthorized: false,
      })
      socket.on('error', () => undefined)
      await eventually('an end of the handshake', () => socket.closed || socket.encrypted)
      socket.destroy()
      const client = await RawClient.open(address)
      client.send(head('GET /'))
      expect((await client.response()).code).toBe(200)
      client.socket.destroy()
    },
  )
})

describe('listen', () => {
  it('says which address is taken', async () => {
    const second = createListener(options(1000))
    await expect(listen(second, '127.0.0.1', address.port)).rejects.toMatchObject({
      name: 'GatewayError',
      message: `listen: cannot listen on 127.0.0.1:${address.port}`,
    })
  })
})
