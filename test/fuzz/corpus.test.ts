import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { readCorpus, readInputs, targetNames, writeInput } from './corpus.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'podgate-fuzz-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function inputsOf(name: string, text: string): string[] {
  const path = join(folder, name)
  writeFileSync(path, text)
  return readInputs(path).map((input) => Buffer.from(input).toString('latin1'))
}

describe('files of the corpus', () => {
  it.each([
    ['of bytes are one input', 'a.bin', 'a\nb\n', ['a\nb\n']],
    ['of hexadecimal are read without comments', 'a.hex', '# why\n61 62 # ab\n6 3\n', ['abc']],
    ['of lines are one input each', 'a.lines', 'GET /\nGET /api\n', ['GET /', 'GET /api']],
  ])('%s', (_name, file, text, want) => {
    expect(inputsOf(file, text)).toEqual(want)
  })

  it('that are no hexadecimal are refused', () => {
    expect(() => inputsOf('bad.hex', '6x')).toThrow('is not hexadecimal')
  })

  it('are there for every target', () => {
    const empty = targetNames().filter((name) => readCorpus(name).length === 0)
    expect(empty).toEqual([])
  })

  it('are written under a name that follows from the bytes', () => {
    const [first, again] = [1, 2].map(() => writeInput('spdy-reader', Buffer.from('x'), folder))
    expect(first).toMatch(/spdy-reader-[0-9a-f]{8}\.bin$/)
    expect(again).toBe(first)
  })
})
