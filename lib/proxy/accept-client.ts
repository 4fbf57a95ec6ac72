/** Answers 101 and gives the leg towards kubectl, on either wire. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { acceptSpdySession } from '../spdy/server-session.ts'
import { expectedStreams, type StreamSet } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import { spdyTimes, webSocketTimes, type StreamLimits } from '../streams/stream-limits.ts'
import { PROTOCOL_HEADER, type Negotiation } from '../streams/subprotocol.ts'
import { acceptWebSocketSession } from '../websocket/server-session.ts'

export type AcceptedNegotiation = Exclude<Negotiation, { kind: 'refused' }>

export async function acceptClient(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  negotiation: AcceptedNegotiation,
  streams: StreamSet,
  limits: StreamLimits,
): Promise<StreamSession> {
  const expected = expectedStreams(streams)
  if (negotiation.kind === 'websocket') {
    return await acceptWebSocketSession(request, socket, head, {
      protocol: negotiation.protocol,
      expected,
      limits: { maxMessageBytes: limits.maxMessageBytes },
      keepAlive: webSocketTimes(limits),
    })
  }
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: SPDY/3.1',
      `${PROTOCOL_HEADER}: ${negotiation.protocol}`,
      '\r\n',
    ].join('\r\n'),
  )
  return await acceptSpdySession(socket, head, {
    protocol: negotiation.protocol,
    expected,
    streamCreationTimeoutMs: limits.openMs,
    ...spdyTimes(limits),
  })
}
