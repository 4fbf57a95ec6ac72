import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { runCredential } from '../../../lib/cli/credential.ts'
import {
  readFailure,
  readTokens,
  tokensDigest,
  writeFailure,
  writeTokens,
} from '../../../lib/cli/token-cache.ts'
import { withTokenLock } from '../../../lib/cli/token-lock.ts'

const NOW = 1_800_000_000_000
/** Port 1 of this machine: nothing answers, and nothing leaves the machine. */
const ISSUER = 'https://127.0.0.1:1'
const V1 = 'client.authentication.k8s.io/v1'

let folder: string
let cache: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-credential-'))
  cache = join(folder, 'ana.json')
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

interface Run {
  code: number
  stdout: string
  stderr: string
}

async function run(args: string[], info?: string): Promise<Run> {
  const out: string[] = []
  const err: string[] = []
  const code = await runCredential(args, {
    stdout: sink(out),
    stderr: sink(err),
    env: info === undefined ? {} : { KUBERNETES_EXEC_INFO: info },
    now: () => NOW,
  })
  return { code, stdout: out.join(''), stderr: err.join('') }
}

function sink(into: string[]): Writable {
  return new Writable({
    write: (chunk, _encoding, done) => {
      into.push(String(chunk))
      done()
    },
  })
}

function flags(issuer = ISSUER): string[] {
  return ['--issuer', issuer, '--client-id', 'podgate', '--cache', cache]
}

function tokens(
  expiresAt: number,
  refreshToken?: string,
): {
  issuer: string
  clientId: string
  token: string
  expiresAt: number
  refreshToken?: string
} {
  return {
    issuer: ISSUER,
    clientId: 'podgate',
    token: 'a.b.c',
    expiresAt,
    ...(refreshToken === undefined ? {} : { refreshToken }),
  }
}

