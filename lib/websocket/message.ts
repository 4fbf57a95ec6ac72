/**
 * One message of the `channel.k8s.io` subprotocols. PURE.
 *
 *   message: | channel 8 | payload |       one binary message, never fragmented
 *   v5 CLOSE: | 255 | channel 8 |          client to server only: half-close
 *
 *   frame without a mask (RFC 6455 section 5.2), as we write it to kubectl:
 *   | 0x82 FIN, binary | length 7 [ + 16 ] | channel 8 | payload |
 *
 * Source: k8s.io/apiserver pkg/util/wsstream/conn.go.
 */
import { CHANNEL_ID, type StreamName } from '../streams/channel.ts'

/** client-go and the API server read with buffers of this size; both write such pieces. */
export const MAX_MESSAGE_PAYLOAD: number = 32 * 1024

export type Incoming =
  | { kind: 'data'; channel: StreamName; data: Uint8Array }
  | { kind: 'end'; channel: StreamName }
  /** Legal and without meaning here. */
  | { kind: 'ignored' }
  /** The connection cannot be trusted any more. */
  | { kind: 'violation'; detail: string }

export interface Receiving {
  /** What the peer's side of the protocol may send at all. */
  allowed: readonly StreamName[]
  /** What this session asked for; the rest of `allowed` is dropped, as the API server does. */
  expected: readonly StreamName[]
  /** v5 towards a client: 255 half-closes. */
  acceptsClose: boolean
}

const NAME_OF = new Map<number, StreamName>([
  [CHANNEL_ID.stdin, 'stdin'],
  [CHANNEL_ID.stdout, 'stdout'],
  [CHANNEL_ID.stderr, 'stderr'],
  [CHANNEL_ID.error, 'error'],
  [CHANNEL_ID.resize, 'resize'],
])

function nameOf(id: number | undefined, receiving: Receiving): StreamName | undefined {
  const name = id === undefined ? undefined : NAME_OF.get(id)
  return name !== undefined && receiving.allowed.includes(name) ? name : undefined
}

/** Reads one whole message; the payload is a view of it. */
export function decodeMessage(message: Uint8Array, receiving: Receiving): Incoming {
  const id = message[0]
  if (id === undefined) return { kind: 'ignored' }
  if (id === CHANNEL_ID.close && receiving.acceptsClose) return decodeClose(message, receiving)
  const channel = nameOf(id, receiving)
  if (channel === undefined) return { kind: 'violation', detail: `message on channel ${id}` }
  if (message.length === 1 || !receiving.expected.includes(channel)) return { kind: 'ignored' }
  return { kind: 'data', channel, data: message.subarray(1) }
}

function decodeClose(message: Uint8Array, receiving: Receiving): Incoming {
  // A longer message makes the API server drop the connection too.
  if (message.length !== 2) {
    return { kind: 'violation', detail: `CLOSE message of ${message.length} bytes` }
  }
  const channel = nameOf(message[1], receiving)
  if (channel === undefined) {
    return { kind: 'violation', detail: `CLOSE of channel ${message[1]}` }
  }
  // client-go closes nothing but stdin; a closed resize channel has no meaning further on.
  if (channel !== 'stdin' || !receiving.expected.includes(channel)) return { kind: 'ignored' }
  return { kind: 'end', channel }
}

/** Header of an unmasked binary frame whose payload starts with `channel`. */
export function frameHeader(channel: number, payloadLength: number): Uint8Array {
  const length = payloadLength + 1
  if (length <= 125) return Uint8Array.of(0x82, length, channel)
  return Uint8Array.of(0x82, 126, length >> 8, length & 0xff, channel)
}

export function isBase64(protocol: string): boolean {
  return protocol === 'v4.base64.channel.k8s.io' || protocol === 'base64.binary.k8s.io'
}

/** `v4.base64.channel.k8s.io`: | channel as ASCII digit | payload in base64 |, a text message. */
export function encodeBase64(channel: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  return Buffer.from(String.fromCodePoint(ZERO + channel) + bytes.toString('base64'), 'latin1')
}

const ZERO = 0x30
const BASE64 = /^(?:[+/0-9A-Za-z]{4})*(?:[+/0-9A-Za-z]{2}==|[+/0-9A-Za-z]{3}=)?$/

/** The same message as the binary protocol has it; undefined when it is none. */
export function unpackBase64(message: Buffer): Uint8Array | undefined {
  const [digit] = message
  if (digit === undefined) return message
  const text = message.toString('latin1', 1)
  if (digit < ZERO || !BASE64.test(text)) return undefined
  return Buffer.concat([Uint8Array.of(digit - ZERO), Buffer.from(text, 'base64')])
}

/** Header of an unmasked text frame. */
export function textFrameHeader(length: number): Uint8Array {
  return lengthHeader(0x81, length)
}

/** Header of an unmasked binary frame without a channel byte. */
export function binaryFrameHeader(length: number): Uint8Array {
  return lengthHeader(0x82, length)
}

function lengthHeader(first: number, length: number): Uint8Array {
  if (length <= 125) return Uint8Array.of(first, length)
  if (length <= 0xffff) return Uint8Array.of(first, 126, length >> 8, length & 0xff)
  const header = Buffer.alloc(10)
  header[0] = first
  header[1] = 127
  header.writeUInt32BE(length, 6)
  return header
}
