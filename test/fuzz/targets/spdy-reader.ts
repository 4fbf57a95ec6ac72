/** Frames and header blocks of SPDY, as kubectl and the API server send them. */
import { isDeepStrictEqual } from 'node:util'
import { constants, inflateSync } from 'node:zlib'

import * as fc from 'fast-check'

import { DEFAULT_LIMITS } from '../../../lib/spdy/constants.ts'
import { FrameDecoder } from '../../../lib/spdy/decode.ts'
import { DICTIONARY } from '../../../lib/spdy/dictionary.ts'
import type { Frame } from '../../../lib/spdy/frame.ts'
import { HeaderBlockDecoder, HeaderBlockEncoder } from '../../../lib/spdy/header-block.ts'
import { isSpdyViolation } from '../../../lib/spdy/violation.ts'
import { NaiveCompressor, naiveEncode, plainHeaderBlock } from '../../unit/spdy/naive-codec.ts'
import { cutsOf } from '../cuts.ts'
import { broken, type Target } from '../target.ts'

interface Reading {
  frames: Frame[]
  headers: [string, string][][]
  /** The violation that ended it, or where it stopped. */
  end: string
}

function read(pieces: readonly Uint8Array[]): Reading {
  const decoder = new FrameDecoder(DEFAULT_LIMITS)
  let blocks: HeaderBlockDecoder | undefined
  const reading: Reading = { frames: [], headers: [], end: '' }
  try {
    for (const piece of pieces) {
      decoder.push(piece)
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        append(reading.frames, frame)
        if (!('headerBlock' in frame)) continue
        blocks ??= new HeaderBlockDecoder(DEFAULT_LIMITS)
        reading.headers.push([...blocks.decode(frame.headerBlock)])
      }
      if (decoder.hasUnread) throw broken('the decoder keeps bytes that it could have taken')
    }
    reading.end = decoder.atFrameBoundary ? 'between frames' : 'inside a frame'
  } catch (error) {
    if (!isSpdyViolation(error)) throw error
    reading.end = error.message
  }
  return reading
}

/** DATA comes in pieces, by the cut; joined, it must not tell. */
function append(frames: Frame[], frame: Frame): void {
  const last = frames.at(-1)
  if (frame.type !== 'DATA' || last?.type !== 'DATA' || last.fin) frames.push(own(frame))
  else if (last.streamId !== frame.streamId) frames.push(own(frame))
  else {
    last.data = Buffer.concat([last.data, frame.data])
    last.fin = frame.fin
  }
}

function own(frame: Frame): Frame {
  if (frame.type === 'DATA') return { ...frame, data: Buffer.from(frame.data) }
  return 'headerBlock' in frame ? { ...frame, headerBlock: Buffer.from(frame.headerBlock) } : frame
}

function checkSizes({ frames, headers }: Reading, input: Uint8Array): void {
  const data = frames.reduce((sum, frame) => sum + ('data' in frame ? frame.data.length : 0), 0)
  if (data > input.length) throw broken('more DATA comes out than went in', data, input.length)
  for (const block of headers) {
    const plain = plainHeaderBlock(block)
    if (
      block.length > DEFAULT_LIMITS.maxHeaders ||
      plain.length > DEFAULT_LIMITS.maxHeaderBlockBytes
    )
      throw broken('a header block is over the limits', block.length, plain.length)
  }
}

/** What was read, written anew by another codec, must be read as the same. */
function checkAgain(frames: readonly Frame[]): void {
  const again = read([Buffer.concat(frames.filter((f) => !('headerBlock' in f)).map(naiveEncode))])
  const wanted: Frame[] = []
  for (const frame of frames) if (!('headerBlock' in frame)) append(wanted, frame)
  if (!isDeepStrictEqual(again.frames, wanted))
    throw broken('frames change when written anew', wanted, again.frames)
}

