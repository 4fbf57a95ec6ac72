import { constants, deflateSync, inflateSync } from 'node:zlib'

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { DEFAULT_LIMITS } from '../../../lib/spdy/constants.ts'
import { DICTIONARY } from '../../../lib/spdy/dictionary.ts'
import { HeaderBlockDecoder, HeaderBlockEncoder } from '../../../lib/spdy/header-block.ts'
import { GO_FRAMES } from './fixtures.ts'
import { NaiveCompressor, plainHeaderBlock } from './naive-codec.ts'

const MIB = 1024 * 1024
type Field = readonly [string, string]

function decodeOne(headers: readonly Field[], limits = DEFAULT_LIMITS): Field[] {
  return [...new HeaderBlockDecoder(limits).decode(new NaiveCompressor().headers(...headers))]
}

const anyValue = fc.uint8Array({ maxLength: 60 }).map((raw) => Buffer.from(raw).toString('latin1'))
const anyHeaders = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z0-9:_-]{1,30}$/), anyValue), {
  selector: ([name]) => name,
  maxLength: 8,
})

describe('HeaderBlockDecoder', () => {
  it('reads what Go compresses, block after block in one stream', () => {
    const decoder = new HeaderBlockDecoder(DEFAULT_LIMITS)
    for (const { frame, headers } of GO_FRAMES) {
      const isReply = frame[3] === 2
      expect([...decoder.decode(frame.subarray(isReply ? 12 : 18))]).toEqual(headers)
    }
  })

  it('reads what a real compressor writes, in one stream', () => {
    const property = fc.property(fc.array(anyHeaders, { maxLength: 6 }), (blocks) => {
      const compressor = new NaiveCompressor()
      const decoder = new HeaderBlockDecoder(DEFAULT_LIMITS)
      for (const headers of blocks) {
        expect([...decoder.decode(compressor.headers(...headers))]).toEqual(headers)
      }
    })
    fc.assert(property, { numRuns: 100 })
  })

  it.each([
    { name: 'a name', limit: 256, field: (n: number): Field => ['n'.repeat(n), 'v'] },
    { name: 'a value', limit: 8192, field: (n: number): Field => ['name', 'v'.repeat(n)] },
  ])('takes $name of the maximum length and refuses one byte more', ({ limit, field }) => {
    expect(decodeOne([field(limit)])).toEqual([field(limit)])
    expect(() => decodeOne([field(limit + 1)])).toThrow(`of ${limit + 1} bytes`)
  })

  it('takes the maximum number of headers and refuses one more', () => {
    const headers = Array.from({ length: 65 }, (_, n): Field => [`h${n}`, ''])
    expect(decodeOne(headers.slice(0, 64))).toHaveLength(64)
    expect(() => decodeOne(headers)).toThrow('claims 65 headers')
  })

  it('takes a block of the maximum inflated length and refuses one byte more', () => {
    const headers: Field[] = [['a', 'x'.repeat(50)]]
    const length = plainHeaderBlock(headers).length
    const limits = { ...DEFAULT_LIMITS, maxHeaderBlockBytes: length }
    expect(decodeOne(headers, limits)).toEqual(headers)
    expect(() => decodeOne(headers, { ...limits, maxHeaderBlockBytes: length - 1 })).toThrow(
      `inflates past ${length - 1} bytes`,
    )
  })

  it('stops a block of 64 KiB that inflates to 64 MiB at the limit', () => {
    const bomb = deflateSync(Buffer.alloc(64 * MIB), {
      level: 9,
      dictionary: DICTIONARY,
      finishFlush: constants.Z_SYNC_FLUSH,
    })
    expect(bomb.length).toBeLessThan(68 * 1024)
    const before = process.memoryUsage().arrayBuffers
    const decoder = new HeaderBlockDecoder(DEFAULT_LIMITS)
    expect(() => decoder.decode(bomb)).toThrow('inflates past 32768 bytes')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MIB)
  })

  it.each([
    { name: 'that claims 2^31 headers', plain: '80000000', says: 'claims 2147483648 headers' },
    { name: 'without a count', plain: '000000', says: 'ends too early' },
    { name: 'with fewer headers than claimed', plain: '00000001', says: 'ends too early' },
    {
      name: 'with a name of 2^32-1 bytes',
      plain: '00000001 ffffffff',
      says: 'name of 4294967295 bytes',
    },
    {
      name: 'with a name longer than the block',
      plain: '00000001 00000005 6162',
      says: 'ends too early',
    },
    {
      name: 'with a value of 2^32-1 bytes',
      plain: '00000001 00000001 61 ffffffff',
      says: 'value of 4294967295 bytes',
    },
    { name: 'with an empty name', plain: '00000001 00000000 00000000', says: 'without a name' },
    {
      name: 'with an upper-case name',
      plain: '00000001 00000002 6141 00000000',
      says: 'not in lower case',
    },
    {
      name: 'with the same name twice',
      plain: '00000002 00000001 61 00000000 00000001 61 00000000',
      says: 'named twice',
    },
    {
      name: 'with bytes after the last header',
      plain: '00000000 00',
      says: 'after the last header',
    },
  ])('refuses a block $name', ({ plain, says }) => {
    const block = new NaiveCompressor().compress(Buffer.from(plain.replaceAll(' ', ''), 'hex'))
    const decoder = new HeaderBlockDecoder(DEFAULT_LIMITS)
    expect(() => decoder.decode(block)).toThrow(says)
  })

  it.each([
    { name: 'no compression at all', block: plainHeaderBlock([['streamtype', 'stdin']]) },
    { name: 'another dictionary', block: deflateSync('x', { dictionary: Buffer.from('other') }) },
    { name: 'gzip', block: Buffer.from('1f8b0800000000000003', 'hex') },
    {
      name: 'a compressed stream that ends',
      block: deflateSync(plainHeaderBlock([]), { dictionary: DICTIONARY }),
    },
  ])('refuses $name', ({ block }) => {
    const decoder = new HeaderBlockDecoder(DEFAULT_LIMITS)
    expect(() => decoder.decode(block)).toThrow(/header block/)
  })

  it('meets any bytes with nothing but a violation', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (raw, wrap) => {
      const block = wrap ? new NaiveCompressor().compress(raw) : raw
      try {
        new HeaderBlockDecoder(DEFAULT_LIMITS).decode(block)
      } catch (error) {
        expect(error).toMatchObject({ name: 'SpdyViolation' })
      }
    })
    fc.assert(property, { numRuns: 300 })
  })
})

