/** A client of the port-forward tunnel: `ws` offers no subprotocol with a "/", so the handshake is made by hand. */
import { request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { WebSocket } from 'ws'

const PROTOCOL = 'SPDY/3.1+portforward.k8s.io'

export async function dialTunnel(port: number): Promise<{ ws: WebSocket; socket: Socket }> {
  const [socket, head] = await new Promise<[Socket, Buffer]>((resolve, reject) => {
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Protocol': PROTOCOL,
      },
    })
    request.on('error', reject)
    request.on('upgrade', (response, upgraded, rest) => {
      if (response.headers['sec-websocket-protocol'] === PROTOCOL) resolve([upgraded, rest])
      else reject(new Error('the subprotocol was not chosen'))
    })
    request.end()
  })
  const ws = new WebSocket(null as never, undefined, {
    closeTimeout: 30_000,
  } as object) as WebSocket & {
    _isServer: boolean
    setSocket(socket: Duplex, head: Buffer, options: object): void
  }
  ws._isServer = false
  ws.setSocket(socket, head, { allowSynchronousEvents: true, maxPayload: 2 ** 24 })
  return { ws, socket }
}
