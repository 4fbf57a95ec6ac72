/** Clients that have their 101 and then break the protocol, or flood it: each ends only itself. */
import { deflateSync, constants } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { DICTIONARY } from '../../../lib/spdy/dictionary.ts'
import {
  encodeDataHeader,
  encodeGoAway,
  encodePing,
  encodeSynReply,
  encodeSynStream,
} from '../../../lib/spdy/encode.ts'
import { eventually } from '../../fakes/eventually.ts'
import { prepareGround, type Ground } from './gateway-under-test.ts'
import {
  STDIN_ID,
  SpdyWords,
  ask,
  openHostileBed,
  spdyData,
  switched,
  webSocketFrame,
  type HostileBed,
} from './hostile-bed.ts'
import { RawClient } from './raw-client.ts'

let ground: Ground
let bed: HostileBed

beforeAll(async () => {
  ground = await prepareGround()
  bed = await openHostileBed(ground)
})

afterAll(async () => {
  await bed.close()
  await ground.people.close()
})

const MIB = 1024 * 1024

/** One SYN_STREAM whose headers are `size` bytes of zeros when inflated. */
function bomb(size: number): Uint8Array {
  const block = deflateSync(Buffer.alloc(size), {
    dictionary: Buffer.from(DICTIONARY),
    finishFlush: constants.Z_SYNC_FLUSH,
  })
  return encodeSynStream(1, block)
}

/** A control frame that says it has `length` bytes. */
function claims(type: number, length: number): Buffer {
  const frame = Buffer.alloc(8)
  frame.writeUInt16BE(0x8003, 0)
  frame.writeUInt16BE(type, 2)
  frame.writeUInt32BE(length, 4)
  return frame
}

function reset(streamId: number, status: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeUInt32BE(streamId, 0)
  body.writeUInt32BE(status, 4)
  return Buffer.concat([claims(3, 8), body])
}

describe('over SPDY, a client ends itself', () => {
  it.each<[string, (words: SpdyWords) => Uint8Array[]]>([
    ['by headers that inflate to 40 KiB', () => [bomb(40 * 1024)]],
    ['by headers that inflate to 60 MiB', () => [bomb(60 * MIB)]],
    ['by headers that do not inflate', () => [encodeSynStream(1, Buffer.alloc(500, 0xee))]],
    ['by a control frame of 16 MiB', () => [claims(1, 0xff_ffff), Buffer.alloc(MIB)]],
    ['by a stream of unknown type', (words) => [words.syn('secret')]],
    ['by the same stream twice', (words) => [words.syn('error'), words.syn('error')]],
    ['by a fifth stream', (words) => [words.all(), words.syn('resize')]],
    ['by a stream too many after all', (words) => [words.all(), words.syn('stdin')]],
    ['by a stream of our own number', () => [encodeSynStream(2, Buffer.alloc(0))]],
    ['by data on a stream that nobody opened', () => [spdyData(99, Buffer.alloc(10))]],
    ['by data on stdout', (words) => [words.all(), spdyData(5, Buffer.from('forged'))]],
    ['by data on the error stream', (words) => [words.all(), spdyData(1, Buffer.from('{}'))]],
    ['by an answer to nothing', (words) => [words.all(), encodeSynReply(2, Buffer.alloc(0))]],
    ['by a HEADERS frame', (words) => [words.all(), claims(8, 4), Buffer.alloc(4)]],
    ['by a frame of another version', () => [Buffer.from('8002000100000000', 'hex')]],
    ['by a stream after its goodbye', (words) => [encodeGoAway(0, 0), words.syn('error')]],
    ['by the reset of a stream', (words) => [words.all(), reset(STDIN_ID, 1)]],
    [
      'by 300 KiB of input before all streams',
      (words) => [
        words.syn('error'),
        words.syn('stdin'),
        ...Array.from({ length: 300 }, () => spdyData(STDIN_ID, Buffer.alloc(1024))),
      ],
    ],
    [
      'by data behind the end of its input',
      (words) => [
        words.all(),
        encodeDataHeader(STDIN_ID, 0, true),
        spdyData(STDIN_ID, Buffer.from('more')),
      ],
    ],
  ])('%s', async (_name, say) => {
    const client = await RawClient.open(bed.under)
    ask(bed.under, client, 'SPDY')
    await switched(client)
    client.send(...say(new SpdyWords()))
    await client.gone()
    await bed.onlyTheBystander()
  })
})

