import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { readTokenWish } from '../../../lib/proxy/token-wish.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))]
}

function bytes(number: number, content: Uint8Array | string): Buffer {
  const body = Buffer.from(content)
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(body.length)]), body])
}

function integer(number: number, value: number): Buffer {
  return Buffer.from([...varint(number * 8), ...varint(value)])
}

/** As client-go sends it. */
function request(...spec: Buffer[]): Buffer {
  const type = Buffer.concat([bytes(1, 'authentication.k8s.io/v1'), bytes(2, 'TokenRequest')])
  const content = Buffer.concat([bytes(1, ''), bytes(2, Buffer.concat(spec))])
  const envelope = [bytes(1, type), bytes(2, content), bytes(3, ''), bytes(4, '')]
  return Buffer.concat([Buffer.from('k8s\0'), ...envelope])
}

const SPEC = [
  bytes(1, 'vault'),
  bytes(1, 'second'),
  bytes(3, Buffer.concat([bytes(1, 'Pod'), bytes(2, 'v1'), bytes(3, 'web-0'), bytes(4, 'uid')])),
  integer(4, 86_400),
]
const WORDS = [
  '--audience=vault',
  '--audience=second',
  '--duration=86400s',
  '--bound-object-kind=Pod',
  '--bound-object-name=web-0',
]

describe('what a token is asked for', () => {
  it('is read from JSON, and sent on as it was read', () => {
    const spec = {
      audiences: ['vault', 'second'],
      expirationSeconds: 86_400,
      boundObjectRef: { kind: 'Pod', name: 'web-0' },
    }
    const text = `{"spec":{"audiences":["none"]},"spec":${JSON.stringify(spec)}}`
    expect(readTokenWish('application/json; charset=utf-8', Buffer.from(text))).toEqual({
      words: WORDS,
      body: Buffer.from(JSON.stringify({ spec })),
    })
  })

  it('is read from protobuf, which is sent on as it is', () => {
    const body = request(...SPEC)
    expect(readTokenWish(PROTOBUF, body)).toEqual({ words: WORDS, body })
  })

  it('may be nothing in particular', () => {
    expect(readTokenWish(PROTOBUF, request()).words).toEqual([])
    expect(readTokenWish(undefined, Buffer.from('{}')).words).toEqual([])
  })

  it.each([
    ['another type', 'application/yaml', Buffer.from('spec: {}')],
    ['no envelope', PROTOBUF, Buffer.concat(SPEC)],
    ['two durations', PROTOBUF, request(integer(4, 600), integer(4, 6_000_000))],
    ['two references', PROTOBUF, request(bytes(3, ''), bytes(3, ''))],
    ['two contents', PROTOBUF, Buffer.concat([request(), bytes(2, '')])],
    ['another encoding', PROTOBUF, Buffer.concat([Buffer.from('k8s\0'), bytes(3, 'gzip')])],
    ['another content', PROTOBUF, Buffer.concat([Buffer.from('k8s\0'), bytes(4, 'text/json')])],
    ['a negative duration', PROTOBUF, request(Buffer.from([32, ...Array(9).fill(255), 1]))],
    ['a duration with a length', PROTOBUF, request(bytes(4, 'x'))],
    ['an audience that is a number', PROTOBUF, request(integer(1, 7))],
    ['a wire type nobody uses', PROTOBUF, request(Buffer.from([13, 0, 0, 0, 0]))],
  ])('is unknown of %s', (_name, type, body) => {
    expect(readTokenWish(type, body)).toEqual({ words: ['--parameters=unknown'], body })
  })

  it('is unknown of what is cut', () => {
    const whole = request(...SPEC)
    for (let end = 0; end < whole.length - 4; end += 1) {
      const { words } = readTokenWish(PROTOBUF, whole.subarray(0, end))
      expect([[], ['--parameters=unknown']]).toContainEqual(words)
    }
  })

  it.each(['{', '[]', 'null', '"x"', ''])('is refused as JSON that is %s', (text) => {
    expect(() => readTokenWish('application/json', Buffer.from(text))).toThrow(
      expect.objectContaining({ id: 1047 }),
    )
  })

  it('never fails in another way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
        const body = Buffer.concat([Buffer.from('k8s\0'), tail])
        expect(readTokenWish(PROTOBUF, body).body).toBe(body)
      }),
    )
  })
})
