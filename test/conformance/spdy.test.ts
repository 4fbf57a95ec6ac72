import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

import { openSpdySession } from '../../lib/spdy/client-session.ts'
import { acceptSpdySession } from '../../lib/spdy/server-session.ts'
import { STREAM_NAMES } from '../../lib/streams/channel.ts'
import { sessionSuite, type SessionPair } from './session-suite.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const NO_HEAD = new Uint8Array(0)

/** As after an upgrade: both ends half-open, nothing else on the connection. */
async function connectSpdy(): Promise<SessionPair> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const clientSocket = connect({ port, host: '127.0.0.1' })
  const [serverSocket] = await accepted
  const streams = [...STREAM_NAMES]
  const [server, client] = await Promise.all([
    acceptSpdySession(serverSocket, NO_HEAD, { protocol: PROTOCOL, expected: streams }),
    openSpdySession(clientSocket, NO_HEAD, { protocol: PROTOCOL, streams }),
  ])
  return {
    server,
    client,
    async close() {
      const gone = [serverSocket, clientSocket].map((socket) =>
        socket.closed ? undefined : once(socket, 'close'),
      )
      serverSocket.destroy()
      clientSocket.destroy()
      await Promise.all(gone)
      listener.close()
      await once(listener, 'close')
    },
  }
}

sessionSuite({ name: 'SPDY v4', connect: connectSpdy })
