/** Every link between our documents leads somewhere. */
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import { describe, expect, it } from '@jest/globals'

import { PROJECT, projectFiles, textOf } from './project-files.ts'

const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
const ELSEWHERE = /^(?:[a-z]+:|\/\/)/

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, 'code')
}

/** The anchors GitHub makes of headings: lower case, no punctuation, dashes for spaces. */
function anchorsOf(text: string): string[] {
  const headings = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} +(.+)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- _]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}

function problemOf(path: string, link: string): string | undefined {
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? path : normalize(join(dirname(path), file))
  if (!existsSync(join(PROJECT, target))) return `${path}: ${link} is not there`
  if (anchor === undefined || !target.endsWith('.md')) return undefined
  return anchorsOf(textOf(target)).includes(anchor)
    ? undefined
    : `${path}: ${link} has no such heading`
}

describe('links', () => {
  const documents = projectFiles((path) => path.endsWith('.md'))

  it.each(documents)('of %s lead to something that exists', (path) => {
    const links = [...withoutCode(textOf(path)).matchAll(LINK)].map(([, link = '']) => link)
    const problems = links
      .filter((link) => !ELSEWHERE.test(link))
      .map((link) => problemOf(path, link))
      .filter((problem) => problem !== undefined)
    expect(problems).toEqual([])
  })

  it.each([
    ['a missing file', 'README.md', 'docs/nothing.md', 'is not there'],
    ['a missing heading', 'README.md', 'CONTRIBUTING.md#nothing', 'has no such heading'],
    ['a heading of the same page', 'CONTRIBUTING.md', '#rules', undefined],
    ['a file one folder up', 'docs/messages.md', '../README.md#read-on', undefined],
  ])('%s is told apart', (_name, path, link, problem) => {
    const found = problemOf(path, link)
    expect(found === undefined).toBe(problem === undefined)
    if (problem !== undefined) expect(found).toContain(problem)
  })
})
