/** What a WebSocket leg may hold, what its peer may send, and the numbers of RFC 6455. */

export interface LegLimits {
  /** `write` returns false from here on; kubectl's pongs wait behind these bytes. */
  highWaterBytes: number
  /** `onDrain` comes at this many. */
  lowWaterBytes: number
  /** After a protocol violation: time for the peer to take our close frame. */
  closeGraceMs: number
}

export const DEFAULT_LEG_LIMITS: LegLimits = {
  highWaterBytes: 256 * 1024,
  lowWaterBytes: 64 * 1024,
  closeGraceMs: 1000,
}

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

/** Each message that waits takes some hundred bytes besides its own; a flood of single bytes must not. */
export const MAX_UNWRITTEN_MESSAGES = 1024

/**
 * As long as the peer shows life, its user may simply be reading the output
 * page by page; cutting earlier would lose the tail (kubernetes#124571).
 */
export const DEFAULT_FINISH_TIMEOUT_MS = 300_000

/** RFC 6455 section 7.4.1. */
export const CLOSE_NORMAL = 1000
export const CLOSE_POLICY_VIOLATION = 1008
