import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { claimFolder, folderOf, stopSandbox } from '../../../lib/sandbox/sandbox-folder.ts'

let base: string

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'podgate-folder-'))
})

afterEach(async () => {
  await rm(base, { recursive: true })
})

describe('the folder of a sandbox', () => {
  it('belongs to one sandbox at a time', () => {
    const folder = claimFolder(join(base, 'p'))
    expect(() => claimFolder(join(base, 'p'))).toThrow(/runs in .* already \(process \d+\)/)
    folder.release()
    claimFolder(join(base, 'p')).release()
  })

  it('is gone when it was released', async () => {
    const folder = claimFolder(join(base, 'p'))
    await writeFile(folder.json, '{}')
    await mkdir(folder.bin)
    folder.release()
    expect(await readdir(base)).toEqual([])
  })

  it('stays, without anything of the sandbox, where a second one lives in it', async () => {
    const first = claimFolder(folderOf(base, undefined))
    const second = claimFolder(folderOf(base, 'second'))
    first.release()
    expect(await readdir(base)).toEqual(['second'])
    expect(existsSync(second.tokens)).toBe(true)
    second.release()
  })

  it('is taken over from a sandbox that crashed, and nothing of that one is left', async () => {
    const root = join(base, 'p')
    await mkdir(join(root, 'tokens'), { recursive: true })
    await writeFile(join(root, 'tokens', 'ana.json'), 'old')
    await writeFile(join(root, 'sandbox.json'), 'old')
    await writeFile(join(root, 'sandbox.pid'), JSON.stringify({ pid: 4194305, startTime: '1' }))
    const folder = claimFolder(root)
    expect(await readdir(folder.tokens)).toEqual([])
    expect(existsSync(folder.json)).toBe(false)
    folder.release()
  })

  it('leaves alone what is not of a sandbox', async () => {
    await writeFile(join(base, 'notes.txt'), 'mine')
    claimFolder(base).release()
    expect(await readdir(base)).toEqual(['notes.txt'])
  })
})

describe('stopping a sandbox', () => {
  it.each<[string, string | undefined]>([
    ['there is no folder', undefined],
    ['its process is gone', JSON.stringify({ pid: 4194305, startTime: '1' })],
    [
      'its process id now means another process',
      JSON.stringify({ pid: process.pid, startTime: '1' }),
    ],
    ['the record is no JSON', '{'],
    ['the record names no process', '{"pid":"1"}'],
  ])('stops nothing where %s', async (_name, record) => {
    const root = join(base, 'p')
    if (record !== undefined) {
      await mkdir(root)
      await writeFile(join(root, 'sandbox.pid'), record)
    }
    expect(await stopSandbox(root)).toBe(false)
  })
})
