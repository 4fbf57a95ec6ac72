import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { type RunIn, unpackDebianPackage } from '../../../lib/cluster/debian-download.ts'

const TOOL = { name: 'tool', version: '1.2' }

let cache: string

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'debian-download-'))
})

afterEach(() => rmSync(cache, { recursive: true, force: true }))

/** An apt-get and a dpkg-deb whose package holds one program. */
function programs(calls: string[], ends: { download?: string } = {}): RunIn {
  return async (folder, command, args) => {
    calls.push(
      [command, ...args.filter((arg) => !arg.startsWith('-') && !arg.includes('::'))].join(' '),
    )
    if (command === 'dpkg-deb') {
      const content = args.at(-1) ?? ''
      mkdirSync(join(content, 'usr', 'bin'), { recursive: true })
      writeFileSync(join(content, 'usr', 'bin', 'tool'), 'the tool')
    } else if (args.includes('download')) {
      if (ends.download !== undefined) throw new Error(ends.download)
      writeFileSync(join(folder, 'tool_1.2.3_amd64.deb'), '')
    }
  }
}

describe('unpackDebianPackage', () => {
  it('gives the folder with the files of the package', async () => {
    const calls: string[] = []
    const folder = await unpackDebianPackage(TOOL, cache, programs(calls))
    expect(readFileSync(join(folder, 'usr', 'bin', 'tool'), 'utf8')).toBe('the tool')
    expect(calls).toEqual([
      'apt-get download tool=1.2*',
      expect.stringMatching(/^dpkg-deb tool_1\.2/),
    ])
    expect(readdirSync(cache)).toEqual(['debian-tool-1.2'])
  })

  it('fetches nothing the second time', async () => {
    const first = await unpackDebianPackage(TOOL, cache, programs([]))
    const calls: string[] = []
    expect(await unpackDebianPackage(TOOL, cache, programs(calls))).toBe(first)
    expect(calls).toEqual([])
  })

  it('says what to try when apt does not have it, and leaves nothing behind', async () => {
    const run = programs([], { download: "E: Version '1.2*' for 'tool' was not found" })
    await expect(unpackDebianPackage(TOOL, cache, run)).rejects.toThrow(
      /tool 1\.2 could not be fetched: try "apt-get download 'tool=1\.2\*'"/,
    )
    expect(readdirSync(cache)).toEqual([])
  })
})