describe('credential with a token that lives', () => {
  it.each([
    ['by hand', undefined, V1],
    ['for v1', { apiVersion: V1, kind: 'ExecCredential' }, V1],
    ['for v1beta1', { apiVersion: `${V1}beta1`, kind: 'ExecCredential' }, `${V1}beta1`],
  ])('prints it, %s, in the version asked for', async (_name, info, apiVersion) => {
    await writeTokens(cache, tokens(NOW + 600_000))
    const { code, stdout, stderr } = await run(flags(), info && JSON.stringify(info))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({
      kind: 'ExecCredential',
      apiVersion,
      status: { token: 'a.b.c', expirationTimestamp: '2027-01-15T08:09:30Z' },
    })
  })

  it('keeps it in a file for its owner alone', async () => {
    await writeTokens(cache, tokens(NOW))
    expect((await stat(cache)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['ana.json'])
  })

  it('prints one that ends in 30 s when it cannot be renewed', async () => {
    await writeTokens(cache, tokens(NOW + 30_000, 'r'))
    expect(await run(flags())).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('credential without a usable token', () => {
  it.each<[string, () => Promise<void>, RegExp]>([
    ['nobody has signed in', async () => {}, /not signed in at https:\/\/127\.0\.0\.1:1/],
    ['the cache is no JSON', () => writeFile(cache, '{"idTo'), /not signed in/],
    [
      'the token is of another provider',
      () => writeTokens(cache, { ...tokens(NOW + 600_000), issuer: 'https://x' }),
      /not signed in/,
    ],
    [
      'the token is of another client',
      () => writeTokens(cache, { ...tokens(NOW + 600_000), clientId: 'x' }),
      /not signed in/,
    ],
    [
      'the token ended and there is none to renew it',
      () => writeTokens(cache, tokens(NOW - 1)),
      /not signed in/,
    ],
    [
      'the provider does not answer',
      () => writeTokens(cache, tokens(NOW - 1, 'r')),
      /could not be renewed \(connect ECONNREFUSED/,
    ],
  ])('says in one line what to do: %s', async (_name, prepare, message) => {
    await prepare()
    const { code, stdout, stderr } = await run([...flags(), '--sign-in', 'run: npm start'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^podgate: [^\n]*run: npm start\n$/)
  })

  it('says it once for the four starts of one kubectl', async () => {
    const runs: Run[] = []
    for (let start = 0; start < 4; start += 1) runs.push(await run(flags()))
    expect(runs.map(({ code }) => code)).toEqual([1, 1, 1, 1])
    expect(runs.map(({ stderr }) => stderr !== '')).toEqual([true, false, false, false])
  })

  it.each([
    ['another kubectl', { parentPid: -1 }, /from the note/],
    ['a clock that was set back', { atMs: NOW + 1 }, /not signed in/],
    ['the same kubectl after ten seconds', { atMs: NOW - 10_001 }, /not signed in/],
    ['other tokens', { digest: 'x' }, /not signed in/],
  ])('says it again to %s', async (_name, changes, message) => {
    await writeFailure(cache, {
      atMs: NOW,
      parentPid: process.ppid,
      digest: tokensDigest(undefined),
      message: 'from the note',
      ...changes,
    })
    expect((await run(flags())).stderr).toMatch(message)
  })

  it('leaves no lock and no secret behind', async () => {
    await writeTokens(cache, tokens(NOW - 1, 'refresh-secret'))
    await run(flags())
    expect((await readdir(folder)).sort()).toEqual(['ana.json', 'ana.json.failed'])
    expect(await readFile(`${cache}.failed`, 'utf8')).not.toContain('refresh-secret')
    expect(await readFailure(cache)).toBeDefined()
  })
})

describe('credential called wrongly', () => {
  it.each<[string, string[], string | undefined, RegExp]>([
    ['no flags', [], undefined, /needs --server, or provideClusterInfo/],
    ['an unknown flag', ['--what'], undefined, /--what/],
    [
      'an issuer over http',
      ['--issuer', 'http://x', '--client-id', 'p', '--cache', '/x'],
      undefined,
      /not an https/,
    ],
    [
      'a version of the future',
      ['--issuer', ISSUER, '--client-id', 'p', '--cache', '/x'],
      `{"apiVersion":"${V1}alpha9"}`,
      /unknown version/,
    ],
    [
      'a question that is no JSON',
      ['--issuer', ISSUER, '--client-id', 'p', '--cache', '/x'],
      '{',
      /unknown version/,
    ],
  ])('ends with 2: %s', async (_name, args, info, message) => {
    const { code, stdout, stderr } = await run(args, info)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('prints its usage when asked', async () => {
    expect(await run(['--help'])).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('the lock of a token cache', () => {
  it('lets one in at a time', async () => {
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      inside += 1
      most = Math.max(most, inside)
      await readTokens(cache, ISSUER, 'podgate')
      inside -= 1
    }
    await Promise.all(Array.from({ length: 12 }, () => withTokenLock(cache, work)))
    expect(most).toBe(1)
    expect(await readdir(folder)).toEqual([])
  })

  it.each([
    ['a process that is gone', '4194305 x'],
    ['nobody', ''],
    ['no process', 'me'],
  ])('is taken over from %s', async (_name, content) => {
    await writeFile(`${cache}.lock`, content)
    const waits = { waitMs: 5_000 }
    expect(await withTokenLock(cache, async () => 'done', waits)).toBe('done')
    expect(await readdir(folder)).toEqual([])
  })

  it('is taken over by one of many at a time', async () => {
    await writeFile(`${cache}.lock`, '4194305 x')
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      inside += 1
      most = Math.max(most, inside)
      await readTokens(cache, ISSUER, 'podgate')
      inside -= 1
    }
    await Promise.all(Array.from({ length: 12 }, () => withTokenLock(cache, work)))
    expect(most).toBe(1)
  })

  it('is taken over when old, its process id being used again', async () => {
    await writeFile(`${cache}.lock`, `${process.pid} x`)
    expect(await withTokenLock(cache, async () => 'done', { staleMs: -1 })).toBe('done')
  })

  it('is not taken from a process that runs', async () => {
    await writeFile(`${cache}.lock`, `${process.pid} x`)
    await expect(withTokenLock(cache, async () => 'done', { waitMs: 60 })).rejects.toThrow(
      /another process holds/,
    )
    expect(await readFile(`${cache}.lock`, 'utf8')).toBe(`${process.pid} x`)
  })

  it('is free again after work that failed', async () => {
    const failing = withTokenLock(cache, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(await readdir(folder)).toEqual([])
  })
})
