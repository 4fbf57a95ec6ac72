/** Both WebSocket legs against the suite of every StreamSession. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { WebSocket } from 'ws'

import { STREAM_NAMES } from '../../lib/streams/channel.ts'
import type { StreamSession } from '../../lib/streams/session.ts'
import { DEFAULT_LEG_LIMITS } from '../../lib/websocket/constants.ts'
import { systemClock, TOWARDS_API_SERVER } from '../../lib/websocket/keep-alive.ts'
import { WebSocketLeg } from '../../lib/websocket/leg.ts'
import { acceptWebSocketSession } from '../../lib/websocket/server-session.ts'
import type { WebSocketProtocol } from '../../lib/streams/subprotocol.ts'
import { sessionSuite, type SessionPair } from './session-suite.ts'

async function connect(protocol: WebSocketProtocol): Promise<SessionPair> {
  const httpServer = createServer()
  const server = new Promise<StreamSession>((resolve, reject) => {
    httpServer.once('upgrade', (request, socket, head) => {
      acceptWebSocketSession(request, socket, head, { protocol, expected: STREAM_NAMES }).then(
        resolve,
        reject,
      )
    })
  })
  await new Promise<void>((resolve) => {
    httpServer.listen(0, '127.0.0.1', resolve)
  })
  const { port } = httpServer.address() as AddressInfo
  const client = new Promise<StreamSession>((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`, [protocol], { perMessageDeflate: false })
    ws.once('error', reject)
    ws.once('upgrade', ({ socket }) => {
      ws.once('open', () => {
        resolve(
          new WebSocketLeg(ws, socket, {
            towards: 'apiServer',
            protocol,
            expected: STREAM_NAMES,
            clock: systemClock,
            keepAlive: TOWARDS_API_SERVER,
            limits: DEFAULT_LEG_LIMITS,
          }),
        )
      })
    })
  })
  const legs = await Promise.all([server, client])
  return {
    server: legs[0],
    client: legs[1],
    close: () =>
      new Promise((resolve) => {
        httpServer.close(() => resolve())
        httpServer.closeAllConnections()
      }),
  }
}

sessionSuite({ name: 'WebSocket v5', connect: () => connect('v5.channel.k8s.io') })
sessionSuite({ name: 'WebSocket v4', connect: () => connect('v4.channel.k8s.io') })
sessionSuite({
  name: 'WebSocket v4 base64',
  connect: () => connect('v4.base64.channel.k8s.io'),
})
