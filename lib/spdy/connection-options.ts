/** What the owner of a connection sets, and what it hears. */
import type { CloseInfo } from '../streams/session.ts'
import type { Clock } from './clock.ts'
import type { SpdyLimits } from './constants.ts'
import type { Headers } from './header-block.ts'

export interface ConnectionOptions {
  limits?: Partial<SpdyLimits>
  clock?: Clock
  /** One timer per connection; a peer silent for a whole tick is pinged. Default 15 s. */
  tickMs?: number
  /** Silent ticks until a peer is taken for dead. Default 4, hence within 75 s. */
  deadTicks?: number
  /** The same for a peer with unread output before it. Default: 0, TCP decides. */
  stalledTicks?: number
  /** `sendData` asks its caller to wait above this many unsent bytes. Default 256 KiB. */
  highWaterMark?: number
  /**
   * What to do with a frame for a stream that is over or never was. `end` (the default) ends the
   * connection: a peer that lost count of its streams could put one channel's bytes into another.
   * `drop`, where streams come and go for as long as the connection lives: moby/spdystream sends
   * DATA and RST_STREAM late, so they are dropped, and ids that never were get an RST_STREAM.
   */
  strays?: 'end' | 'drop'
}

export interface ConnectionEvents {
  onStream(streamId: number, headers: Headers, fin: boolean): void
  onReply(streamId: number, fin: boolean): void
  /** `data` may be empty; `fin` ends the stream. */
  onData(streamId: number, data: Uint8Array, fin: boolean): void
  onReset(streamId: number, status: number): void
  onDrain(): void
  /** Is what the peer said before it left a proper goodbye? */
  endedCleanly(): boolean
  /** Once, never from inside a call of ours; nothing comes after it. */
  onClose(info: CloseInfo): void
}
