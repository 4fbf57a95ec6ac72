import { describe, expect, it } from '@jest/globals'

import { STREAM_NAMES } from '../../../lib/streams/channel.ts'
import { decodeMessage, frameHeader, type Receiving } from '../../../lib/websocket/message.ts'

const FROM_KUBECTL: Receiving = {
  allowed: ['stdin', 'resize'],
  expected: STREAM_NAMES,
  acceptsClose: true,
}
const V4: Receiving = { ...FROM_KUBECTL, acceptsClose: false }
const NO_STDIN: Receiving = { ...FROM_KUBECTL, expected: ['error', 'stdout'] }
const FROM_API_SERVER: Receiving = {
  allowed: ['stdout', 'stderr', 'error'],
  expected: ['error', 'stdin', 'stdout'],
  acceptsClose: false,
}

describe('decodeMessage', () => {
  it.each([
    { name: 'stdin', message: [0, 97, 98], from: FROM_KUBECTL, want: ['data', 'stdin', 'ab'] },
    { name: 'resize', message: [4, 123], from: FROM_KUBECTL, want: ['data', 'resize', '{'] },
    { name: 'stdout', message: [1, 97], from: FROM_API_SERVER, want: ['data', 'stdout', 'a'] },
    { name: 'error', message: [3, 123], from: FROM_API_SERVER, want: ['data', 'error', '{'] },
  ])('reads $name', ({ message, from, want }) => {
    const incoming = decodeMessage(Uint8Array.from(message), from)
    if (incoming.kind !== 'data') throw new Error(incoming.kind)
    const text = new TextDecoder().decode(incoming.data)
    expect([incoming.kind, incoming.channel, text]).toEqual(want)
  })

  it('gives a view of the message, no copy', () => {
    const message = Uint8Array.of(0, 1, 2, 3)
    const incoming = decodeMessage(message, FROM_KUBECTL)
    if (incoming.kind !== 'data') throw new Error(incoming.kind)
    expect(incoming.data.buffer).toBe(message.buffer)
    expect(incoming.data.byteOffset).toBe(1)
  })

  it('reads CLOSE of stdin as its end', () => {
    const incoming = decodeMessage(Uint8Array.of(255, 0), FROM_KUBECTL)
    expect(incoming).toEqual({ kind: 'end', channel: 'stdin' })
  })

  it.each([
    { name: 'a message of no bytes', message: [], from: FROM_KUBECTL },
    { name: 'an empty stdin message', message: [0], from: FROM_KUBECTL },
    { name: 'stdin nobody asked for', message: [0, 97], from: NO_STDIN },
    { name: 'CLOSE of stdin nobody asked for', message: [255, 0], from: NO_STDIN },
    { name: 'CLOSE of resize', message: [255, 4], from: FROM_KUBECTL },
    { name: 'the first, empty message of a server', message: [1], from: FROM_API_SERVER },
    { name: 'stderr nobody asked for', message: [2, 97], from: FROM_API_SERVER },
  ])('ignores $name', ({ message, from }) => {
    expect(decodeMessage(Uint8Array.from(message), from)).toEqual({ kind: 'ignored' })
  })

  it.each([
    { name: 'a client that writes stdout', message: [1, 97], from: FROM_KUBECTL },
    { name: 'a client that writes the status', message: [3, 97], from: FROM_KUBECTL },
    { name: 'a server that writes stdin', message: [0, 97], from: FROM_API_SERVER },
    { name: 'CLOSE from a server', message: [255, 1], from: FROM_API_SERVER },
    { name: 'CLOSE in v4', message: [255, 0], from: V4 },
    { name: 'CLOSE without a channel', message: [255], from: FROM_KUBECTL },
    { name: 'CLOSE of two channels', message: [255, 0, 0], from: FROM_KUBECTL },
    { name: 'CLOSE of stdout', message: [255, 1], from: FROM_KUBECTL },
    { name: 'CLOSE of CLOSE', message: [255, 255], from: FROM_KUBECTL },
    { name: 'channel 5', message: [5, 97], from: FROM_KUBECTL },
    { name: 'channel 5 without payload', message: [5], from: FROM_KUBECTL },
    { name: 'channel 254', message: [254], from: FROM_API_SERVER },
  ])('does not put up with $name', ({ message, from }) => {
    expect(decodeMessage(Uint8Array.from(message), from).kind).toBe('violation')
  })
})

describe('frameHeader', () => {
  it.each([
    { name: 'no payload', channel: 1, length: 0, want: '820101' },
    { name: 'the last short length', channel: 1, length: 124, want: '827d01' },
    { name: 'the first long length', channel: 2, length: 125, want: '827e007e02' },
    { name: 'a byte and more', channel: 3, length: 255, want: '827e010003' },
    { name: 'the longest message', channel: 1, length: 32 * 1024, want: '827e800101' },
  ])('$name', ({ channel, length, want }) => {
    expect(Buffer.from(frameHeader(channel, length)).toString('hex')).toBe(want)
  })
})
