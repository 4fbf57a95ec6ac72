/**
 * Logs towards a client that reads them over a WebSocket: messages one way.
 *
 * Source: k8s.io/apiserver pkg/util/wsstream stream.go (Reader): whatever the client sends is
 * ignored, and close code 1000 is the end of the log.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type { CloseInfo } from '../streams/session.ts'
import type { LogProtocol } from '../streams/subprotocol.ts'
import { DEFAULT_ACCEPT_LIMITS, type AcceptLimits } from './constants.ts'
import { answerHandshake } from './handshake.ts'
import type { Clock, KeepAliveOptions } from './keep-alive.ts'
import { isBase64, MAX_MESSAGE_PAYLOAD } from './message.ts'
import { ServerWire } from './server-wire.ts'

export interface LogLegOptions {
  limits?: Partial<AcceptLimits>
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

export interface LogLeg {
  /** Bytes accepted by `write` and not yet handed to the kernel. */
  readonly bufferedBytes: number
  /** Set before the turn in which the leg was given is over. */
  onDrain: () => void
  /** Once, also after `finish` and `abort`. */
  onClose: (info: CloseInfo) => void
  /** False: wait for `onDrain`. Ignored when the leg is over. */
  write(data: Uint8Array): boolean
  /** Close code 1000 behind all that was written; resolves when the connection is gone. */
  finish(timeoutMs?: number): Promise<void>
  /** The client sees a broken stream, never the end of the log. */
  abort(detail: string): void
}

/** @throws GatewayError when the client has gone or its request is no WebSocket. */
export function acceptWebSocketLog(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: LogProtocol,
  options: LogLegOptions = {},
): Promise<LogLeg> {
  const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
  return answerHandshake(request, socket, head, {
    protocol,
    limits,
    open(ws) {
      const isText = isBase64(protocol)
      const { clock, keepAlive } = options
      const wire: ServerWire = new ServerWire(
        ws,
        socket,
        { limits, clock, keepAlive, receives: 'anything' },
        { onMessage() {}, onDrain: () => leg.onDrain(), onClose: (info) => leg.onClose(info) },
      )
      const leg: LogLeg = {
        get bufferedBytes() {
          return wire.bufferedBytes
        },
        onDrain() {},
        onClose() {},
        write(data) {
          let hasRoom = true
          for (let at = 0; at < data.length; at += MAX_MESSAGE_PAYLOAD) {
            const part = data.subarray(at, at + MAX_MESSAGE_PAYLOAD)
            hasRoom = isText ? wire.send('text', base64(part)) : wire.send('binary', part)
          }
          return hasRoom
        },
        finish: (timeoutMs) => wire.finish(timeoutMs),
        abort: (detail) => wire.abort(detail),
      }
      return leg
    },
  })
}

function base64(data: Uint8Array): Buffer {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
  return Buffer.from(bytes.toString('base64'), 'latin1')
}
