/** The fuzzer finds what it is there to find. */
import { describe, expect, it, jest } from '@jest/globals'

import { runTarget, type RunTargetOptions, type TargetReport } from './run-target.ts'

function run(target: string, options: Partial<RunTargetOptions> = {}): Promise<TargetReport> {
  return runTarget({
    folder: 'planted',
    target,
    files: undefined,
    seconds: 60,
    seed: 1,
    stderr: 'ignore',
    hangSeconds: 60,
    ...options,
  })
}

/** The search takes a second, or many where eight others share the machine. */
jest.setTimeout(120_000)

describe('runTarget', () => {
  it.each([
    ['an input that never ends', 'hangs', 2, 'hang', 'did not end within 2 seconds'],
    ['an input that takes all memory', 'hoards', 60, 'hoard', 'memory'],
  ])('finds %s, and says which it was', async (_name, target, hangSeconds, input, words) => {
    const { crash } = await run(target, { hangSeconds })
    expect(Buffer.from(crash?.input ?? []).toString()).toBe(input)
    expect(crash?.message).toContain(words)
  })

  it('finds what only an input led there by its coverage can reach, and makes it small', async () => {
    const { crash, interesting } = await run('deep')
    expect(crash?.message).toContain('the bottom is reached')
    expect(Buffer.from(crash?.input ?? [])).toEqual(Buffer.from([127, 46, 128, 47]))
    expect(interesting.length).toBeGreaterThan(2)
  })

  it('ends with nothing found when its time is over', async () => {
    const { crash, inputs } = await run('deep', { seconds: 0 })
    expect(crash).toBeUndefined()
    expect(inputs).toBe(0)
  })

  it('rejects when the target cannot begin: that is no finding', async () => {
    await expect(run('unable')).rejects.toThrow('no oracle here')
  })
})
