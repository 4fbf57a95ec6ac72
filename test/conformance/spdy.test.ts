import { once } from 'node:events'
import type { RequestOptions } from 'node:https'
import { request as httpsRequest, createServer as createHttpsServer } from 'node:https'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { beforeAll } from '@jest/globals'

import { createAuthority, issueCertificate } from '../../lib/cluster/pki.ts'
import { openSpdySession } from '../../lib/spdy/client-session.ts'
import { acceptSpdySession } from '../../lib/spdy/server-session.ts'
import { STREAM_NAMES } from '../../lib/streams/channel.ts'
import { sessionSuite, type SessionPair } from './session-suite.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const NO_HEAD = new Uint8Array(0)

interface Ends {
  serverSocket: Duplex
  serverHead: Uint8Array
  clientSocket: Duplex
  clientHead: Uint8Array
  listener: { close(): unknown; once(event: 'close', listener: () => void): unknown }
}

async function pairOn(ends: Ends): Promise<SessionPair> {
  const { serverSocket, clientSocket } = ends
  const streams = [...STREAM_NAMES]
  const [server, client] = await Promise.all([
    acceptSpdySession(serverSocket, ends.serverHead, { protocol: PROTOCOL, expected: streams }),
    openSpdySession(clientSocket, ends.clientHead, { protocol: PROTOCOL, streams }),
  ])
  return {
    server,
    client,
    async close() {
      for (const socket of [serverSocket, clientSocket]) {
        socket.destroy()
        if (!socket.closed) await once(socket, 'close')
      }
      const closed = new Promise<void>((resolve) => ends.listener.once('close', resolve))
      ends.listener.close()
      await closed
    },
  }
}

/** As after an upgrade: both ends half-open, nothing else on the connection. */
async function connectTcp(): Promise<SessionPair> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const clientSocket = connect({ port, host: '127.0.0.1' })
  const [serverSocket] = await accepted
  return await pairOn({
    serverSocket,
    serverHead: NO_HEAD,
    clientSocket,
    clientHead: NO_HEAD,
    listener,
  })
}

const tls = { ca: '', cert: '', key: '' }

/** The real thing: TLS, an upgraded request, Node's own agent on the client's side. */
async function connectHttps(): Promise<SessionPair> {
  const listener = createHttpsServer(tls).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const options: RequestOptions = {
    host: '127.0.0.1',
    port,
    method: 'POST',
    ca: tls.ca,
    servername: 'podgate.test',
    headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1' },
  }
  const asked = httpsRequest(options).end()
  const accepted = once(listener, 'upgrade') as Promise<[unknown, Duplex, Buffer]>
  const answered = once(asked, 'upgrade') as Promise<[unknown, Duplex, Buffer]>
  const [, serverSocket, serverHead] = await accepted
  serverSocket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
  )
  const [, clientSocket, clientHead] = await answered
  return await pairOn({ serverSocket, serverHead, clientSocket, clientHead, listener })
}

beforeAll(async () => {
  const authority = await createAuthority('podgate test')
  const server = await issueCertificate(authority, {
    commonName: 'podgate.test',
    hosts: ['podgate.test'],
    usages: ['server'],
  })
  Object.assign(tls, {
    ca: authority.certificate,
    cert: server.certificate,
    key: server.privateKey,
  })
})

sessionSuite({ name: 'SPDY v4 over TCP', connect: connectTcp })
sessionSuite({ name: 'SPDY v4 over an upgraded HTTPS request', connect: connectHttps })
