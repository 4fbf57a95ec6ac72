/**
 * Bytes to frames; holds only its own buffer. PURE.
 *
 * `push` gives it bytes, `next` takes one frame out, or undefined while there
 * are not enough bytes yet. Pulling frame by frame lets a paused connection
 * stop in the middle of what it has read. DATA payloads are views of the
 * pushed bytes; control frames are held whole, at most `maxControlFrameBytes`.
 */
import {
  ControlFrameType,
  FLAG_FIN,
  FLAG_UNIDIRECTIONAL,
  FRAME_HEADER_BYTES,
  SPDY_VERSION,
  STREAM_ID_MASK,
  type SpdyLimits,
} from './constants.ts'
import type { ControlFrame, DataPiece, Frame } from './frame.ts'
import { SpdyViolation } from './violation.ts'

interface ControlHeader {
  type: number
  flags: number
  length: number
}

interface OpenData {
  streamId: number
  remaining: number
  fin: boolean
}

interface OpenControl extends ControlHeader {
  body: Uint8Array
  filled: number
}

/** Which body lengths and flags each control frame may have. */
const SHAPES: Readonly<
  Record<number, { name: string; minLength: number; exact: boolean; flags: number }>
> = {
  [ControlFrameType.SYN_STREAM]: {
    name: 'SYN_STREAM',
    minLength: 10,
    exact: false,
    flags: FLAG_FIN | FLAG_UNIDIRECTIONAL,
  },
  [ControlFrameType.SYN_REPLY]: { name: 'SYN_REPLY', minLength: 4, exact: false, flags: FLAG_FIN },
  [ControlFrameType.RST_STREAM]: { name: 'RST_STREAM', minLength: 8, exact: true, flags: 0 },
  // CLEAR_SETTINGS (0x01) asks a client to forget what it stored; nothing is stored.
  [ControlFrameType.SETTINGS]: { name: 'SETTINGS', minLength: 4, exact: false, flags: 0x01 },
  [ControlFrameType.PING]: { name: 'PING', minLength: 4, exact: true, flags: 0 },
  [ControlFrameType.GOAWAY]: { name: 'GOAWAY', minLength: 8, exact: true, flags: 0 },
  [ControlFrameType.HEADERS]: { name: 'HEADERS', minLength: 4, exact: false, flags: FLAG_FIN },
  [ControlFrameType.WINDOW_UPDATE]: {
    name: 'WINDOW_UPDATE',
    minLength: 8,
    exact: true,
    flags: 0,
  },
}

const SETTINGS_ENTRY_BYTES = 8

/** Unsigned, unlike `<<`, whose top bit is the sign. */
function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 0x100_0000 +
    (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  )
}

function readUint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
}

function readStreamId(bytes: Uint8Array, at: number, frame: string): number {
  const id = readUint32(bytes, at) & STREAM_ID_MASK
  if (id === 0) throw new SpdyViolation(`${frame} for stream 0`)
  return id
}

function checkControlHeader(header: ControlHeader, version: number, limits: SpdyLimits): void {
  const { type, flags, length } = header
  if (version !== SPDY_VERSION) throw new SpdyViolation(`frame of SPDY version ${version}`)
  const shape = SHAPES[type]
  // NOOP (5) and CREDENTIAL (10) end here as well: moby/spdystream refuses both.
  if (shape === undefined) throw new SpdyViolation(`control frame of type ${type}`)
  if (length > limits.maxControlFrameBytes) {
    throw new SpdyViolation(`${shape.name} of ${length} bytes`)
  }
  if (shape.exact ? length !== shape.minLength : length < shape.minLength) {
    throw new SpdyViolation(`${shape.name} of ${length} bytes`)
  }
  if ((flags & ~shape.flags) !== 0) throw new SpdyViolation(`${shape.name} with flags ${flags}`)
  if (type !== ControlFrameType.SETTINGS) return
  if (length > 4 + limits.maxSettingsEntries * SETTINGS_ENTRY_BYTES) {
    throw new SpdyViolation(`SETTINGS of ${length} bytes`)
  }
}

function parseSettings(body: Uint8Array): ControlFrame {
  const entries = readUint32(body, 0)
  // The count is the peer's word; the length is what is really there.
  if (4 + entries * SETTINGS_ENTRY_BYTES !== body.length) {
    throw new SpdyViolation(`SETTINGS of ${body.length} bytes claims ${entries} entries`)
  }
  return { type: 'SETTINGS', entries }
}

function parseRstStream(body: Uint8Array): ControlFrame {
  const status = readUint32(body, 4)
  if (status === 0) throw new SpdyViolation('RST_STREAM with status 0')
  return { type: 'RST_STREAM', streamId: readStreamId(body, 0, 'RST_STREAM'), status }
}

function parsePing(body: Uint8Array): ControlFrame {
  const id = readUint32(body, 0)
  if (id === 0) throw new SpdyViolation('PING with id 0')
  return { type: 'PING', id }
}

