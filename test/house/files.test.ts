/** Rules about files that no linter of ours knows. */
import { describe, expect, it } from '@jest/globals'

import { isCode, libFolders, projectFiles, textOf } from './project-files.ts'

const MAX_LINES = 400
/** Spelt so that this file does not find itself. */
const PROMISE = new RegExp(String.raw`\b(?:TO${'DO'}|FIX${'ME'})\b`)
const PARTIAL_RUN = /\b(?:it|test|describe)(?:\.concurrent)?\.(?:only|skip|todo)\b/
const PARTIAL_RUN_SHORT = /^\s*[fx](?:it|test|describe)\(/m

function lines(text: string): number {
  return text.split('\n').length - 1
}

/** The first comment of a file. */
function headerOf(text: string): string {
  return /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? ''
}

describe('files', () => {
  const code = projectFiles(isCode)

  it(`of code have at most ${MAX_LINES} lines`, () => {
    const long = code
      .map((path) => [path, lines(textOf(path))] as const)
      .filter(([, count]) => count > MAX_LINES)
    expect(long).toEqual([])
    expect(code.length).toBeGreaterThan(100)
  })

  it('promise nothing for later', () => {
    const texts = projectFiles((path) => /\.(?:ts|mjs|md|yaml|go)$/.test(path))
    expect(texts.filter((path) => PROMISE.test(textOf(path)))).toEqual([])
  })

  it('of tests leave no test out', () => {
    const partial = code.filter((path) => {
      const text = textOf(path)
      return PARTIAL_RUN.test(text) || PARTIAL_RUN_SHORT.test(text)
    })
    expect(partial).toEqual([])
  })
})

describe('folders of lib', () => {
  it.each(libFolders())('%s: one file says at its top what the folder may import', (folder) => {
    const files = projectFiles((path) => path.startsWith(`lib/${folder}/`) && path.endsWith('.ts'))
    const telling = files.filter((path) =>
      /\bMay\s+(?:\*\s+)?import\b/.test(headerOf(textOf(path))),
    )
    expect(telling).not.toEqual([])
  })
})
