import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { createWhole, withLock } from '../../../lib/cluster/lock.ts'
import { identify, isAlive, parseStartTime } from '../../../lib/cluster/process-identity.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podgate-lock-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('process identity', () => {
  it.each([
    {
      name: 'a plain name',
      stat: '42 (node) S 1 42 42 0 -1 0 1 2 3 4 5 6 7 8 20 0 11 0 987654 1 2',
      want: '987654',
    },
    {
      name: 'blanks and parentheses in the name',
      stat: '42 (a ) S b) R 1 42 42 0 -1 0 1 2 3 4 5 6 7 8 20 0 11 0 55 1 2',
      want: '55',
    },
  ])('finds the start time behind $name', ({ stat, want }) => {
    expect(parseStartTime(stat)).toBe(want)
  })

  it('knows this process', () => {
    expect(isAlive(identify(process.pid))).toBe(true)
  })

  it('does not take another process with the same id for the recorded one', () => {
    expect(isAlive({ pid: process.pid, startTime: '1' })).toBe(false)
  })

  it('says that an id nobody has is not alive', () => {
    expect(isAlive({ pid: 4_194_305, startTime: '1' })).toBe(false)
  })
})

describe('withLock', () => {
  it('lets one in at a time and tells the others who holds it', async () => {
    const file = join(folder, 'deep', 'lock')
    const log: string[] = []
    const gate = Promise.withResolvers<void>()
    const first = withLock(file, async () => {
      log.push('first in')
      await gate.promise
      log.push('first out')
    })
    const second = withLock(file, async () => void log.push('second in'), {
      onWait(holder) {
        log.push(`waits for ${holder.pid === process.pid ? 'us' : 'somebody'}`)
        gate.resolve()
      },
    })
    await Promise.all([first, second])
    expect(log).toEqual(['first in', 'waits for us', 'first out', 'second in'])
  })

  it.each([
    { left: 'of a dead process', content: JSON.stringify({ pid: 4_194_305, startTime: '1' }) },
    {
      left: 'of an earlier process with an id in use',
      content: JSON.stringify({ pid: process.pid, startTime: '1' }),
    },
    { left: 'with nothing readable in it', content: 'half a li' },
  ])('takes over a lock $left, without waiting', async ({ content }) => {
    const file = join(folder, 'lock')
    writeFileSync(file, content)
    let waited = false
    const holder = await withLock(file, async () => readFileSync(file, 'utf8'), {
      onWait: () => (waited = true),
    })
    expect(JSON.parse(holder)).toEqual(identify(process.pid))
    expect(waited).toBe(false)
    expect(readdirSync(folder)).toEqual([])
  })

  it('opens again when the work fails', async () => {
    const file = join(folder, 'lock')
    const failing = withLock(file, async () => await Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(await withLock(file, async () => 'in')).toBe('in')
  })
})

describe('createWhole', () => {
  it('creates a file once and leaves nothing else beside it', () => {
    const file = join(folder, 'record')
    expect(createWhole(file, 'first')).toBe(true)
    expect(createWhole(file, 'second')).toBe(false)
    expect(readFileSync(file, 'utf8')).toBe('first')
    expect(readdirSync(folder)).toEqual(['record'])
  })
})
