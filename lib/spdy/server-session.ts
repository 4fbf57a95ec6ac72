/** The leg towards kubectl over SPDY: waits for the streams the client was to open. */
import type { Duplex } from 'node:stream'

import { GatewayError } from '../errors/gateway-error.ts'
import { STREAM_NAMES, type StreamName } from '../streams/channel.ts'
import type { StreamSession } from '../streams/session.ts'
import { SYSTEM_CLOCK } from './clock.ts'
import type { ConnectionOptions } from './connection.ts'
import type { Headers } from './header-block.ts'
import { SpdyStreamSession } from './stream-session.ts'
import { SpdyViolation } from './violation.ts'

export interface AcceptSpdyOptions extends ConnectionOptions {
  protocol: 'v4.channel.k8s.io' | 'v3.channel.k8s.io' | 'v2.channel.k8s.io'
  /** Exactly these, each once, in any order. */
  expected: StreamName[]
  /** Default 30 s (k8s.io/apimachinery DefaultStreamCreationTimeout). */
  streamCreationTimeoutMs?: number
}

const DEFAULT_STREAM_CREATION_TIMEOUT_MS = 30_000

function streamType(headers: Headers): StreamName {
  const value = headers.get('streamtype')
  const name = STREAM_NAMES.find((known) => known === value)
  if (name === undefined) throw new SpdyViolation('stream of unknown type')
  return name
}

/**
 * Call after the 101 was written, in the same turn. Each stream is answered at
 * once, since client-go opens the next only after the answer. A stream too
 * many, twice or of unknown type ends everything: counting kinds and not just
 * streams keeps one channel from taking another's place. Rejects with a
 * `GatewayError`, the socket then being destroyed.
 */
export function acceptSpdySession(
  socket: Duplex,
  head: Uint8Array,
  options: AcceptSpdyOptions,
): Promise<StreamSession> {
  const { promise, resolve, reject } = Promise.withResolvers<StreamSession>()
  const missing = new Set<StreamName>(options.expected)
  const timeoutMs = options.streamCreationTimeoutMs ?? DEFAULT_STREAM_CREATION_TIMEOUT_MS
  const session = new SpdyStreamSession({
    role: 'server',
    protocol: options.protocol,
    socket,
    head,
    options,
    opening: {
      onStream(streamId, headers) {
        const name = streamType(headers)
        if (session.has(name)) throw new SpdyViolation(`second ${name} stream`)
        if (!missing.delete(name)) throw new SpdyViolation(`${name} stream that was not asked for`)
        session.accept(name, streamId)
        if (missing.size > 0) return
        cancelTimeout()
        session.opened()
        resolve(session)
      },
      onReply() {},
      onClose({ detail }) {
        cancelTimeout()
        reject(
          new GatewayError('BadRequest', `the client did not open its streams: ${detail}`, {
            id: 1511,
          }),
        )
      },
    },
  })
  const cancelTimeout = (options.clock ?? SYSTEM_CLOCK).after(timeoutMs, () => {
    reject(
      new GatewayError(
        'Timeout',
        `the client did not open its ${[...missing].join(', ')} stream within ${timeoutMs / 1000} s; try again`,
        { id: 1512 },
      ),
    )
    session.abort('stream creation timed out')
  })
  return promise
}