/** zlib itself must inflate the blocks to the names and values that were read. */
function checkHeaders({ frames, headers }: Reading): void {
  const compressed = frames.flatMap((frame) => ('headerBlock' in frame ? [frame.headerBlock] : []))
  const inflated = inflateSync(Buffer.concat(compressed), {
    dictionary: DICTIONARY,
    finishFlush: constants.Z_SYNC_FLUSH,
    maxOutputLength: DEFAULT_LIMITS.maxHeaderBlockBytes * (compressed.length + 1),
  })
  const wanted = Buffer.concat(headers.map(plainHeaderBlock))
  if (!inflated.equals(wanted)) throw broken('zlib inflates header blocks to something else')
  const [encoder, decoder] = [new HeaderBlockEncoder(), new HeaderBlockDecoder(DEFAULT_LIMITS)]
  for (const block of headers) {
    const again = decoder.decode(encoder.encode(new Map(block)))
    if (!isDeepStrictEqual([...again], block))
      throw broken('a header block changes when written anew', block, [...again])
  }
}

const id = fc.oneof(fc.constantFrom(1, 2, 3, 5, 7, 9, 0x7fff_ffff), fc.nat({ max: 0x7fff_ffff }))
const uint32 = fc.nat({ max: 0xffff_ffff })
const word = fc.oneof(
  fc.constantFrom('streamtype', 'port', 'requestid', 'error', 'data', 'stdin', 'stdout', '8080'),
  fc.string({ maxLength: 12 }),
)
const headers = fc.array(fc.tuple(word, word), { maxLength: 4 })

type Plan = (compressor: NaiveCompressor) => Uint8Array

const withHeaders: fc.Arbitrary<Plan> = fc
  .record({
    type: fc.constantFrom('SYN_STREAM' as const, 'SYN_REPLY' as const, 'HEADERS' as const),
    streamId: id,
    associatedToStreamId: fc.nat({ max: 9 }),
    priority: fc.nat({ max: 7 }),
    fin: fc.boolean(),
    unidirectional: fc.boolean(),
    headers,
  })
  .map((frame) => (compressor) => {
    const headerBlock = compressor.headers(...frame.headers)
    return naiveEncode({ ...frame, headerBlock })
  })
const plain: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant('DATA' as const),
    streamId: id,
    data: fc.uint8Array({ maxLength: 60 }),
    fin: fc.boolean(),
  }),
  fc.record({ type: fc.constant('RST_STREAM' as const), streamId: id, status: uint32 }),
  fc.record({ type: fc.constant('SETTINGS' as const), entries: fc.nat({ max: 40 }) }),
  fc.record({ type: fc.constant('PING' as const), id: uint32 }),
  fc.record({ type: fc.constant('GOAWAY' as const), lastGoodStreamId: id, status: uint32 }),
  fc.record({ type: fc.constant('WINDOW_UPDATE' as const), streamId: id, delta: id }),
)

export const target: Target = {
  about: 'SPDY/3.1 frames and header blocks (lib/spdy)',
  covers: ['lib/spdy/', 'node_modules/pako/'],
  maxBytes: 4096,
  inputs: fc
    .array(
      fc.oneof(
        withHeaders,
        plain.map(
          (frame): Plan =>
            () =>
              naiveEncode(frame),
        ),
      ),
      {
        maxLength: 8,
      },
    )
    .map((plans) => {
      const compressor = new NaiveCompressor()
      return Buffer.concat(plans.map((plan) => plan(compressor)))
    }),
  check(input) {
    const whole = read([input])
    for (const pieces of cutsOf(input)) {
      const cut = read(pieces)
      if (!isDeepStrictEqual(cut, whole))
        throw broken('a cut of the bytes changes what is read', pieces.length, whole, cut)
    }
    checkSizes(whole, input)
    checkAgain(whole.frames)
    const complete = whole.end === 'between frames' || whole.end === 'inside a frame'
    if (complete && whole.headers.length > 0) checkHeaders(whole)
  },
}
