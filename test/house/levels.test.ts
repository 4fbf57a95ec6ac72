/** The levels in CONTRIBUTING.md are the ones the linter enforces. */
import { describe, expect, it } from '@jest/globals'

import { libFolders, textOf } from './project-files.ts'

interface Override {
  files: string[]
  rules: Record<string, unknown>
}

/** `cli` reads fast because it may not even import all that is below it. */
const CLI_ALLOWED = ['errors', 'api', 'https', 'streams']
const PURE = ['policy', 'masking']

function documentedLevels(): Map<string, number> {
  const rows = textOf('CONTRIBUTING.md').matchAll(/^\| *(\d) *\| *([a-z, -]+?) *\|$/gm)
  return new Map(
    [...rows].flatMap(([, level = '', folders = '']) =>
      folders.split(', ').map((folder) => [folder, Number(level)] as const),
    ),
  )
}

/** All patterns that imports of a folder must not match. */
function forbiddenIn(folder: string): string[] {
  const { overrides } = JSON.parse(textOf('.oxlintrc.json')) as { overrides: Override[] }
  const groups = overrides
    .filter(({ files }) => files.includes(`lib/${folder}/**`))
    .map(({ rules }) => rules['no-restricted-imports'] as [string, { patterns: unknown[] }])
  return groups.flatMap(([severity, { patterns }]) => {
    expect(severity).toBe('error')
    return (patterns as { group: string[] }[]).flatMap(({ group }) => group)
  })
}

const levels = documentedLevels()
const folders = [...levels.keys()].filter((folder) => folder !== 'cmd')

describe('levels', () => {
  it('are documented for every folder of lib, and for no other', () => {
    expect(folders.toSorted()).toEqual(libFolders())
  })

  it.each(folders)('of %s: the linter forbids its own level and those above', (folder) => {
    const level = levels.get(folder) ?? -1
    const isAllowed = (other: string): boolean =>
      other === folder ||
      (folder === 'cli' ? CLI_ALLOWED.includes(other) : (levels.get(other) ?? 0) < level)
    const expected = folders.filter((other) => !isAllowed(other)).map((other) => `../${other}/**`)
    const forbidden = forbiddenIn(folder)
    expect(forbidden.filter((pattern) => pattern.startsWith('../')).toSorted()).toEqual(
      expected.toSorted(),
    )
    expect(forbidden).toEqual(expect.arrayContaining(['**/cmd/**', '**/test/**']))
  })

  it.each(PURE)('%s is pure: the linter forbids node:', (folder) => {
    expect(forbiddenIn(folder)).toContain('node:*')
  })
})
