/**
 * One port-forward session and the TCP connections in it, whatever wire they came over.
 *
 * Both legs (towards kubectl, towards the API server) carry the same thing: many connections, each
 * with bytes both ways, a half-close each way, and one text that says why it failed. What joins the
 * legs knows no protocol. Source: k8s.io/kubelet pkg/cri/streaming/portforward.
 *
 * May import: errors.
 */
import type { CloseInfo } from './session.ts'

/** What one session may hold, and for how long it waits; the same on every wire. */
export interface ForwardLimits {
  /** Connections open at one time; there may be any number one after the other. */
  maxConnections: number
  /** What a paused connection may hold of received bytes before the whole leg is not read. */
  maxConnectionBytes: number
  /** The same for all connections of a session together. */
  maxSessionBytes: number
  /** A connection for which the whole leg has not been read for so long is reset alone; Infinity: never. */
  stuckMs: number
  /** Time to open the second stream of a connection (k8s.io/kubelet DefaultStreamCreationTimeout). */
  pairTimeoutMs: number
  /** Time for the API server to accept both streams (client-go createStreamResponseTimeout). */
  replyTimeoutMs: number
}

export const DEFAULT_FORWARD_LIMITS: ForwardLimits = {
  maxConnections: 256,
  maxConnectionBytes: 256 * 1024,
  maxSessionBytes: 1024 * 1024,
  stuckMs: 30_000,
  pairTimeoutMs: 30_000,
  replyTimeoutMs: 30_000,
}

/** How one connection came to its end, told exactly once. */
export interface ConnectionEnd {
  /**
   * `clean`: both sides ended their bytes and no error text came. `failed`: the peer said why on the
   * error stream. `reset`: it was cut (RST_STREAM, the leg gone, a stuck reader). `local`: we cut it.
   */
  kind: 'clean' | 'failed' | 'reset' | 'local'
  /** The peer's own words for `failed`; for the log otherwise. */
  detail: string
}

export interface ConnectionHandlers {
  /** In order; the memory is never used again by the leg. */
  onData(data: Uint8Array): void
  /** The peer sends no more bytes; ours may still flow. */
  onEnd(): void
  /** After `write` returned false: the leg takes more. */
  onDrain(): void
  /** Once. Nothing is called after it. */
  onClose(end: ConnectionEnd): void
}

/** One forwarded TCP connection. A connection that is stuck or cut never touches another. */
export interface ForwardConnection {
  /** 1, 2, 3 … within the session. */
  readonly id: number
  /** In the pod, 1 to 65535. */
  readonly port: number
  /** Bytes accepted by `write` and not yet handed to the kernel, and bytes received and not yet delivered. */
  readonly bufferedBytes: number
  /** Call once; what came before is delivered after it, asynchronously. */
  start(handlers: ConnectionHandlers): void
  /** False: wait for `onDrain`. Ignored after `end` or the connection's end. */
  write(data: Uint8Array): boolean
  /**
   * Half-close: no more bytes from us; the peer's may still flow. Towards a client `finish` or `fail`
   * must follow: until then it may still be told why.
   */
  end(): void
  /**
   * Ends it for good, behind all that was written: nobody serves it any more, as the kubelet says by
   * ending both of its streams. kubectl before 1.34 waits for that before it closes its own socket.
   */
  finish(): void
  /** Stops and restarts `onData`; up to a bound the leg keeps what comes meanwhile, others go on. */
  pause(): void
  resume(): void
  /** Ends this connection: with words on its error stream, or without any (both streams reset). */
  fail(message?: string): void
}

/** The leg towards the client: it opens connections, we answer. */
export interface ForwardServerSession {
  /** For the record, such as `SPDY/3.1 portforward.k8s.io`. */
  readonly protocol: string
  start(handlers: {
    /** A client asks for a connection; nothing has been answered on it but that it may be opened. */
    onConnection(connection: ForwardConnection): void
    /** The leg is over, and all its connections with it. Once. */
    onClose(info: CloseInfo): void
  }): void
  /** Ends politely; resolves when the connection is gone. */
  finish(timeoutMs?: number): Promise<void>
  abort(detail: string): void
}

/** Towards the API server: we open connections. */
export interface ForwardUpstream {
  /**
   * Resolves when the API server has accepted both streams; whether anything listens on the port is
   * only known from what comes then. @throws GatewayError when it does not in time, or is gone.
   */
  open(port: number): Promise<ForwardConnection>
  abort(detail: string): void
}

/** One leg towards the API server. */
export interface ForwardClientSession extends ForwardUpstream {
  readonly protocol: string
  readonly isOpen: boolean
  start(handlers: {
    onClose(info: CloseInfo): void
    /** The last connection on it is over, and its reader has had everything. */
    onIdle?(): void
  }): void
  /** Has the peer dealt with all it was sent? False when it does not say so within `ms`, or is gone. */
  settled(ms: number): Promise<boolean>
  finish(timeoutMs?: number): Promise<void>
}
