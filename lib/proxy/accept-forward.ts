/** Answers 101 and gives the leg of a port-forward towards its client, on whichever wire. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { acceptSpdyForward } from '../spdy/forward-server.ts'
import type { ForwardServerSession } from '../streams/forward.ts'
import {
  DEFAULT_STREAM_LIMITS,
  spdyTimes,
  webSocketTimes,
  type StreamLimits,
} from '../streams/stream-limits.ts'
import { PROTOCOL_HEADER, type ForwardNegotiation } from '../streams/subprotocol.ts'
import { acceptLegacyForward, parseForwardPorts } from '../websocket/forward-legacy.ts'
import { acceptTunnel } from '../websocket/tunnel.ts'

export type AcceptedForward = Exclude<ForwardNegotiation, { kind: 'refused' }>

export interface AcceptForwardOptions {
  /** Of the request, without its `?`: the old WebSocket channels name their ports there. */
  query: string
  limits?: StreamLimits
}

/**
 * @throws GatewayError before a byte is answered when the ports cannot be read,
 *   and when the client has gone or its request is no WebSocket.
 */
export async function acceptForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  negotiation: AcceptedForward,
  options: AcceptForwardOptions,
): Promise<ForwardServerSession> {
  const limits = options.limits ?? DEFAULT_STREAM_LIMITS
  const { forward } = limits
  const overWebSocket = {
    limits: { maxMessageBytes: limits.maxMessageBytes },
    keepAlive: webSocketTimes(limits),
  }
  if (negotiation.kind === 'spdy') {
    socket.write(
      [
        'HTTP/1.1 101 Switching Protocols',
        'Connection: Upgrade',
        'Upgrade: SPDY/3.1',
        `${PROTOCOL_HEADER}: ${negotiation.protocol}`,
        '\r\n',
      ].join('\r\n'),
    )
    return acceptSpdyForward(socket, head, { forward, ...spdyTimes(limits) })
  }
  if (negotiation.kind === 'tunnel') {
    const tunnel = await acceptTunnel(request, socket, head, overWebSocket)
    return acceptSpdyForward(tunnel, new Uint8Array(0), {
      forward,
      ...spdyTimes(limits),
      protocol: `WebSocket ${negotiation.protocol}`,
    })
  }
  return await acceptLegacyForward(request, socket, head, {
    protocol: negotiation.protocol,
    ports: parseForwardPorts(options.query),
    forward,
    ...overWebSocket,
  })
}
