/**
 * What streams wait for and hold, on every wire and on both legs; the operator may set each.
 *
 * The defaults are those of the field: k8s.io/apimachinery remotecommand (30 s for streams),
 * client-go (30 s for answers, 61 s until a silent peer is given up).
 *
 * May import: errors.
 */
import { DEFAULT_FORWARD_LIMITS, type ForwardLimits } from './forward.ts'

export interface StreamLimits {
  /** For the API server to answer an upgrade. */
  handshakeMs: number
  /** For a client to open its streams, and for the API server to accept ours. */
  openMs: number
  /** A peer that has been silent for so long is pinged. */
  pingMs: number
  /** A peer that has not answered for so long is gone. It shows at the next ping. */
  deadAfterMs: number
  /** One message of a WebSocket client. */
  maxMessageBytes: number
  forward: ForwardLimits
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  handshakeMs: 30_000,
  openMs: 30_000,
  pingMs: 15_000,
  deadAfterMs: 60_000,
  maxMessageBytes: 1024 * 1024,
  forward: DEFAULT_FORWARD_LIMITS,
}

/** As lib/spdy counts: one timer per connection, and silent ticks until a peer is taken for dead. */
export function spdyTimes({ pingMs, deadAfterMs }: StreamLimits): {
  tickMs: number
  deadTicks: number
} {
  return { tickMs: pingMs, deadTicks: Math.max(1, Math.round(deadAfterMs / pingMs)) }
}

/** As lib/websocket counts. */
export function webSocketTimes({ pingMs, deadAfterMs }: StreamLimits): {
  tickMs: number
  pingMs: number
  deadAfterMs: number
} {
  return { tickMs: pingMs, pingMs, deadAfterMs }
}
