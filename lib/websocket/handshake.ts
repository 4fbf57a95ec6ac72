/** Answers one WebSocket handshake with 101. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'

import { GatewayError } from '../errors/gateway-error.ts'
import type { AcceptLimits } from './constants.ts'

/** `ws` destroys a socket this long after its close frame; our own timers and the dead-peer check are stricter. */
const WS_CLOSE_TIMEOUT_MS = 24 * 3600 * 1000

/** Missing in the types of `ws`. */
type Options = ServerOptions & { closeTimeout: number }

function serverOptions(limits: AcceptLimits): Options {
  return {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    closeTimeout: WS_CLOSE_TIMEOUT_MS,
    maxPayload: limits.maxMessageBytes,
    maxFragments: limits.maxFragments,
    maxBufferedChunks: limits.maxBufferedChunks,
  }
}

/**
 * `ws` refuses offers with a "/" in them, as the tunnel's name has, with one name twice or with an
 * empty one, and that only now, when the pod has been dialled: so it never sees them.
 *
 * @returns whether the one that was chosen is among them; nothing is chosen where it is empty
 */
function takeOffer(request: IncomingMessage, protocol: string): boolean {
  const offer = request.headers['sec-websocket-protocol'] ?? ''
  delete request.headers['sec-websocket-protocol']
  return protocol === '' || offer.split(',').some((name) => name.trim() === protocol)
}

/**
 * Calls `open` in the turn in which the 101 is written. The request has passed a
 * negotiation of lib/streams; one that has not is rejected with its socket
 * destroyed. `protocol` is what was chosen, empty for none.
 *
 * @throws GatewayError when the client has gone or its request is no WebSocket.
 */
export function answerHandshake<Leg>(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: { protocol: string; limits: AcceptLimits; open(ws: WebSocket): Leg },
): Promise<Leg> {
  const { protocol, limits } = options
  // Node has taken its own listeners off; one reset without ours would end the process.
  socket.on('error', () => undefined)
  return new Promise((resolve, reject) => {
    const refuse = (detail: string, cause?: unknown): void => {
      socket.off('close', onGone)
      socket.destroy()
      reject(
        new GatewayError('BadRequest', `the WebSocket could not be opened: ${detail}`, {
          id: 1204,
          cause,
        }),
      )
    }
    const onGone = (): void => refuse('the client has gone')
    if (socket.destroyed) {
      onGone()
      return
    }
    socket.once('close', onGone)
    if (!takeOffer(request, protocol)) {
      refuse('the subprotocol was not offered')
      return
    }
    const server = new WebSocketServer(serverOptions(limits))
    server.on('wsClientError', (error) => refuse('the request is malformed', error))
    if (protocol !== '') {
      server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`))
    }
    try {
      server.handleUpgrade(request, socket, head, (ws) => {
        socket.off('close', onGone)
        resolve(options.open(ws))
      })
    } catch (error) {
      refuse('the request is malformed', error)
    }
  })
}
