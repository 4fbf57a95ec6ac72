/**
 * A second opinion on the wire: whole buffers, one DataView, no state, no limits.
 * Frames have the shape of lib/spdy/frame.ts, DATA in one piece.
 */
import { Deflate } from 'pako'

import { DICTIONARY } from '../../../lib/spdy/dictionary.ts'
import type { Frame } from '../../../lib/spdy/frame.ts'

const TYPES = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const

export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'))
}

function words(...values: number[]): number[] {
  return values.flatMap((value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff))
}

export function control(type: number, flags: number, body: Iterable<number>): Uint8Array {
  const content = [...body]
  return Uint8Array.from([0x80, 3, 0, type, ...words(flags * 2 ** 24 + content.length), ...content])
}

export function data(streamId: number, payload: Uint8Array, flags = 0): Uint8Array {
  const head = Uint8Array.from([...words(streamId), ...words(flags * 2 ** 24 + payload.length)])
  return Buffer.concat([head, payload])
}

export function naiveEncode(frame: Frame): Uint8Array {
  const fin = 'fin' in frame && frame.fin ? 1 : 0
  switch (frame.type) {
    case 'DATA':
      return data(frame.streamId, frame.data, fin)
    case 'SYN_STREAM':
      return control(TYPES.SYN_STREAM, fin | (frame.unidirectional ? 2 : 0), [
        ...words(frame.streamId, frame.associatedToStreamId),
        frame.priority << 5,
        0,
        ...frame.headerBlock,
      ])
    case 'SYN_REPLY':
    case 'HEADERS':
      return control(TYPES[frame.type], fin, [...words(frame.streamId), ...frame.headerBlock])
    case 'RST_STREAM':
      return control(TYPES.RST_STREAM, 0, words(frame.streamId, frame.status))
    case 'SETTINGS':
      return control(TYPES.SETTINGS, 0, [
        ...words(frame.entries),
        ...new Uint8Array(frame.entries * 8),
      ])
    case 'PING':
      return control(TYPES.PING, 0, words(frame.id))
    case 'GOAWAY':
      return control(TYPES.GOAWAY, 0, words(frame.lastGoodStreamId, frame.status))
    default:
      return control(TYPES.WINDOW_UPDATE, 0, words(frame.streamId, frame.delta))
  }
}

/** All whole frames in `buffer`, and how many bytes they take. */
export function naiveDecode(buffer: Uint8Array): { frames: Frame[]; length: number } {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  const frames: Frame[] = []
  let at = 0
  while (at + 8 <= buffer.length) {
    const length = view.getUint32(at + 4) % 2 ** 24
    if (at + 8 + length > buffer.length) break
    frames.push(naiveFrame(view, at, buffer.subarray(at + 8, at + 8 + length)))
    at += 8 + length
  }
  return { frames, length: at }
}

function naiveFrame(view: DataView, at: number, body: Uint8Array): Frame {
  const flags = view.getUint8(at + 4)
  const fin = flags % 2 === 1
  const word = (n: number) => view.getUint32(at + 8 + 4 * n)
  if (view.getUint32(at) < 2 ** 31) {
    return { type: 'DATA', streamId: view.getUint32(at), data: body, fin }
  }
  switch (view.getUint16(at + 2)) {
    case 1:
      return {
        type: 'SYN_STREAM',
        streamId: word(0) % 2 ** 31,
        associatedToStreamId: word(1) % 2 ** 31,
        priority: view.getUint8(at + 16) >> 5,
        fin,
        unidirectional: flags >= 2,
        headerBlock: body.subarray(10),
      }
    case 2:
      return { type: 'SYN_REPLY', streamId: word(0), fin, headerBlock: body.subarray(4) }
    case 3:
      return { type: 'RST_STREAM', streamId: word(0), status: word(1) }
    case 4:
      return { type: 'SETTINGS', entries: word(0) }
    case 6:
      return { type: 'PING', id: word(0) }
    case 7:
      return { type: 'GOAWAY', lastGoodStreamId: word(0), status: word(1) }
    case 8:
      return { type: 'HEADERS', streamId: word(0), fin, headerBlock: body.subarray(4) }
    case 9:
      return { type: 'WINDOW_UPDATE', streamId: word(0), delta: word(1) }
    default:
      throw new Error(`no such frame: ${view.getUint16(at + 2)}`)
  }
}

export function plainHeaderBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const field = (text: string) => [...words(text.length), ...Buffer.from(text, 'latin1')]
  return Buffer.from([
    ...words(headers.length),
    ...headers.flatMap(([name, value]) => [...field(name), ...field(value)]),
  ])
}

/** Really compresses, at level 9 as Go does; one per direction. */
export class NaiveCompressor {
  readonly #deflate = new Deflate({ level: 9, dictionary: DICTIONARY })
  #out: Uint8Array[] = []

  constructor() {
    this.#deflate.onData = (chunk) => this.#out.push(chunk.slice())
  }

  compress(plain: Uint8Array): Uint8Array {
    this.#out = []
    this.#deflate.push(plain, 2)
    return Buffer.concat(this.#out)
  }

  headers(...headers: (readonly [string, string])[]): Uint8Array {
    return this.compress(plainHeaderBlock(headers))
  }
}
