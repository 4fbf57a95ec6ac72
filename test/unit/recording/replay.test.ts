import { describe, expect, it } from '@jest/globals'

import type { FrameDocument } from '../../../lib/recording/frame.ts'
import { replayEntries } from '../../../lib/recording/replay.ts'
import { endFrame, textFrame } from '../../conformance/store-suite.ts'
import { settle } from '../../fakes/manual-timers.ts'

async function texts(
  fetch: (seq: number) => Promise<FrameDocument | undefined>,
  readAhead?: number,
): Promise<string[]> {
  const shown: string[] = []
  for await (const entries of replayEntries(fetch, readAhead)) {
    shown.push(...entries.map(({ data }) => Buffer.from(data).toString()))
  }
  return shown
}

async function frames(spec: (string | undefined)[]): Promise<(FrameDocument | undefined)[]> {
  return await Promise.all(
    spec.map(async (text, seq) => {
      if (text === undefined) return undefined
      return text === 'END' ? endFrame('s-1', seq, 'w') : await textFrame('s-1', seq, text)
    }),
  )
}

function letters(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String.fromCodePoint(97 + index))
}

describe('replaying', () => {
  const cases: [string, (string | undefined)[], string[]][] = [
    ['nothing of a session without frames', [], []],
    ['all of a sealed session', ['a', 'b', 'c', 'END'], ['a', 'b', 'c']],
    ['what there is of a running session', ['a', 'b'], ['a', 'b']],
    ['nothing behind a gap', ['a', undefined, 'c'], ['a']],
    ['nothing behind the end', ['a', 'END', 'never shown', 'END'], ['a']],
    ['a long session', [...letters(26), 'END'], letters(26)],
  ]
  it.each(cases)('shows %s', async (_name, spec, want) => {
    const all = await frames(spec)
    expect(await texts((seq) => Promise.resolve(all[seq]))).toEqual(want)
  })

  it('reads a few frames ahead, and no more than that while the reader is busy', async () => {
    const all = await frames([...letters(16), 'END'])
    let asked = 0
    const replay = replayEntries((seq) => {
      asked++
      return Promise.resolve(all[seq])
    }, 3)
    for (let taken = 1; taken <= 10; taken++) {
      await replay.next()
      await settle()
      expect(asked).toBeLessThanOrEqual(taken + 3)
    }
    await replay.return()
  })

  it('asks for nothing beyond the frames it has passed when the first is the end', async () => {
    const asked: number[] = []
    await texts((seq) => {
      asked.push(seq)
      return Promise.resolve(undefined)
    })
    expect(asked).toEqual([0])
  })

  it('passes the failure of the store on, in its turn, and leaves none unhandled', async () => {
    const all = await frames(letters(4))
    const shown: string[] = []
    const fetch = (seq: number): Promise<FrameDocument | undefined> =>
      seq >= 2 ? Promise.reject(new Error(`lost ${seq}`)) : Promise.resolve(all[seq])
    const reading = (async () => {
      for await (const entries of replayEntries(fetch)) {
        shown.push(...entries.map(({ data }) => Buffer.from(data).toString()))
      }
    })()
    await expect(reading).rejects.toThrow('lost 2')
    expect(shown).toEqual(['a', 'b'])
  })
})
