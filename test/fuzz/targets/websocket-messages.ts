/**
 * Channel messages of exec and attach over WebSocket. The first byte of an input says whose end
 * reads; the rest is messages, each behind one byte of length.
 */
import * as fc from 'fast-check'

import { STREAM_NAMES, type StreamName } from '../../../lib/streams/channel.ts'
import { decodeMessage, frameHeader, type Receiving } from '../../../lib/websocket/message.ts'
import { broken, type Target } from '../target.ts'

const BY_NUMBER: readonly StreamName[] = ['stdin', 'stdout', 'stderr', 'error', 'resize']
const CLOSE = 255

function readingEnd(bits: number): Receiving {
  const serving = (bits & 1) === 0
  return {
    allowed: serving ? ['stdin', 'resize'] : ['stdout', 'stderr', 'error'],
    expected: STREAM_NAMES.filter((_, index) => (bits & (4 << index)) !== 0),
    acceptsClose: serving && (bits & 2) !== 0,
  }
}

/** The same rules, said once more: kind and channel, joined. */
function expectedOf(message: Uint8Array, { allowed, expected, acceptsClose }: Receiving): string {
  const [number, second] = message
  if (number === undefined) return 'ignored'
  const isClose = number === CLOSE && acceptsClose
  if (isClose && message.length !== 2) return 'violation'
  const channel = BY_NUMBER[isClose ? (second ?? CLOSE) : number]
  if (channel === undefined || !allowed.includes(channel)) return 'violation'
  if (!expected.includes(channel)) return 'ignored'
  if (isClose) return channel === 'stdin' ? 'end stdin' : 'ignored'
  return message.length === 1 ? 'ignored' : `data ${channel}`
}

function checkMessage(message: Uint8Array, receiving: Receiving): void {
  const incoming = decodeMessage(message, receiving)
  const got = 'channel' in incoming ? `${incoming.kind} ${incoming.channel}` : incoming.kind
  const want = expectedOf(message, receiving)
  if (got !== want) throw broken('a message is read in another way', [...message], got, want)
  if (incoming.kind !== 'data') return
  const { data, channel } = incoming
  if (data.buffer !== message.buffer || data.length !== message.length - 1)
    throw broken('the payload is not the message behind its channel', [...message], [...data])
  const number = BY_NUMBER.indexOf(channel)
  const frame = Buffer.concat([frameHeader(number, data.length), data])
  const head = message.length <= 125 ? 2 : 4
  if (!frame.subarray(head).equals(message))
    throw broken('a message changes when framed anew', [...message], [...frame])
}

export const target: Target = {
  about: 'one channel message after the other (lib/websocket/message.ts)',
  covers: ['lib/websocket/message.ts'],
  maxBytes: 600,
  inputs: fc
    .tuple(
      fc.integer({ min: 0, max: 255 }),
      fc.array(
        fc.tuple(fc.constantFrom(0, 1, 2, 3, 4, 5, CLOSE), fc.uint8Array({ maxLength: 4 })),
        { maxLength: 8 },
      ),
    )
    .map(([bits, messages]) =>
      Buffer.from([bits, ...messages.flatMap(([id, rest]) => [rest.length + 1, id, ...rest])]),
    ),
  check(input) {
    const receiving = readingEnd(input[0] ?? 0)
    for (let at = 1; at < input.length;) {
      const length = input[at] ?? 0
      checkMessage(input.subarray(at + 1, at + 1 + length), receiving)
      at += 1 + length
    }
  },
}
