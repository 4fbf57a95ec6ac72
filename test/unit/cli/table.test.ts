import { describe, expect, it } from '@jest/globals'

import { formatFields, formatTable, truncate } from '../../../lib/cli/table.ts'

describe('formatTable', () => {
  it('puts three spaces between columns, none at the end of a line, and names empty cells', () => {
    const text = formatTable(
      ['NAME', 'REQUESTER', 'AGE'],
      [
        ['apreq-7k2', 'ana@corp', '5m'],
        ['x', '', ''],
      ],
    )
    expect(text.split('\n')).toEqual([
      'NAME        REQUESTER   AGE',
      'apreq-7k2   ana@corp    5m',
      'x           <none>      <none>',
      '',
    ])
  })

  it('counts characters, not UTF-16 units', () => {
    const text = formatTable(
      ['A', 'B'],
      [
        ['𝒳𝒳', '1'],
        ['xxx', '2'],
      ],
    )
    expect(text).toBe('A     B\n𝒳𝒳    1\nxxx   2\n')
  })

  it('prints the headers alone where there are no rows', () => {
    expect(formatTable(['A', 'B'], [])).toBe('A   B\n')
  })
})

describe('truncate', () => {
  it.each([
    { text: 'exactly 10', want: 'exactly 10' },
    { text: 'eleven char', want: 'eleven ...' },
    { text: '𝒳'.repeat(11), want: `${'𝒳'.repeat(7)}...` },
  ])('$text becomes $want', ({ text, want }) => {
    expect(truncate(text, 10)).toBe(want)
  })
})

describe('formatFields', () => {
  it('puts the values in one column', () => {
    expect(
      formatFields([
        ['Name', 'a'],
        ['Requester', 'b'],
      ]),
    ).toBe('Name:       a\nRequester:  b\n')
  })
})