describe('over WebSocket, a client ends itself', () => {
  it.each<[string, Uint8Array[]]>([
    ['by a message over 1 MiB', [webSocketFrame(2, Buffer.alloc(MIB + 1))]],
    ['by a message that says it has 2^62 bytes', [Buffer.from('82ff4000000000000000', 'hex')]],
    ['by text', [webSocketFrame(1, Buffer.from('0hello'))]],
    ['by a frame without a mask', [Buffer.from([0x82, 2, 0, 97])]],
    [
      'by a reserved bit',
      [Buffer.concat([Buffer.from([0xc2]), webSocketFrame(2, Buffer.alloc(2)).subarray(1)])],
    ],
    ['by an unknown opcode', [webSocketFrame(3, Buffer.from([0]))]],
    ['by the continuation of nothing', [webSocketFrame(0, Buffer.from([0]))]],
    ['by a control frame of 126 bytes', [webSocketFrame(9, Buffer.alloc(126))]],
    ['by a ping in pieces', [webSocketFrame(9, Buffer.alloc(1), false)]],
    [
      'by a new message inside another',
      [webSocketFrame(2, Buffer.from([0]), false), webSocketFrame(2, Buffer.from([0]))],
    ],
    [
      'by 2,000 pieces of a message',
      [
        webSocketFrame(2, Buffer.from([0]), false),
        ...Array.from({ length: 2000 }, () => webSocketFrame(0, Buffer.from([97]), false)),
      ],
    ],
    ['by writing stdout', [webSocketFrame(2, Buffer.from([1, 97]))]],
    ['by writing the status', [webSocketFrame(2, Buffer.from([3, 123, 125]))]],
    ['by an unknown channel', [webSocketFrame(2, Buffer.from([9, 97]))]],
    ['by a close frame of one byte', [webSocketFrame(8, Buffer.from([3]))]],
  ])('%s', async (_name, frames) => {
    const client = await RawClient.open(bed.under)
    ask(bed.under, client, 'WebSocket')
    await switched(client)
    client.send(...frames)
    await client.gone()
    await bed.onlyTheBystander()
  })
})

describe('a client that asks for answers and never reads one', () => {
  it.each<[string, 'SPDY' | 'WebSocket', (n: number) => Uint8Array]>([
    ['by SPDY pings', 'SPDY', (n) => encodePing(2 * n + 1)],
    ['by WebSocket pings of 125 bytes', 'WebSocket', () => webSocketFrame(9, Buffer.alloc(125))],
  ])(
    '%s is cut off',
    async (_name, wire, ping) => {
      const before = bed.under.cluster.sessions.length
      const client = await RawClient.open(bed.under)
      ask(bed.under, client, wire)
      await switched(client)
      if (wire === 'SPDY') client.send(new SpdyWords().all())
      await eventually('a session', () => bed.under.cluster.sessions.length > before)
      client.socket.pause()
      const flood = Buffer.concat(Array.from({ length: 10_000 }, (_, n) => ping(n)))
      // Socket buffers hold some; what is beyond them the gateway would have to hold.
      const enough = 64 * MIB
      let sent = 0
      while (!client.socket.destroyed && bed.under.clients.size > 1 && sent < enough) {
        sent += flood.length
        const taken = client.socket.write(flood)
        if (!taken)
          await eventually(
            'room',
            () => client.socket.writableLength === 0 || bed.under.clients.size === 1,
          )
      }
      expect(sent).toBeLessThan(enough)
      client.socket.destroy()
      await bed.onlyTheBystander()
    },
    20_000,
  )
})
