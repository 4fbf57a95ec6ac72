/**
 * The leg facing kubectl: takes an upgrade request, gives a `StreamSession`.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type { StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import type { WebSocketProtocol } from '../streams/subprotocol.ts'
import { DEFAULT_ACCEPT_LIMITS, type AcceptLimits } from './constants.ts'
import { answerHandshake } from './handshake.ts'
import { systemClock, TOWARDS_KUBECTL, type Clock, type KeepAliveOptions } from './keep-alive.ts'
import { WebSocketLeg } from './leg.ts'

export interface AcceptOptions {
  /** What `negotiate` of lib/streams chose. */
  protocol: WebSocketProtocol
  expected: readonly StreamName[]
  limits?: Partial<AcceptLimits>
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

/**
 * Answers 101 and opens the session. The request has passed `negotiate`; one
 * that has not is rejected with its socket destroyed.
 *
 * @throws GatewayError when the client has gone or its request is no WebSocket.
 */
export function acceptWebSocketSession(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: AcceptOptions,
): Promise<StreamSession> {
  const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
  const { protocol, expected } = options
  return answerHandshake(request, socket, head, {
    protocol,
    limits,
    open(ws) {
      const leg = new WebSocketLeg(ws, socket, {
        towards: 'kubectl',
        protocol,
        expected,
        clock: options.clock ?? systemClock,
        keepAlive: { ...TOWARDS_KUBECTL, ...options.keepAlive },
        limits,
      })
      leg.greet()
      return leg
    },
  })
}
