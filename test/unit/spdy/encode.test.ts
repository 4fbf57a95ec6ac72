import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  encodeDataHeader,
  encodeGoAway,
  encodePing,
  encodeSynReply,
  encodeSynStream,
} from '../../../lib/spdy/encode.ts'
import { bytes, naiveEncode } from './naive-codec.ts'

const IDS = [1, 127, 128, 129, 0x7fff_ffff]

describe('encoding', () => {
  it.each([
    { name: 'a DATA header', got: encodeDataHeader(129, 5, false), want: '00000081 00000005' },
    {
      name: 'a DATA header with FIN',
      got: encodeDataHeader(1, 0, true),
      want: '00000001 01000000',
    },
    {
      name: 'the largest DATA header',
      got: encodeDataHeader(0x7fff_ffff, 0xff_ffff, true),
      want: '7fffffff 01ffffff',
    },
    {
      name: 'SYN_STREAM as Go writes it',
      got: encodeSynStream(1, bytes('aabb')),
      want: '80030001 0000000c 00000001 00000000 0000 aabb',
    },
    {
      name: 'SYN_REPLY',
      got: encodeSynReply(3, bytes('cc')),
      want: '80030002 00000005 00000003 cc',
    },
    { name: 'PING', got: encodePing(0xffff_ffff), want: '80030006 00000004 ffffffff' },
    { name: 'GOAWAY', got: encodeGoAway(9, 1), want: '80030007 00000008 00000009 00000001' },
  ])('of $name is exact', ({ got, want }) => {
    expect(Buffer.from(got).toString('hex')).toBe(want.replaceAll(' ', ''))
  })

  it('agrees with a naive encoder for any id', () => {
    const anyId = fc.oneof(fc.constantFrom(...IDS), fc.integer({ min: 1, max: 0x7fff_ffff }))
    const property = fc.property(anyId, fc.uint8Array({ maxLength: 99 }), (streamId, block) => {
      const flags = { associatedToStreamId: 0, priority: 0, fin: false, unidirectional: false }
      const rows: [Uint8Array, Uint8Array][] = [
        [
          encodeSynStream(streamId, block),
          naiveEncode({ type: 'SYN_STREAM', streamId, ...flags, headerBlock: block }),
        ],
        [
          encodeSynReply(streamId, block),
          naiveEncode({ type: 'SYN_REPLY', streamId, fin: false, headerBlock: block }),
        ],
        [encodePing(streamId), naiveEncode({ type: 'PING', id: streamId })],
        [
          encodeGoAway(streamId, 2),
          naiveEncode({ type: 'GOAWAY', lastGoodStreamId: streamId, status: 2 }),
        ],
        [
          Buffer.concat([encodeDataHeader(streamId, block.length, true), block]),
          naiveEncode({ type: 'DATA', streamId, data: block, fin: true }),
        ],
      ]
      for (const [got, want] of rows) expect(Buffer.compare(got, want)).toBe(0)
    })
    fc.assert(property)
  })
})
