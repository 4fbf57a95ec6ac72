import { randomBytes } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  decodeBody,
  decodeFrame,
  encodeBody,
  encodeFrame,
  frameId,
  layOut,
  looksRandom,
  type DataFrame,
  type Entry,
  type EntryKind,
} from '../../../lib/recording/frame.ts'

const place = { session: 's-1', seq: 3, writer: 'w' }

function entry(kind: EntryKind, atMs: number, data: string | Uint8Array): Entry {
  return { kind, atMs, data: Buffer.from(data) }
}

function plain(entries: readonly Entry[] | undefined): unknown {
  return entries?.map(({ kind, atMs, data }) => ({
    kind,
    atMs,
    hex: Buffer.from(data).toString('hex'),
  }))
}

const anyEntries = fc.array(
  fc.record({
    kind: fc.constantFrom<EntryKind>('stdout', 'stderr', 'error', 'resize', 'note'),
    atMs: fc.maxSafeNat().map((value) => Math.floor(value / 4)),
    data: fc.uint8Array({ maxLength: 300 }),
  }),
)

describe('the body of a frame', () => {
  it('is laid out as drawn', () => {
    const body = encodeBody([
      entry('stdout', 5, 'ab'),
      entry('stderr', 4, ''),
      entry('note', 204, randomBytes(0)),
    ])
    expect(Buffer.from(body).toString('hex')).toBe(
      ['03', '000a02', '010100', '04900300', '6162'].join(''),
    )
  })

  const edges: [string, Entry[]][] = [
    ['no entry', []],
    ['an empty entry', [entry('note', 0, '')]],
    [
      'lengths around a varint border',
      [127, 128, 16383, 16384].map((size) => entry('stdout', 1, Buffer.alloc(size, 7))),
    ],
    [
      'times that go back',
      [entry('stdout', 1000, 'a'), entry('stdout', 1, 'b'), entry('stdout', 5, 'c')],
    ],
    [
      'times since 1970',
      [entry('stdout', Date.UTC(2026, 10, 22), 'a'), entry('stdout', Date.UTC(2200, 0, 1), 'b')],
    ],
  ]
  it.each(edges)('comes back with %s', (_name, entries) => {
    expect(plain(decodeBody(encodeBody(entries)))).toEqual(plain(entries))
  })

  it('comes back whatever the entries are', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        expect(plain(decodeBody(encodeBody(entries)))).toEqual(plain(entries))
      }),
      { seed: 20261122 },
    )
  })

  it('gives the entries back as views of it, one behind the other', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const { body, entries: moved } = layOut(entries)
        expect(plain(moved)).toEqual(plain(entries))
        let end = moved[0]?.data.byteOffset ?? 0
        for (const { data } of moved) {
          expect(data.buffer).toBe(body.buffer)
          expect(data.byteOffset).toBe(end)
          end += data.length
        }
        if (moved.length > 0) expect(end).toBe(body.byteOffset + body.length)
      }),
    )
  })

  it('cuts fractions of a millisecond off, and times before the start', () => {
    const body = encodeBody([entry('stdout', 1.9, 'a'), entry('stdout', -3, 'b')])
    expect(decodeBody(body)?.map(({ atMs }) => atMs)).toEqual([1, 0])
  })

  it('is refused when cut or lengthened anywhere', () => {
    const body = encodeBody([entry('stdout', 1, 'hello'), entry('stderr', 300, 'world')])
    for (let length = 0; length < body.length; length++) {
      expect(decodeBody(body.subarray(0, length))).toBeUndefined()
    }
    expect(decodeBody(Buffer.concat([body, Buffer.alloc(1)]))).toBeUndefined()
  })

  const damaged: [string, string][] = [
    ['a kind that does not exist', '01090000'],
    ['a count beyond the bytes', 'ffffff7f'],
    ['a varint without an end', '01ffffffffffffffffff'],
    ['a time before the start', '0100030161'],
    ['a length beyond the bytes', '010000ffffff7f'],
  ]
  it.each(damaged)('is refused with %s', (_name, hex) => {
    expect(decodeBody(Buffer.from(hex, 'hex'))).toBeUndefined()
  })

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeBody(bytes)
      }),
      { seed: 20261122 },
    )
  })
})

describe('the document of a frame', () => {
  const log = '2026-11-22T10:00:00Z INFO request served in 12 ms\n'.repeat(4000)
  const cases: [string, Uint8Array, 'raw' | 'zstd'][] = [
    ['a keystroke', Buffer.from('a'), 'raw'],
    ['a log', Buffer.from(log), 'zstd'],
    ['random bytes', randomBytes(200_000), 'raw'],
    ['random bytes that are too few to tell', randomBytes(2000), 'raw'],
    ['base64 of random bytes', Buffer.from(randomBytes(90_000).toString('base64')), 'zstd'],
  ]
  it.each(cases)('keeps %s, and comes back', async (_name, data, encoding) => {
    const entries = [entry('stdout', 12, data)]
    const frame = await encodeFrame(entries, place)
    expect(frame).toMatchObject({ _id: 's-1/0000000003', seq: 3, writer: 'w', encoding })
    expect(frame.size).toBe(encodeBody(entries).length)
    expect(plain(await decodeFrame(frame))).toEqual(plain(entries))
  })

  it('orders ids as numbers', () => {
    const ids = [0, 9, 10, 99, 100, 12345, 999999999].map((seq) => frameId('s', seq))
    expect([...ids].sort()).toEqual(ids)
  })

  async function logFrame(): Promise<DataFrame> {
    return await encodeFrame([entry('stdout', 1, log)], place)
  }
  const lies: [string, (frame: DataFrame) => Partial<DataFrame>][] = [
    ['a size that is too small (a bomb)', ({ size }) => ({ size: size - 1 })],
    ['a size that is too large', ({ size }) => ({ size: size + 1 })],
    ['a size beyond reason', () => ({ size: 2 ** 40 })],
    ['no size', () => ({ size: Number.NaN })],
    ['bytes that are not zstd', () => ({ data: Buffer.from('nonsense') })],
    ['bytes cut short', ({ data }) => ({ data: data.subarray(0, -5) })],
    ['an unknown schema version', () => ({ schemaVersion: 2 })],
    ['an unknown encoding', () => ({ encoding: 'lz4' as 'zstd' })],
    ['another encoding', () => ({ encoding: 'raw' })],
  ]
  it.each(lies)('is refused with %s', async (_name, lie) => {
    const frame = await logFrame()
    await expect(decodeFrame({ ...frame, ...lie(frame) })).rejects.toMatchObject({
      name: 'GatewayError',
      id: 1013,
      message: expect.stringContaining('frame 3 of the transcript of session s-1'),
    })
  })
})

describe('the look at whether compressing is worth it', () => {
  const random = randomBytes(100_000)
  const cases: [string, Uint8Array, boolean][] = [
    ['random bytes', random, true],
    ['few bytes', random.subarray(0, 3000), false],
    ['zeros', Buffer.alloc(100_000), false],
    [
      'text after a random beginning',
      Buffer.concat([random.subarray(0, 2000), Buffer.alloc(50_000, 'text ')]),
      false,
    ],
    ['hex', Buffer.from(random.toString('hex')), false],
  ]
  it.each(cases)('judges %s', (_name, bytes, want) => {
    expect(looksRandom(bytes)).toBe(want)
  })
})
