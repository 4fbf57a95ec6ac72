import { describe, expect, it } from '@jest/globals'

import { createTerminalSizeParser, encodeTerminalSize } from '../../../lib/streams/terminal-size.ts'

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

const ROWS = [
  { name: 'one document', text: '{"Width":111,"Height":33}\n', want: [[111, 33]] },
  {
    name: 'documents without anything between',
    text: '{"Width":1,"Height":2}{"Width":3,"Height":4}',
    want: [
      [1, 2],
      [3, 4],
    ],
  },
  {
    name: 'spaces of all kinds',
    text: ' \t\r\n{ "Width" : 80 ,\n"Height":24 }\n\n',
    want: [[80, 24]],
  },
  { name: 'the largest size', text: '{"Width":65535,"Height":65535}', want: [[65535, 65535]] },
  { name: 'names as Go takes them', text: '{"width":5,"HEIGHT":6}', want: [[5, 6]] },
  {
    name: 'absent fields',
    text: '{"Height":6}{}',
    want: [
      [0, 6],
      [0, 0],
    ],
  },
  {
    name: 'unknown fields with braces and quotes inside',
    text: '{"Width":1,"x":{"y":"}\\"{"},"Height":2}{"Width":9,"Height":8}',
    want: [
      [1, 2],
      [9, 8],
    ],
  },
]

describe('the terminal size parser reads', () => {
  it.each(ROWS)('$name, whole', ({ text, want }) => {
    const { sizes, malformed } = createTerminalSizeParser().push(bytes(text))
    expect(malformed).toBeUndefined()
    expect(sizes.map(({ width, height }) => [width, height])).toEqual(want)
  })

  it.each(ROWS)('$name, byte by byte', ({ text, want }) => {
    const parser = createTerminalSizeParser()
    const sizes = Array.from(bytes(text), (byte) => parser.push(Uint8Array.of(byte)).sizes).flat()
    expect(sizes.map(({ width, height }) => [width, height])).toEqual(want)
  })

  it('what we write', () => {
    const size = { width: 200, height: 50 }
    expect(createTerminalSizeParser().push(encodeTerminalSize(size))).toEqual({ sizes: [size] })
  })

  it('nothing of a document that has not ended', () => {
    expect(createTerminalSizeParser().push(bytes('{"Width":1'))).toEqual({ sizes: [] })
  })
})

describe('the terminal size parser stops for good at', () => {
  it.each([
    { name: 'text', text: 'hello' },
    { name: 'a list', text: '[1,2]' },
    { name: 'broken JSON', text: '{"Width":}' },
    { name: 'a negative side', text: '{"Width":-1,"Height":2}' },
    { name: 'a side over 16 bits', text: '{"Width":65536,"Height":2}' },
    { name: 'a fraction', text: '{"Width":1.5,"Height":2}' },
    { name: 'a side in quotes', text: '{"Width":"1","Height":2}' },
    { name: 'a document over the limit', text: `{"x":"${'a'.repeat(300)}` },
  ])('$name', ({ text }) => {
    const parser = createTerminalSizeParser()
    const first = parser.push(bytes(`{"Width":1,"Height":1}${text}`))
    expect(first.sizes).toEqual([{ width: 1, height: 1 }])
    expect(first.malformed).toEqual(expect.any(String))
    const later = parser.push(bytes('{"Width":2,"Height":2}'))
    expect(later.sizes).toEqual([])
    expect(later.malformed).toBe(first.malformed)
  })

  it('the byte after its limit, not before', () => {
    const document = '{"Width":1,"Height":1}'
    const fits = createTerminalSizeParser({ maxDocumentBytes: document.length })
    expect(fits.push(bytes(document + document)).sizes).toHaveLength(2)
    const tooSmall = createTerminalSizeParser({ maxDocumentBytes: document.length - 1 })
    expect(tooSmall.push(bytes(document))).toMatchObject({
      sizes: [],
      malformed: expect.stringContaining('longer'),
    })
  })
})
