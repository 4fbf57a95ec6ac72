/** The leg towards the API server over SPDY: opens the streams and waits for the answers. */
import type { Duplex } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import { STREAM_NAMES, type StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import { SYSTEM_CLOCK } from './clock.ts'
import type { ConnectionOptions } from './connection.ts'
import { SpdyStreamSession } from './stream-session.ts'

export interface OpenSpdyOptions extends ConnectionOptions {
  /** What the server chose in its 101, e.g. `v4.channel.k8s.io`. */
  protocol: string
  streams: StreamName[]
  /** Default 30 s (client-go createStreamResponseTimeout). */
  replyTimeoutMs?: number
}

const DEFAULT_REPLY_TIMEOUT_MS = 30_000

/**
 * Call on the upgraded socket in the same turn. Resolves when every stream was
 * answered: moby/spdystream drops without a word what arrives on a stream
 * before its SYN_REPLY was sent, so stdin must wait for all of them. Rejects
 * with a `GatewayError`, the socket then being destroyed.
 */
export function openSpdySession(
  socket: Duplex,
  head: Uint8Array,
  options: OpenSpdyOptions,
): Promise<StreamSession> {
  const { promise, resolve, reject } = Promise.withResolvers<StreamSession>()
  const names = STREAM_NAMES.filter((name) => options.streams.includes(name))
  const timeoutMs = options.replyTimeoutMs ?? DEFAULT_REPLY_TIMEOUT_MS
  let unanswered = names.length
  const session = new SpdyStreamSession({
    role: 'client',
    protocol: options.protocol,
    socket,
    head,
    options,
    opening: {
      onStream() {},
      onReply() {
        unanswered -= 1
        if (unanswered > 0) return
        cancelTimeout()
        session.opened()
        resolve(session)
      },
      onClose({ detail }) {
        cancelTimeout()
        reject(
          new GatewayError(
            'BadGateway',
            `the API server did not accept the session's streams (${detail}); try again`,
            { id: 1513 },
          ),
        )
      },
    },
  })
  const cancelTimeout = (options.clock ?? SYSTEM_CLOCK).after(timeoutMs, () => {
    reject(
      new GatewayError(
        'Timeout',
        `the API server did not accept the session's streams within ${timeoutMs / 1000} s; try again`,
        { id: 1514 },
      ),
    )
    session.abort('stream creation timed out')
  })
  for (const name of names) session.open(name)
  return promise
}
