/**
 * Header blocks: names and values, deflated with one zlib stream per direction
 * for the life of a connection. PURE.
 *
 *   inflated: | count 32 | then count times: | length 32 | name | length 32 | value |
 *
 * Writing needs no compressor: blocks go out "stored" (RFC 1951 section 3.2.4),
 * each followed by the empty stored block of a sync flush. Without it Go's
 * flate reader meets the end of its input in mid-stream, and the next header
 * block ends the connection.
 */
import { Inflate } from 'pako'

import type { SpdyLimits } from './constants.ts'
import { DICTIONARY, DICTIONARY_ID } from './dictionary.ts'
import { SpdyViolation } from './violation.ts'

export type Headers = ReadonlyMap<string, string>

/** CMF 0x78 (deflate, 32 KiB window); FLG 0xBB: a preset dictionary, and the check bits for it. */
const ZLIB_HEADER = 0x78bb
const SYNC_FLUSH = Uint8Array.of(0x00, 0x00, 0x00, 0xff, 0xff)
const MAX_STORED_BYTES = 0xffff
const Z_SYNC_FLUSH = 2
/** Small, since pako allocates one for every block; real blocks hold some forty bytes. */
const INFLATE_CHUNK_BYTES = 1024

function serialize(headers: Headers): Buffer {
  const parts: Buffer[] = []
  const field = (text: string) => {
    const bytes = Buffer.from(text, 'latin1')
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    parts.push(length, bytes)
  }
  const count = Buffer.allocUnsafe(4)
  count.writeUInt32BE(headers.size)
  parts.push(count)
  for (const [name, value] of headers) {
    field(name)
    field(value)
  }
  return Buffer.concat(parts)
}

export class HeaderBlockEncoder {
  #started = false

  encode(headers: Headers): Uint8Array {
    const plain = serialize(headers)
    const parts: Uint8Array[] = []
    if (!this.#started) {
      const opening = Buffer.allocUnsafe(6)
      opening.writeUInt16BE(ZLIB_HEADER, 0)
      opening.writeUInt32BE(DICTIONARY_ID, 2)
      parts.push(opening)
      this.#started = true
    }
    for (let at = 0; at < plain.length; at += MAX_STORED_BYTES) {
      const piece = plain.subarray(at, at + MAX_STORED_BYTES)
      const stored = Buffer.allocUnsafe(5)
      stored.writeUInt8(0, 0)
      stored.writeUInt16LE(piece.length, 1)
      stored.writeUInt16LE(piece.length ^ 0xffff, 3)
      parts.push(stored, piece)
    }
    parts.push(SYNC_FLUSH)
    return Buffer.concat(parts)
  }
}

function parse(block: Buffer, limits: SpdyLimits): Headers {
  let at = 0
  const uint32 = () => {
    if (at + 4 > block.length) throw new SpdyViolation('header block ends too early')
    at += 4
    return block.readUInt32BE(at - 4)
  }
  const field = (what: string, maxBytes: number) => {
    const length = uint32()
    if (length > maxBytes) throw new SpdyViolation(`header ${what} of ${length} bytes`)
    if (at + length > block.length) throw new SpdyViolation('header block ends too early')
    at += length
    return block.toString('latin1', at - length, at)
  }
  const count = uint32()
  if (count > limits.maxHeaders) throw new SpdyViolation(`header block claims ${count} headers`)
  const headers = new Map<string, string>()
  for (let n = 0; n < count; n++) {
    const name = field('name', limits.maxHeaderNameBytes)
    if (name === '') throw new SpdyViolation('header without a name')
    // Compared as ASCII: no rule of Unicode may make two names one.
    if (/[A-Z]/.test(name)) throw new SpdyViolation('header name not in lower case')
    if (headers.has(name)) throw new SpdyViolation('header named twice')
    headers.set(name, field('value', limits.maxHeaderValueBytes))
  }
  if (at !== block.length) throw new SpdyViolation('bytes after the last header')
  return headers
}

export class HeaderBlockDecoder {
  readonly #limits: SpdyLimits
  readonly #inflate = new Inflate({
    dictionary: DICTIONARY,
    // Said outright, or pako would take gzip as well.
    windowBits: 15,
    chunkSize: INFLATE_CHUNK_BYTES,
  })
  #parts: Uint8Array[] = []
  #length = 0

  constructor(limits: SpdyLimits) {
    this.#limits = limits
    this.#inflate.onData = (part) => this.#collect(part)
  }

  /** After a `SpdyViolation` the decoder, and with it the connection, is of no more use. */
  decode(compressed: Uint8Array): Headers {
    this.#parts = []
    this.#length = 0
    if (!this.#inflate.push(compressed, Z_SYNC_FLUSH) || this.#inflate.ended) {
      throw new SpdyViolation(`header block does not inflate (${this.#inflate.msg || 'ended'})`)
    }
    const block = Buffer.concat(this.#parts, this.#length)
    this.#parts = []
    return parse(block, this.#limits)
  }

  /** Thrown from inside the inflater, so that a bomb is never inflated further than the limit. */
  #collect(part: Uint8Array): void {
    this.#length += part.length
    if (this.#length > this.#limits.maxHeaderBlockBytes) {
      throw new SpdyViolation(
        `header block inflates past ${this.#limits.maxHeaderBlockBytes} bytes`,
      )
    }
    this.#parts.push(part)
  }
}
