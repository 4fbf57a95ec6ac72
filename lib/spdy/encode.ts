/** Frames to bytes, nothing else; the drawings are in frame.ts. PURE. */
import {
  ControlFrameType,
  FLAG_FIN,
  FRAME_HEADER_BYTES,
  SPDY_VERSION,
  STREAM_ID_MASK,
  type GoAwayStatus,
  type RstStreamStatus,
} from './constants.ts'

function controlFrame(type: number, flags: number, bodyLength: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bodyLength)
  frame.writeUInt16BE(0x8000 | SPDY_VERSION, 0)
  frame.writeUInt16BE(type, 2)
  frame.writeUInt32BE(flags * 0x100_0000 + bodyLength, 4)
  return frame
}

/** The payload follows as it is, so that bulk data is never copied. */
export function encodeDataHeader(streamId: number, length: number, fin: boolean): Uint8Array {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeUInt32BE(streamId & STREAM_ID_MASK, 0)
  header.writeUInt32BE((fin ? FLAG_FIN * 0x100_0000 : 0) + length, 4)
  return header
}

/** Priority and credential slot stay 0, as client-go leaves them. */
export function encodeSynStream(streamId: number, headerBlock: Uint8Array): Uint8Array {
  const frame = controlFrame(ControlFrameType.SYN_STREAM, 0, 10 + headerBlock.length)
  frame.writeUInt32BE(streamId & STREAM_ID_MASK, 8)
  frame.writeUInt32BE(0, 12)
  frame.writeUInt16BE(0, 16)
  frame.set(headerBlock, 18)
  return frame
}

export function encodeSynReply(streamId: number, headerBlock: Uint8Array): Uint8Array {
  const frame = controlFrame(ControlFrameType.SYN_REPLY, 0, 4 + headerBlock.length)
  frame.writeUInt32BE(streamId & STREAM_ID_MASK, 8)
  frame.set(headerBlock, 12)
  return frame
}

export function encodeRstStream(streamId: number, status: RstStreamStatus): Uint8Array {
  const frame = controlFrame(ControlFrameType.RST_STREAM, 0, 8)
  frame.writeUInt32BE(streamId & STREAM_ID_MASK, 8)
  frame.writeUInt32BE(status, 12)
  return frame
}

export function encodePing(id: number): Uint8Array {
  const frame = controlFrame(ControlFrameType.PING, 0, 4)
  frame.writeUInt32BE(id, 8)
  return frame
}

export function encodeGoAway(lastGoodStreamId: number, status: GoAwayStatus): Uint8Array {
  const frame = controlFrame(ControlFrameType.GOAWAY, 0, 8)
  frame.writeUInt32BE(lastGoodStreamId & STREAM_ID_MASK, 8)
  frame.writeUInt32BE(status, 12)
  return frame
}
