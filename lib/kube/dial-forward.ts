/**
 * Opens a port-forward at the API server, over SPDY: every server has it, and the WebSocket tunnel
 * carries nothing but the same SPDY (KEP-4006).
 */
import type { ForwardClientSession } from '../streams/forward.ts'
import { DEFAULT_STREAM_LIMITS, spdyTimes, type StreamLimits } from '../streams/stream-limits.ts'
import { FORWARD_PROTOCOL } from '../streams/subprotocol.ts'
import { openSpdyForward } from '../spdy/forward-client.ts'
import type { ApiEndpoint } from './endpoint.ts'
import { dialHeaders, forwardPath } from './exec-request.ts'
import { knownDialError, readRefusal } from './refusal.ts'
import { cancelled, shakeSpdy } from './spdy-handshake.ts'

/** One connection at a time is on a leg (streams/forward-lanes.ts): its sender waits, and nobody else. */
const ALONE = { maxConnectionBytes: 0, stuckMs: Infinity } as const
/** Of many, and beside what the kernel holds of each. */
const LANE_HIGH_WATER_BYTES = 64 * 1024

export interface ForwardDialTarget {
  namespace: string
  pod: string
}

export interface ForwardDialerOptions {
  endpoint: ApiEndpoint
  limits?: StreamLimits
}

export interface ForwardDialer {
  /**
   * @throws UpstreamStatusError with the API server's own Status when it refuses,
   *   GatewayError when it cannot be reached, answers nonsense or `signal` aborts.
   */
  dial(
    target: ForwardDialTarget,
    headers: Readonly<Record<string, string | string[]>>,
    signal: AbortSignal,
  ): Promise<ForwardClientSession>
}

export function createForwardDialer(options: ForwardDialerOptions): ForwardDialer {
  const { endpoint, limits = DEFAULT_STREAM_LIMITS } = options
  return {
    async dial(target, headers, signal) {
      // A name that is none is refused before anything is asked.
      const path = endpoint.basePath + forwardPath(target.namespace, target.pod)
      try {
        const shaken = await shakeSpdy({
          endpoint,
          path,
          headers: dialHeaders(headers, await endpoint.authorization()),
          protocol: FORWARD_PROTOCOL,
          handshakeTimeoutMs: limits.handshakeMs,
          signal,
        })
        if (shaken.kind === 'refused') throw (await readRefusal(shaken.response)).error
        if (signal.aborted) {
          shaken.socket.destroy()
          throw cancelled(signal)
        }
        return openSpdyForward(shaken.socket, shaken.head, {
          forward: { ...limits.forward, ...ALONE },
          highWaterMark: LANE_HIGH_WATER_BYTES,
          ...spdyTimes(limits),
        })
      } catch (error) {
        throw knownDialError(error, 'opening the port-forward')
      }
    },
  }
}
