import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { DEFAULT_LIMITS, type SpdyLimits } from '../../../lib/spdy/constants.ts'
import { FrameDecoder } from '../../../lib/spdy/decode.ts'
import type { Frame } from '../../../lib/spdy/frame.ts'
import { sliceRandomly } from '../../conformance/observe.ts'
import { GO_BYTES } from './fixtures.ts'
import { bytes, control, data, naiveDecode, naiveEncode } from './naive-codec.ts'

/** Feeds the chunks one by one and puts the pieces of each DATA frame together again. */
function decodeChunks(chunks: readonly Uint8Array[], limits: SpdyLimits = DEFAULT_LIMITS): Frame[] {
  const decoder = new FrameDecoder(limits)
  const frames: Frame[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      frames.push(structuredClone(frame))
    }
    expect(decoder.hasUnread).toBe(false)
  }
  return frames
}

/** DATA frames as (stream, bytes, fin), the cuts between pieces of one stream forgotten. */
function joined(frames: readonly Frame[]): Frame[] {
  const out: Frame[] = []
  for (const frame of frames) {
    const last = out.at(-1)
    const goesOn =
      frame.type === 'DATA' &&
      last?.type === 'DATA' &&
      last.streamId === frame.streamId &&
      !last.fin
    if (goesOn) {
      last.data = Uint8Array.from([...last.data, ...frame.data])
      last.fin = frame.fin
    } else if (frame.type === 'DATA') out.push({ ...frame, data: Uint8Array.from(frame.data) })
    else if ('headerBlock' in frame) {
      out.push({ ...frame, headerBlock: Uint8Array.from(frame.headerBlock) })
    } else out.push({ ...frame })
  }
  return out
}

const EVERY_FRAME: Frame[] = [
  {
    type: 'SYN_STREAM',
    streamId: 1,
    associatedToStreamId: 7,
    priority: 5,
    fin: true,
    unidirectional: true,
    headerBlock: bytes('010203'),
  },
  { type: 'SYN_REPLY', streamId: 127, fin: false, headerBlock: bytes('') },
  { type: 'DATA', streamId: 128, data: bytes('68656c6c6f'), fin: false },
  { type: 'DATA', streamId: 129, data: bytes(''), fin: true },
  { type: 'DATA', streamId: 0x7fff_ffff, data: bytes('00'), fin: true },
  { type: 'RST_STREAM', streamId: 3, status: 5 },
  { type: 'SETTINGS', entries: 2 },
  { type: 'PING', id: 0xffff_ffff },
  { type: 'HEADERS', streamId: 5, fin: true, headerBlock: bytes('ff') },
  { type: 'WINDOW_UPDATE', streamId: 0, delta: 0x7fff_ffff },
  { type: 'GOAWAY', lastGoodStreamId: 0, status: 0 },
]

const FIXTURES = [
  { name: 'what Go sends', fixture: GO_BYTES },
  { name: 'one of every frame', fixture: Buffer.concat(EVERY_FRAME.map(naiveEncode)) },
]

