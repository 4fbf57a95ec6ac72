/** docs/messages.md names every number a person can meet, and no other. */
import { describe, expect, it } from '@jest/globals'

import { isCode, projectFiles, textOf } from './project-files.ts'

/** `id: 1012`, and the helpers that take the number as an argument: refuse(1402, refused('Forbidden', 1203. */
const NUMBER_IN_CODE = /\bid: (1\d{3})\b|\brefused?\(\s*(?:'\w+',\s*)?(1\d{3})\b/g
const SHOWN = /PODGATE-(\d{4})\b/g

function numbersIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match.slice(1).find(Boolean) ?? '')
}

function usedNumbers(): Map<string, string[]> {
  const used = new Map<string, string[]>()
  const sources = projectFiles((path) => isCode(path) && !path.startsWith('test/'))
  for (const path of sources) {
    for (const number of numbersIn(textOf(path), NUMBER_IN_CODE)) {
      used.set(number, [...new Set([...(used.get(number) ?? []), path])])
    }
  }
  return used
}

const documented = numbersIn(textOf('docs/messages.md'), /^\| *(\d{4}) *\|/gm)

describe('docs/messages.md', () => {
  const used = usedNumbers()

  it('has a line for every number in the code', () => {
    const missing = [...used].filter(([number]) => !documented.includes(number))
    expect(missing).toEqual([])
    expect(used.size).toBeGreaterThan(40)
  })

  it('has no line for a number that no code uses', () => {
    expect(documented.filter((number) => !used.has(number))).toEqual([])
  })

  it('has one line for each number, in order', () => {
    expect(documented).toEqual([...new Set(documented)].toSorted())
  })

  it('knows the numbers that other documents show', () => {
    const shown = projectFiles((path) => path.endsWith('.md')).flatMap((path) =>
      numbersIn(textOf(path), SHOWN),
    )
    expect(shown.filter((number) => !documented.includes(number))).toEqual([])
  })
})
