/**
 * The leg facing kubectl: takes an upgrade request, gives a `StreamSession`.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer, type ServerOptions } from 'ws'

import { GatewayError } from '../errors/gateway-error.ts'
import type { StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import type { WebSocketProtocol } from '../streams/subprotocol.ts'
import { systemClock, TOWARDS_KUBECTL, type Clock, type KeepAliveOptions } from './keep-alive.ts'
import { DEFAULT_LEG_LIMITS, WebSocketLeg, type LegLimits } from './leg.ts'

export interface AcceptLimits extends LegLimits {
  /** One message of the client. kubectl sends 32 KiB. */
  maxMessageBytes: number
  maxFragments: number
  /** Pieces of an unfinished message: one-byte packets cost far more memory than they hold. */
  maxBufferedChunks: number
}

export const DEFAULT_ACCEPT_LIMITS: AcceptLimits = {
  ...DEFAULT_LEG_LIMITS,
  maxMessageBytes: 1024 * 1024,
  maxFragments: 1024,
  maxBufferedChunks: 4096,
}

export interface AcceptOptions {
  /** What `negotiate` of lib/streams chose. */
  protocol: WebSocketProtocol
  expected: readonly StreamName[]
  limits?: Partial<AcceptLimits>
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

/** `ws` destroys a socket this long after its close frame; our own timers and the dead-peer check are stricter. */
const WS_CLOSE_TIMEOUT_MS = 24 * 3600 * 1000

/** Missing in the types of `ws`. */
type Options = ServerOptions & { closeTimeout: number }

function serverOptions(limits: AcceptLimits, protocol: WebSocketProtocol): Options {
  return {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    closeTimeout: WS_CLOSE_TIMEOUT_MS,
    maxPayload: limits.maxMessageBytes,
    maxFragments: limits.maxFragments,
    maxBufferedChunks: limits.maxBufferedChunks,
    handleProtocols: (offered) => offered.has(protocol) && protocol,
  }
}

/**
 * Answers 101 and opens the session. The request has passed `negotiate`; one
 * that has not is rejected with its socket destroyed.
 *
 * @throws GatewayError when the client has gone or its request is no WebSocket.
 */
export function acceptWebSocketSession(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: AcceptOptions,
): Promise<StreamSession> {
  // Node has taken its own listeners off; one reset without ours would end the process.
  socket.on('error', () => undefined)
  const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
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
    const server = new WebSocketServer(serverOptions(limits, options.protocol))
    server.on('wsClientError', (error) => refuse('the request is malformed', error))
    try {
      server.handleUpgrade(req, socket, head, (ws) => {
        socket.off('close', onGone)
        const leg = new WebSocketLeg(ws, socket, {
          towards: 'kubectl',
          protocol: options.protocol,
          expected: options.expected,
          clock: options.clock ?? systemClock,
          keepAlive: { ...TOWARDS_KUBECTL, ...options.keepAlive },
          limits,
        })
        if (ws.protocol !== options.protocol) {
          leg.abort('subprotocol not offered')
          refuse('the subprotocol was not offered')
          return
        }
        leg.greet()
        resolve(leg)
      })
    } catch (error) {
      refuse('the request is malformed', error)
    }
  })
}