describe('FrameDecoder splits', () => {
  it.each(FIXTURES)('$name reads the same cut at every byte', ({ fixture }) => {
    const want = joined(naiveDecode(fixture).frames)
    for (let cut = 0; cut <= fixture.length; cut++) {
      const frames = decodeChunks([fixture.subarray(0, cut), fixture.subarray(cut)])
      expect(joined(frames)).toEqual(want)
    }
  })

  it.each(FIXTURES)('$name reads the same byte by byte', ({ fixture }) => {
    const singles = Array.from(fixture, (byte) => Uint8Array.of(byte))
    expect(joined(decodeChunks(singles))).toEqual(joined(naiveDecode(fixture).frames))
  })

  it('agrees with a naive decoder on any frames, cut anywhere', () => {
    const id = fc.oneof(
      fc.constantFrom(1, 127, 128, 129, 0x7fff_ffff),
      fc.integer({ min: 1, max: 0x7fff_ffff }),
    )
    const block = fc.uint8Array({ maxLength: 40 })
    const uint32 = fc.integer({ min: 1, max: 0xffff_ffff })
    const frame: fc.Arbitrary<Frame> = fc.oneof(
      fc.record({
        type: fc.constant('DATA' as const),
        streamId: id,
        data: fc.uint8Array({ maxLength: 300 }),
        fin: fc.boolean(),
      }),
      fc.record({
        type: fc.constant('SYN_STREAM' as const),
        streamId: id,
        associatedToStreamId: fc.integer({ min: 0, max: 0x7fff_ffff }),
        priority: fc.integer({ min: 0, max: 7 }),
        fin: fc.boolean(),
        unidirectional: fc.boolean(),
        headerBlock: block,
      }),
      fc.record({
        type: fc.constantFrom('SYN_REPLY' as const, 'HEADERS' as const),
        streamId: id,
        fin: fc.boolean(),
        headerBlock: block,
      }),
      fc.record({ type: fc.constant('RST_STREAM' as const), streamId: id, status: uint32 }),
      fc.record({
        type: fc.constant('SETTINGS' as const),
        entries: fc.integer({ min: 0, max: 32 }),
      }),
      fc.record({ type: fc.constant('PING' as const), id: uint32 }),
      fc.record({ type: fc.constant('GOAWAY' as const), lastGoodStreamId: id, status: uint32 }),
      fc.record({ type: fc.constant('WINDOW_UPDATE' as const), streamId: id, delta: id }),
    )
    const property = fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 200 }),
      (frames, seed, maxLength) => {
        const wire = Buffer.concat(frames.map(naiveEncode))
        const got = decodeChunks(sliceRandomly(seed, wire, maxLength))
        expect(joined(got)).toEqual(joined(frames))
      },
    )
    fc.assert(property, { numRuns: 300 })
  })
})

describe('FrameDecoder', () => {
  it.each([
    { name: 'the lowest id', hex: '00000001', want: 1 },
    { name: 'an id of seven bits', hex: '0000007f', want: 127 },
    { name: 'the first id past seven bits', hex: '00000080', want: 128 },
    { name: 'an id that seven bits would take for 1', hex: '00000081', want: 129 },
    { name: 'the highest id', hex: '7fffffff', want: 0x7fff_ffff },
  ])('keeps $name', ({ hex, want }) => {
    const frames = decodeChunks([
      bytes(`${hex} 00000001 61`),
      bytes(`80030003 00000008 ${hex} 00000005`),
    ])
    expect(frames.map((frame) => 'streamId' in frame && frame.streamId)).toEqual([want, want])
  })

  it('drops the bit above a stream id in control frames', () => {
    const [frame] = decodeChunks([bytes('80030003 00000008 ffffffff 00000005')])
    expect(frame).toEqual({ type: 'RST_STREAM', streamId: 0x7fff_ffff, status: 5 })
  })

  it('hands payloads out as views of what was pushed, before the frame is complete', () => {
    const decoder = new FrameDecoder(DEFAULT_LIMITS)
    const chunk = bytes('00000001 01000004 6162')
    decoder.push(chunk)
    const piece = decoder.next()
    expect(piece).toEqual({ type: 'DATA', streamId: 1, data: chunk.subarray(8), fin: false })
    expect(piece?.type === 'DATA' && piece.data.buffer).toBe(chunk.buffer)
    expect(decoder.next()).toBeUndefined()
    expect(decoder.atFrameBoundary).toBe(false)
    decoder.push(bytes('6364'))
    expect(decoder.next()).toEqual({ type: 'DATA', streamId: 1, data: bytes('6364'), fin: true })
    expect(decoder.atFrameBoundary).toBe(true)
  })

  it.each([
    { name: 'inside a header', hex: '00000001 00' },
    { name: 'before the body of a control frame', hex: '80030006 00000004' },
    { name: 'inside the body of a control frame', hex: '80030006 00000004 0000' },
    { name: 'inside a payload', hex: '00000001 00000004 61' },
  ])('knows that it stands $name', ({ hex }) => {
    const decoder = new FrameDecoder(DEFAULT_LIMITS)
    decoder.push(bytes(hex))
    while (decoder.next() !== undefined);
    expect(decoder.atFrameBoundary).toBe(false)
  })
})

const LIMITS: SpdyLimits = {
  ...DEFAULT_LIMITS,
  maxControlFrameBytes: 300,
  maxDataFrameBytes: 1000,
  maxSettingsEntries: 4,
}

