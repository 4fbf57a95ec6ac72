import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { joinNeighbours } from '../../../lib/proxy/join-neighbours.ts'
import { layOut, type Entry, type EntryKind } from '../../../lib/recording/frame.ts'

function entry(kind: EntryKind, text: string, atMs = 1): Entry {
  return { kind, atMs, data: Buffer.from(text) }
}

function shown(entries: readonly Entry[]): [EntryKind, string][] {
  return entries.map(({ kind, data }) => [kind, Buffer.from(data).toString()])
}

describe('entries of one frame', () => {
  const cases: [string, Entry[], [EntryKind, string][]][] = [
    ['nothing of nothing', [], []],
    ['one of one', [entry('stdout', 'a')], [['stdout', 'a']]],
    [
      'output in a row as one',
      [entry('stdout', 'a'), entry('stdout', 'bc'), entry('stdout', 'd')],
      [['stdout', 'abcd']],
    ],
    [
      'the order of stdout and stderr',
      [entry('stdout', 'a'), entry('stderr', 'b'), entry('stdout', 'c'), entry('stdout', 'd')],
      [
        ['stdout', 'a'],
        ['stderr', 'b'],
        ['stdout', 'cd'],
      ],
    ],
    [
      'the exit status behind the output',
      [entry('stdout', 'a'), entry('stdout', 'b'), entry('error', '{}')],
      [
        ['stdout', 'ab'],
        ['error', '{}'],
      ],
    ],
  ]
  it.each(cases)('leave as %s', (_name, entries, expected) => {
    expect(shown(joinNeighbours(layOut(entries).entries))).toEqual(expected)
  })

  it('lose no byte and change no order, whatever they are', () => {
    const kinds = fc.constantFrom<EntryKind>('stdout', 'stderr', 'error', 'resize', 'note')
    const anyEntry = fc
      .tuple(kinds, fc.string({ maxLength: 9 }))
      .map(([kind, text]) => entry(kind, text))
    fc.assert(
      fc.property(fc.array(anyEntry), (entries) => {
        const perByte = (list: readonly Entry[]): string =>
          list.flatMap(({ kind, data }) => [...data].map((byte) => `${kind} ${byte}`)).join()
        const { entries: moved } = layOut(entries)
        expect(perByte(joinNeighbours(moved))).toBe(perByte(entries))
      }),
    )
  })
})

describe('entries that do not lie together', () => {
  it('stay apart, in the memory they are in', () => {
    const all = Buffer.from('abcdef')
    const apart: Entry[] = [
      { kind: 'stdout', atMs: 1, data: all.subarray(0, 2) },
      { kind: 'stdout', atMs: 1, data: all.subarray(4) },
      { kind: 'stdout', atMs: 1, data: all.subarray(2, 4) },
      entry('stdout', 'x'.repeat(9000)),
    ]
    expect(joinNeighbours(apart)).toEqual(apart)
  })

  it('are not changed themselves', () => {
    const { entries } = layOut([entry('stdout', 'a'), entry('stdout', 'b')])
    joinNeighbours(entries)
    expect(shown(entries)).toEqual([
      ['stdout', 'a'],
      ['stdout', 'b'],
    ])
  })
})
