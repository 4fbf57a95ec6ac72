/**
 * One joined exec or attach stream, whatever wire it came over.
 *
 * Both legs of a session (towards kubectl, towards the API server) implement
 * this; the pump between them knows no protocol. Towards kubectl a session
 * receives stdin and resize and sends stdout, stderr and error; towards the API
 * server it is the other way round.
 *
 * May import: errors.
 */
import type { StreamName } from './channel.ts'

/** How a leg came to its end, told exactly once. */
export interface CloseInfo {
  /**
   * `clean`: the peer ended the stream as its protocol says (WebSocket 1000,
   * SPDY GOAWAY or end after the error stream was closed).
   * `lost`: the connection broke, or the peer broke the protocol.
   * `local`: we called `finish` or `abort`.
   */
  kind: 'clean' | 'lost' | 'local'
  /** For the log; never shown to a user. */
  detail: string
}

export interface StreamHandlers {
  /**
   * Bytes of one channel, in order. The bytes belong to the receiver until it
   * returns to the event loop for ever: a leg never reuses the memory.
   * `resize` delivers whole JSON documents' bytes as they came.
   */
  onData(channel: StreamName, data: Uint8Array): void
  /** The peer will send nothing more on this channel (SPDY FIN, v5 CLOSE). */
  onEnd(channel: StreamName): void
  /** After `write` returned false: the leg takes more. */
  onDrain(): void
  /** The leg is over. Called once, also after `finish` and `abort`. Nothing is called after it. */
  onClose(info: CloseInfo): void
}

export interface StreamSession {
  /** For the record, e.g. `SPDY/3.1 v4.channel.k8s.io` or `WebSocket v5.channel.k8s.io`. */
  readonly protocol: string
  /** False where the wire cannot half-close stdin (WebSocket v4). */
  readonly canHalfClose: boolean
  /** Bytes accepted by `write` and not yet handed to the kernel. */
  readonly bufferedBytes: number
  /** Call once; what arrived before is delivered after it, asynchronously. */
  start(handlers: StreamHandlers): void
  /**
   * Queues bytes for the peer, in pieces of the wire's own limit. The caller
   * must not change them afterwards. False: the leg is above its high-water
   * mark; stop until `onDrain`. Writing to a closed leg or an ended channel is
   * ignored.
   */
  write(channel: StreamName, data: Uint8Array): boolean
  /** Half-closes one channel; ignored where the wire has no way to say it. */
  end(channel: StreamName): void
  /** Stops and restarts the delivery of `onData` (and the reading behind it). */
  pause(): void
  resume(): void
  /**
   * Towards kubectl only: after everything written before has been sent, sends
   * `status` (JSON bytes of a metav1.Status, or empty) on the error channel and
   * ends the connection in the protocol's polite way. Resolves when the
   * connection is gone; forces it after `timeoutMs`.
   */
  finish(status: Uint8Array, timeoutMs?: number): Promise<void>
  /** Ends the connection at once. The peer sees a broken stream, never success. */
  abort(detail: string): void
}
