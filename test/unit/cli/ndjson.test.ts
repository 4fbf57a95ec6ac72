import { describe, expect, it } from '@jest/globals'

import { readNdjson } from '../../../lib/cli/ndjson.ts'

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(text: string, size: number, max?: number): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const item of readNdjson(chunksOf(Buffer.from(text), size), max)) items.push(item)
  return items
}

describe('readNdjson', () => {
  const text = '{"a":1}\n\n{"b":"zwölf€𝒳"}\n[]\n'
  it.each(Array.from({ length: text.length + 8 }, (_, index) => index + 1))(
    'gives the same documents in chunks of %d bytes',
    async (size) => {
      expect(await read(text, size)).toEqual([{ a: 1 }, { b: 'zwölf€𝒳' }, []])
    },
  )

  it('takes a line of exactly the limit and refuses one byte more', async () => {
    expect(await read('"12345678"\n', 3, 10)).toEqual(['12345678'])
    await expect(read('"123456789"\n', 3, 10)).rejects.toThrow('more than 10 bytes')
  })

  it('refuses a line that is not JSON', async () => {
    await expect(read('{"a":1}\nnope\n', 100)).rejects.toThrow('not JSON')
  })

  it('does not take a document that was cut off for a whole one', async () => {
    await expect(read('{"a":1}\n12', 100)).rejects.toThrow('cut off')
  })

  it('takes nothing more while its reader is busy', async () => {
    let taken = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      for (;;) {
        taken += 1
        yield Buffer.from('1\n2\n')
      }
    }
    const items = readNdjson(source())
    for (const want of [1, 2, 1]) expect((await items.next()).value).toBe(want)
    expect(taken).toBe(2)
    await items.return()
  })
})