describe('FrameDecoder limits', () => {
  it.each([
    {
      name: 'a control frame',
      at: control(8, 0, new Uint8Array(300).fill(1)),
      over: '80030008 0000012d',
    },
    { name: 'a DATA frame', at: data(1, new Uint8Array(1000)), over: '00000001 000003e9' },
    {
      name: 'SETTINGS',
      at: control(4, 0, [0, 0, 0, 4, ...new Uint8Array(32)]),
      over: '80030004 0000002c',
    },
  ])('take $name of the maximum and refuse one more as soon as its header is read', (row) => {
    expect(decodeChunks([row.at], LIMITS)).not.toHaveLength(0)
    expect(() => decodeChunks([bytes(row.over)], LIMITS)).toThrow(/of \d+ bytes/)
  })

  it('take the largest DATA frame of the format by default', () => {
    const frames = decodeChunks([bytes('00000001 00ffffff'), new Uint8Array(0xff_ffff)])
    expect(frames.map((frame) => frame.type === 'DATA' && frame.data.length)).toEqual([0xff_ffff])
  })
})

describe('FrameDecoder refuses', () => {
  it.each([
    { name: 'another SPDY version', hex: '80020006 00000004', says: 'SPDY version 2' },
    { name: 'NOOP', hex: '80030005 00000000', says: 'type 5' },
    { name: 'CREDENTIAL', hex: '8003000a 00000004', says: 'type 10' },
    { name: 'an unknown control frame', hex: '8003ffff 00000004', says: 'type 65535' },
    { name: 'DATA for stream 0', hex: '00000000 00000001', says: 'stream 0' },
    { name: 'DATA with unknown flags', hex: '00000001 02000001', says: 'flags 2' },
    {
      name: 'SYN_STREAM for stream 0',
      hex: '80030001 0000000a 80000000 00000000 0000',
      says: 'stream 0',
    },
    { name: 'SYN_STREAM too short', hex: '80030001 00000009', says: '9 bytes' },
    { name: 'SYN_STREAM with unknown flags', hex: '80030001 0400000a', says: 'flags 4' },
    { name: 'SYN_REPLY for stream 0', hex: '80030002 00000004 00000000', says: 'stream 0' },
    { name: 'SYN_REPLY too short', hex: '80030002 00000003', says: '3 bytes' },
    {
      name: 'RST_STREAM for stream 0',
      hex: '80030003 00000008 00000000 00000005',
      says: 'stream 0',
    },
    {
      name: 'RST_STREAM with status 0',
      hex: '80030003 00000008 00000001 00000000',
      says: 'status 0',
    },
    { name: 'RST_STREAM too long', hex: '80030003 00000009', says: '9 bytes' },
    { name: 'PING with id 0', hex: '80030006 00000004 00000000', says: 'id 0' },
    { name: 'PING with flags', hex: '80030006 01000004', says: 'flags 1' },
    { name: 'PING too long', hex: '80030006 00000005', says: '5 bytes' },
    { name: 'GOAWAY too short', hex: '80030007 00000004', says: '4 bytes' },
    { name: 'GOAWAY with flags', hex: '80030007 01000008', says: 'flags 1' },
    { name: 'WINDOW_UPDATE too short', hex: '80030009 00000004', says: '4 bytes' },
    { name: 'SETTINGS without a count', hex: '80030004 00000003', says: '3 bytes' },
    {
      name: 'SETTINGS that claims 2^32-1 entries',
      hex: `80030004 00000022 ffffffff ${'00'.repeat(30)}`,
      says: 'claims 4294967295 entries',
    },
    {
      name: 'SETTINGS that claims fewer entries than it holds',
      hex: `80030004 00000014 00000001 ${'00'.repeat(16)}`,
      says: 'claims 1 entries',
    },
  ])('$name, however it is cut', ({ hex, says }) => {
    const wire = bytes(hex)
    expect(() => decodeChunks([wire])).toThrow(says)
    expect(() => decodeChunks(Array.from(wire, (byte) => Uint8Array.of(byte)))).toThrow(says)
  })

  it('anything hostile without another kind of exception', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 400 }), (wire) => {
      try {
        decodeChunks([wire])
      } catch (error) {
        expect(error).toMatchObject({ name: 'SpdyViolation', goAwayStatus: 1 })
      }
    })
    fc.assert(property, { numRuns: 1000 })
  })

  it('a bad frame only after it gave out the good ones before it', () => {
    const decoder = new FrameDecoder(DEFAULT_LIMITS)
    decoder.push(bytes('80030006 00000004 00000001 80030005 00000000'))
    expect(decoder.next()).toEqual({ type: 'PING', id: 1 })
    expect(() => decoder.next()).toThrow('type 5')
  })
})
