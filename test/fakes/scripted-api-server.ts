/**
 * A TLS server that answers upgrades as a test tells it to, and remembers what
 * it was asked and sent. What it accepts, it accepts with the real legs.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { createAuthority, issueCertificate, type KeyPair } from '../../lib/cluster/pki.ts'
import type { ApiEndpoint } from '../../lib/kube/endpoint.ts'
import { acceptSpdySession } from '../../lib/spdy/server-session.ts'
import { STREAM_NAMES, type StreamName } from '../../lib/streams/channel.ts'
import type { StreamSession } from '../../lib/streams/session.ts'
import { acceptWebSocketSession } from '../../lib/websocket/server-session.ts'

export type Answer = (
  socket: Duplex,
  request: IncomingMessage,
  head: Buffer,
) => void | Promise<void>

export interface Script {
  websocket: Answer
  spdy: Answer
}

export interface ScriptedApiServer {
  readonly endpoint: ApiEndpoint
  readonly requests: { wire: 'websocket' | 'spdy'; request: IncomingMessage }[]
  /** Legs opened by `accept`. */
  readonly sessions: StreamSession[]
  readonly connections: number
  /** Bytes that came after a request's head on connections that were not accepted. */
  readonly strayBytes: number
  script: Script
  /** Resolves when no connection is open any more. */
  allClosed(): Promise<void>
  close(): Promise<void>
}

export interface TestPki {
  authority: KeyPair
  server: KeyPair
}

export async function createTestPki(): Promise<TestPki> {
  const authority = await createAuthority('test authority')
  const server = await issueCertificate(authority, {
    commonName: 'api',
    hosts: ['127.0.0.1', 'localhost'],
    usages: ['server'],
  })
  return { authority, server }
}

/** Writes `text` as it is and keeps the connection open, as a hostile server would. */
export function say(text: string): Answer {
  return (socket) => {
    socket.write(text)
  }
}

/** A complete response with a body, the connection kept open. */
export function answer(code: number, body: string | object, headers: string[] = []): Answer {
  const json = typeof body === 'object'
  const text = json ? JSON.stringify(body) : body
  return say(
    [
      `HTTP/1.1 ${code} Whatever`,
      `Content-Type: ${json ? 'application/json' : 'text/plain'}`,
      `Content-Length: ${Buffer.byteLength(text)}`,
      ...headers,
      '',
      text,
    ].join('\r\n'),
  )
}

export const SPDY_101 =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n'

export async function startScriptedApiServer(
  pki: TestPki,
  script: Script,
): Promise<ScriptedApiServer> {
  const open = new Set<Socket>()
  let connections = 0
  let strayBytes = 0
  const requests: ScriptedApiServer['requests'] = []
  const server = createServer({
    cert: pki.server.certificate,
    key: pki.server.privateKey,
    maxHeaderSize: 256 * 1024,
  })
  const waiting = new Set<() => void>()
  server.on('connection', (socket: Socket) => {
    connections += 1
    open.add(socket)
    socket.on('close', () => {
      open.delete(socket)
      if (open.size === 0) for (const tell of waiting) tell()
    })
  })
  server.on('tlsClientError', () => undefined)

  const self: ScriptedApiServer = {
    requests,
    sessions: [],
    script,
    endpoint: {
      host: '127.0.0.1',
      port: 0,
      basePath: '',
      tls: { ca: pki.authority.certificate },
      authorization: () => Promise.resolve('Bearer of-the-gateway'),
    },
    get connections() {
      return connections
    },
    get strayBytes() {
      return strayBytes
    },
    async allClosed() {
      if (open.size === 0) return
      await new Promise<void>((resolve) => {
        waiting.add(resolve)
      })
    },
    async close() {
      for (const session of self.sessions) session.abort('test over')
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const wire = request.headers.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'spdy'
    requests.push({ wire, request })
    socket.on('error', () => undefined)
    const answering = self.script[wire]
    if (!ACCEPTING.has(answering)) {
      strayBytes += head.length
      socket.on('data', (chunk: Buffer) => (strayBytes += chunk.length))
      // Half-open like a server that wants to keep talking; the client must close fully.
      socket.on('end', () => socket.destroy())
    }
    void Promise.resolve(answering(socket, request, head))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  self.endpoint.port = (server.address() as AddressInfo).port
  return self
}

const ACCEPTING = new WeakSet<Answer>()

/** Opens a real leg with the streams the request asks for. */
export function accept(sessions: () => StreamSession[]): Answer {
  const accepting: Answer = async (socket, request, head) => {
    const query = new URL(request.url ?? '', 'https://x').searchParams
    const expected: StreamName[] = STREAM_NAMES.filter((name) => {
      if (name === 'resize') return query.get('tty') === 'true'
      return name === 'error' || query.get(name) === 'true'
    })
    if (request.headers.upgrade === 'websocket') {
      sessions().push(
        await acceptWebSocketSession(request, socket, head, {
          protocol: 'v5.channel.k8s.io',
          expected,
        }),
      )
      return
    }
    socket.write(SPDY_101)
    sessions().push(
      await acceptSpdySession(socket, head, { protocol: 'v4.channel.k8s.io', expected }),
    )
  }
  ACCEPTING.add(accepting)
  return accepting
}
