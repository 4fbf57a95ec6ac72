import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

const SCRIPT = join(import.meta.dirname, '..', '..', '..', 'cmd', 'setup', 'main.mjs')
const LOCK = {
  packages: {
    '': { name: 'project' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/other-platform': { version: '2.0.0', optional: true },
  },
}

/** Stands in for npm, which is not ours: notes how it was called and does as it is told. */
const NPM = `
const { appendFileSync, mkdirSync } = require('node:fs')
const args = process.argv.slice(2)
appendFileSync('calls.txt', args.slice(0, 2).join(' ') + '\\n')
const failure = process.env.FAIL?.split(' ') ?? []
if (failure[0] === args[0]) { process.stderr.write('npm error code ' + failure[1]); process.exit(1) }
mkdirSync('node_modules', { recursive: true })
`

let project: string
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'podgate-setup-'))
  mkdirSync(join(project, 'cmd', 'setup'), { recursive: true })
  cpSync(SCRIPT, join(project, 'cmd', 'setup', 'main.mjs'))
  writeFileSync(join(project, 'npm.cjs'), NPM)
  writeFileSync(join(project, 'package-lock.json'), JSON.stringify(LOCK))
})
afterEach(() => {
  rmSync(project, { recursive: true, force: true })
})

async function run(env: Record<string, string> = {}): Promise<{ code: number; output: string }> {
  const options = { cwd: project, env: { npm_execpath: join(project, 'npm.cjs'), ...env } }
  const args = [join(project, 'cmd', 'setup', 'main.mjs')]
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options)
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, output: stdout + stderr }
  }
}

function npmCalls(): string[] {
  const file = join(project, 'calls.txt')
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
}

function writeHiddenLock(packages: Record<string, unknown>): void {
  mkdirSync(join(project, 'node_modules'))
  writeFileSync(join(project, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }))
}

describe('setup', () => {
  it('installs once, says so, and is silent from then on', async () => {
    const first = await run()
    expect(first).toMatchObject({ code: 0 })
    expect(first.output).toContain('Installing the npm packages')
    expect(await run()).toEqual({ code: 0, output: '' })
    expect(npmCalls()).toEqual(['ci --no-audit'])
  })

  it('installs again when package-lock.json has changed', async () => {
    await run()
    const lock = { packages: { ...LOCK.packages, 'node_modules/b': { version: '1.0.0' } } }
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify(lock))
    await run()
    expect(npmCalls()).toEqual(['ci --no-audit', 'ci --no-audit'])
  })

  it.each([
    { name: 'all that is locked', packages: { 'node_modules/a': { version: '1.0.0' } }, calls: 0 },
    { name: 'another version', packages: { 'node_modules/a': { version: '1.0.1' } }, calls: 1 },
    { name: 'not everything', packages: {}, calls: 1 },
  ])(
    'runs npm $calls times where somebody installed $name by hand',
    async ({ packages, calls }) => {
      writeHiddenLock(packages)
      expect(await run()).toMatchObject({ code: 0 })
      expect(npmCalls()).toHaveLength(calls)
    },
  )

  it('falls back to an install that leaves the lock alone, where the lock lacks other platforms', async () => {
    expect(await run({ FAIL: 'ci EUSAGE' })).toMatchObject({ code: 0 })
    expect(npmCalls()).toEqual(['ci --no-audit', 'install --no-save'])
    expect(readFileSync(join(project, 'package-lock.json'), 'utf8')).toBe(JSON.stringify(LOCK))
  })

  it('fails with what npm said, and tries again the next time', async () => {
    const failed = await run({ FAIL: 'ci ENOTFOUND' })
    expect(failed.code).toBe(1)
    expect(failed.output).toContain('npm error code ENOTFOUND')
    expect(failed.output).toContain('could not be installed')
    await run()
    expect(npmCalls()).toEqual(['ci --no-audit', 'ci --no-audit'])
  })
})
