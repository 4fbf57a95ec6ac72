/**
 * Numbers fixed by SPDY/3.1, and the limits that are ours.
 *
 * Spec: draft-mbelshe-httpbis-spdy-00 section 2; dialect: github.com/moby/spdystream.
 */

export const SPDY_VERSION = 3

/** The top bit is the control bit, so ids have 31 bits; a shorter mask would alias streams. */
export const STREAM_ID_MASK = 0x7fff_ffff

export const FRAME_HEADER_BYTES = 8

export const ControlFrameType = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const

export const FLAG_FIN = 0x01
export const FLAG_UNIDIRECTIONAL = 0x02

export const GoAwayStatus = { OK: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2 } as const
export type GoAwayStatus = (typeof GoAwayStatus)[keyof typeof GoAwayStatus]

export const RstStreamStatus = {
  PROTOCOL_ERROR: 1,
  INVALID_STREAM: 2,
  REFUSED_STREAM: 3,
  UNSUPPORTED_VERSION: 4,
  CANCEL: 5,
  INTERNAL_ERROR: 6,
  FLOW_CONTROL_ERROR: 7,
  STREAM_IN_USE: 8,
  STREAM_ALREADY_CLOSED: 9,
  INVALID_CREDENTIALS: 10,
  FRAME_TOO_LARGE: 11,
} as const
export type RstStreamStatus = (typeof RstStreamStatus)[keyof typeof RstStreamStatus]

/**
 * What a peer may make us hold or do. Every control frame is checked against
 * these when its header is read, before its body is buffered: sizes taken on
 * trust were the hole of CVE-2026-35469.
 */
export interface SpdyLimits {
  maxControlFrameBytes: number
  /** DATA is streamed through, never held whole, so the format's own limit will do. */
  maxDataFrameBytes: number
  /** One header block after inflation. */
  maxHeaderBlockBytes: number
  maxHeaders: number
  maxHeaderNameBytes: number
  maxHeaderValueBytes: number
  maxSettingsEntries: number
  /** Streams open at one time. */
  maxStreams: number
  /** Answers (PING, SYN_REPLY, RST_STREAM) that the peer has asked for and does not read. */
  maxQueuedAnswers: number
}

export const DEFAULT_LIMITS: SpdyLimits = {
  maxControlFrameBytes: 64 * 1024,
  maxDataFrameBytes: 0xff_ffff,
  maxHeaderBlockBytes: 32 * 1024,
  maxHeaders: 64,
  maxHeaderNameBytes: 256,
  maxHeaderValueBytes: 8 * 1024,
  maxSettingsEntries: 32,
  maxStreams: 16,
  maxQueuedAnswers: 1000,
}

/** A reader like `less` may stay silent for long; after 15 minutes it is taken for gone. */
export const CLIENT_STALLED_TICKS = 60
