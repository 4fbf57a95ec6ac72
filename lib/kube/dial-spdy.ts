/** Exec and attach at the API server over SPDY: the upgrade, then the streams. */
import type { IncomingMessage } from 'node:http'

import { asGatewayError } from '../errors/gateway-error.ts'
import { openSpdySession } from '../spdy/client-session.ts'
import type { StreamName } from '../streams/channel.ts'
import { spdyTimes, type StreamLimits } from '../streams/stream-limits.ts'
import type { StreamSession } from '../streams/session.ts'
import { cancelled, shakeSpdy, type SpdyHandshakeOptions } from './spdy-handshake.ts'

/** The newest that any real server has over SPDY; all servers since Kubernetes 1.4 have it. */
const PROTOCOL = 'v4.channel.k8s.io'

export interface SpdyDialOptions extends Omit<SpdyHandshakeOptions, 'protocol'> {
  streams: StreamName[]
  limits: StreamLimits
}

export type SpdyDial =
  { kind: 'open'; session: StreamSession } | { kind: 'refused'; response: IncomingMessage }

/**
 * @throws the socket's own error when the server cannot be reached, GatewayError
 *   when its 101 is not the one asked for, it does not answer in time, or
 *   `signal` aborts. No socket is left behind in any of these cases.
 */
export async function dialSpdy(options: SpdyDialOptions): Promise<SpdyDial> {
  const { signal } = options
  const shaken = await shakeSpdy({ ...options, protocol: PROTOCOL })
  if (shaken.kind === 'refused') return shaken
  const { socket, head } = shaken
  const onAbort = (): void => {
    socket.destroy()
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal.aborted) throw cancelled(signal)
    const session = await openSpdySession(socket, head, {
      protocol: PROTOCOL,
      streams: options.streams,
      replyTimeoutMs: options.limits.openMs,
      ...spdyTimes(options.limits),
    })
    return { kind: 'open', session }
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? cancelled(signal) : asGatewayError(error, 'opening the streams')
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