describe('HeaderBlockEncoder', () => {
  it('writes blocks that zlib inflates as one stream, each complete by itself', () => {
    const property = fc.property(fc.array(anyHeaders, { minLength: 1, maxLength: 5 }), (blocks) => {
      const encoder = new HeaderBlockEncoder()
      let wire = Buffer.alloc(0)
      let plain = Buffer.alloc(0)
      for (const headers of blocks) {
        wire = Buffer.concat([wire, encoder.encode(new Map(headers))])
        plain = Buffer.concat([plain, plainHeaderBlock(headers)])
        const inflated = inflateSync(wire, {
          dictionary: DICTIONARY,
          finishFlush: constants.Z_SYNC_FLUSH,
        })
        expect(inflated.equals(plain)).toBe(true)
      }
    })
    fc.assert(property, { numRuns: 100 })
  })

  it('names the dictionary first and ends every block with the sync flush that Go waits for', () => {
    const encoder = new HeaderBlockEncoder()
    const [first, second] = [encoder.encode(new Map()), encoder.encode(new Map())]
    expect(Buffer.from(first).toString('hex')).toBe('78bbe3c6a7c2000400fbff00000000000000ffff')
    expect(Buffer.from(second).toString('hex')).toBe('000400fbff00000000000000ffff')
  })

  it('splits what does not fit into one stored block', () => {
    const headers = new Map([['big', 'v'.repeat(150_000)]])
    const limits = { ...DEFAULT_LIMITS, maxHeaderValueBytes: 200_000, maxHeaderBlockBytes: 200_000 }
    expect(new HeaderBlockDecoder(limits).decode(new HeaderBlockEncoder().encode(headers))).toEqual(
      headers,
    )
  })
})