function parseControlFrame({ type, flags, body }: OpenControl): ControlFrame {
  const fin = (flags & FLAG_FIN) !== 0
  switch (type) {
    case ControlFrameType.SYN_STREAM:
      return {
        type: 'SYN_STREAM',
        streamId: readStreamId(body, 0, 'SYN_STREAM'),
        associatedToStreamId: readUint32(body, 4) & STREAM_ID_MASK,
        priority: (body[8] ?? 0) >>> 5,
        fin,
        unidirectional: (flags & FLAG_UNIDIRECTIONAL) !== 0,
        headerBlock: body.subarray(10),
      }
    case ControlFrameType.SYN_REPLY: {
      const streamId = readStreamId(body, 0, 'SYN_REPLY')
      return { type: 'SYN_REPLY', streamId, fin, headerBlock: body.subarray(4) }
    }
    case ControlFrameType.HEADERS: {
      const streamId = readStreamId(body, 0, 'HEADERS')
      return { type: 'HEADERS', streamId, fin, headerBlock: body.subarray(4) }
    }
    case ControlFrameType.RST_STREAM:
      return parseRstStream(body)
    case ControlFrameType.SETTINGS:
      return parseSettings(body)
    case ControlFrameType.PING:
      return parsePing(body)
    case ControlFrameType.GOAWAY: {
      const lastGoodStreamId = readUint32(body, 0) & STREAM_ID_MASK
      return { type: 'GOAWAY', lastGoodStreamId, status: readUint32(body, 4) }
    }
    default: {
      // WINDOW_UPDATE: id 0 is the whole connection in SPDY/3.1.
      const streamId = readUint32(body, 0) & STREAM_ID_MASK
      return { type: 'WINDOW_UPDATE', streamId, delta: readUint32(body, 4) & STREAM_ID_MASK }
    }
  }
}

export class FrameDecoder {
  readonly #limits: SpdyLimits
  /** Pushed and not yet taken; `#at` counts into the first. */
  readonly #chunks: Uint8Array[] = []
  #at = 0
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES)
  #headerFilled = 0
  #data: OpenData | undefined
  #control: OpenControl | undefined

  constructor(limits: SpdyLimits) {
    this.#limits = limits
  }

  /** The decoder reads `chunk` later: it must not change. */
  push(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#chunks.push(chunk)
  }

  /** Bytes pushed that no frame has been taken from yet. */
  get hasUnread(): boolean {
    return this.#chunks.length > 0
  }

  /** True between two frames: a connection that ends elsewhere was cut. */
  get atFrameBoundary(): boolean {
    return (
      this.#chunks.length === 0 &&
      this.#headerFilled === 0 &&
      this.#data === undefined &&
      this.#control === undefined
    )
  }

  /** One frame, or undefined: not enough bytes yet. Throws `SpdyViolation`. */
  next(): Frame | undefined {
    for (;;) {
      if (this.#data !== undefined) return this.#takeData(this.#data)
      if (this.#control !== undefined) return this.#takeControl(this.#control)
      const header = this.#takeHeader()
      if (header === undefined) return undefined
      const frame = this.#openFrame(header.bytes, header.at)
      if (frame !== undefined) return frame
    }
  }

  /** Reads the frame header; an empty DATA frame is complete with it. */
  #openFrame(bytes: Uint8Array, at: number): DataPiece | undefined {
    const word = readUint32(bytes, at)
    const flags = bytes[at + 4] ?? 0
    const length = readUint24(bytes, at + 5)
    if (word > STREAM_ID_MASK) {
      const header = { type: word & 0xffff, flags, length }
      checkControlHeader(header, (word >>> 16) & 0x7fff, this.#limits)
      this.#control = { ...header, body: new Uint8Array(0), filled: 0 }
      return undefined
    }
    if (word === 0) throw new SpdyViolation('DATA for stream 0')
    if ((flags & ~FLAG_FIN) !== 0) throw new SpdyViolation(`DATA with flags ${flags}`)
    if (length > this.#limits.maxDataFrameBytes) throw new SpdyViolation(`DATA of ${length} bytes`)
    const fin = (flags & FLAG_FIN) !== 0
    if (length === 0) return { type: 'DATA', streamId: word, data: new Uint8Array(0), fin }
    this.#data = { streamId: word, remaining: length, fin }
    return undefined
  }

  #takeHeader(): { bytes: Uint8Array; at: number } | undefined {
    const chunk = this.#chunks[0]
    if (chunk === undefined) return undefined
    if (this.#headerFilled === 0 && chunk.length - this.#at >= FRAME_HEADER_BYTES) {
      const at = this.#at
      this.#advance(chunk, FRAME_HEADER_BYTES)
      return { bytes: chunk, at }
    }
    this.#headerFilled = this.#fill(this.#header, this.#headerFilled)
    if (this.#headerFilled < FRAME_HEADER_BYTES) return undefined
    this.#headerFilled = 0
    return { bytes: this.#header, at: 0 }
  }

  #takeData(open: OpenData): DataPiece | undefined {
    const chunk = this.#chunks[0]
    if (chunk === undefined) return undefined
    const data = chunk.subarray(this.#at, this.#at + open.remaining)
    this.#advance(chunk, data.length)
    open.remaining -= data.length
    const last = open.remaining === 0
    if (last) this.#data = undefined
    return { type: 'DATA', streamId: open.streamId, data, fin: open.fin && last }
  }

  #takeControl(open: OpenControl): ControlFrame | undefined {
    const chunk = this.#chunks[0]
    if (open.filled === 0 && chunk !== undefined && chunk.length - this.#at >= open.length) {
      open.body = chunk.subarray(this.#at, this.#at + open.length)
      this.#advance(chunk, open.length)
    } else {
      if (open.body.length === 0) open.body = new Uint8Array(open.length)
      open.filled = this.#fill(open.body, open.filled)
      if (open.filled < open.length) return undefined
    }
    this.#control = undefined
    return parseControlFrame(open)
  }

  /** Copies what is there into `target`, from `filled` on; returns how far it is filled now. */
  #fill(target: Uint8Array, filled: number): number {
    let end = filled
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const part = chunk.subarray(this.#at, this.#at + target.length - end)
      target.set(part, end)
      end += part.length
      this.#advance(chunk, part.length)
      if (end === target.length) break
    }
    return end
  }

  #advance(chunk: Uint8Array, length: number): void {
    this.#at += length
    if (this.#at < chunk.length) return
    this.#chunks.shift()
    this.#at = 0
  }
}
