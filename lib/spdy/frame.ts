/**
 * The SPDY/3.1 frames, as the decoder hands them out.
 *
 *   data:    |0| Stream-ID 31            |   control: |1| version 15 | type 16 |
 *            | flags 8 | length 24       |            | flags 8 | length 24    |
 *            | payload                   |            | body                   |
 *
 * Bodies of the control frames (one row is 32 bits):
 *
 *   SYN_STREAM  |X| Stream-ID 31 |  |X| Associated-To-Stream-ID 31 |
 *               | Pri 3 | unused 5 | Slot 8 | header block ...
 *   SYN_REPLY   |X| Stream-ID 31 |  header block ...
 *   HEADERS     |X| Stream-ID 31 |  header block ...
 *   RST_STREAM  |X| Stream-ID 31 |  | status 32 |
 *   SETTINGS    | number of entries 32 |  entries of | flags 8 | id 24 | value 32 |
 *   PING        | id 32 |
 *   GOAWAY      |X| Last-good-stream-ID 31 |  | status 32 |
 *   WINDOW_UPDATE |X| Stream-ID 31 |  |X| delta 31 |
 *
 * Spec: draft-mbelshe-httpbis-spdy-00 section 2.
 */

/** A piece of a DATA frame: payloads are passed on as they arrive. `fin` stands on the last piece only. */
export interface DataPiece {
  type: 'DATA'
  streamId: number
  data: Uint8Array
  fin: boolean
}

export interface SynStreamFrame {
  type: 'SYN_STREAM'
  streamId: number
  associatedToStreamId: number
  priority: number
  fin: boolean
  unidirectional: boolean
  /** Still compressed; must be inflated in the order of arrival, wanted or not. */
  headerBlock: Uint8Array
}

export interface SynReplyFrame {
  type: 'SYN_REPLY'
  streamId: number
  fin: boolean
  headerBlock: Uint8Array
}

export interface HeadersFrame {
  type: 'HEADERS'
  streamId: number
  fin: boolean
  headerBlock: Uint8Array
}

export interface RstStreamFrame {
  type: 'RST_STREAM'
  streamId: number
  status: number
}

export interface SettingsFrame {
  type: 'SETTINGS'
  entries: number
}

export interface PingFrame {
  type: 'PING'
  id: number
}

export interface GoAwayFrame {
  type: 'GOAWAY'
  lastGoodStreamId: number
  status: number
}

export interface WindowUpdateFrame {
  type: 'WINDOW_UPDATE'
  streamId: number
  delta: number
}

export type ControlFrame =
  | SynStreamFrame
  | SynReplyFrame
  | HeadersFrame
  | RstStreamFrame
  | SettingsFrame
  | PingFrame
  | GoAwayFrame
  | WindowUpdateFrame

export type Frame = DataPiece | ControlFrame
