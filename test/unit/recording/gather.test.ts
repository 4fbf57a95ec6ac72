import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import type { Entry, EntryKind } from '../../../lib/recording/frame.ts'
import { Gatherer } from '../../../lib/recording/gather.ts'

function entry(kind: EntryKind, text: string, atMs = 0): Entry {
  return { kind, atMs, data: Buffer.from(text) }
}

/** What a queue looks like after these came. */
function queued(entries: readonly Entry[]): Entry[] {
  const gatherer = new Gatherer()
  const queue: Entry[] = []
  for (const next of entries) if (!gatherer.join(queue.at(-1), next)) queue.push(next)
  return queue
}

function textOf({ kind, data }: Entry): string {
  return `${kind} ${Buffer.from(data).toString()}`
}

describe('small pieces of output', () => {
  it.each<[string, Entry[], string[]]>([
    ['of one kind become one', [entry('stdout', 'a'), entry('stdout', 'b')], ['stdout ab']],
    [
      'of two kinds stay apart, and in order',
      [entry('stdout', 'a'), entry('stderr', 'b'), entry('stdout', 'c')],
      ['stdout a', 'stderr b', 'stdout c'],
    ],
    [
      'that came 11 ms later stay apart',
      [entry('stdout', 'a', 5), entry('stdout', 'b', 16)],
      ['stdout a', 'stdout b'],
    ],
    [
      'that are documents stay what they are',
      [entry('resize', '{}'), entry('resize', '{}'), entry('event', '1'), entry('event', '2')],
      ['resize {}', 'resize {}', 'event 1', 'event 2'],
    ],
  ])('%s', (_what, entries, want) => {
    expect(queued(entries).map(textOf)).toEqual(want)
  })

  it('of more than 512 bytes are none', () => {
    const queue = queued([entry('stdout', 'a'), entry('stdout', 'b'.repeat(513))])
    expect(queue).toHaveLength(2)
  })

  it('never make an entry over 8 KiB, and no byte changes its place', () => {
    const one = fc.record({
      kind: fc.constantFrom<EntryKind>('stdout', 'stderr', 'error'),
      atMs: fc.integer({ min: 0, max: 12 }),
      data: fc.uint8Array({ maxLength: 600 }),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 60 }), (entries) => {
        const wanted = entries.flatMap(({ kind, data }) => [...data].map((byte) => [kind, byte]))
        const copies = entries.map((each) => ({ ...each, data: Uint8Array.from(each.data) }))
        const queue = queued(copies)
        expect(queue.flatMap(({ kind, data }) => [...data].map((byte) => [kind, byte]))).toEqual(
          wanted,
        )
        for (const { data } of queue) expect(data.length).toBeLessThanOrEqual(8 * 1024)
      }),
    )
  })
})
