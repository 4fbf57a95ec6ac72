/** What becomes of a sign-in: the provider, its outage, other tokens, and what a command keeps. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { runCredential } from '../../../lib/cli/credential.ts'
import { readTokens, type CachedTokens } from '../../../lib/cli/token-cache.ts'
import { CLIENT_ID, issuerOf } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { signInWithToken } from '../../../lib/cli/sign-in/flows.ts'
import { signIn, signInAtGateway } from '../../../lib/sandbox/sign-in.ts'
import { createFakeIo } from '../../fakes/cli-io.ts'
import { startSignInBed, type SignInBed } from './sign-in-bed.ts'

const MINUTE = 60_000

let bed: SignInBed
let folder: string
let files = 0

beforeAll(async () => {
  bed = await startSignInBed()
  folder = await mkdtemp(join(tmpdir(), 'podgate-tokens-'))
})

afterAll(async () => {
  await bed.close()
  await rm(folder, { recursive: true, force: true })
})

/** ana, signed in as a browser would, with her tokens in a file as a command keeps them. */
async function ana(): Promise<{ cacheFile: string; tokens: CachedTokens }> {
  const cacheFile = join(folder, `${(files += 1)}.json`)
  const { issuer } = bed.provider
  const address = { server: bed.url, ca: bed.ca }
  await signInAtGateway({
    address,
    issuer,
    name: 'ana',
    password: bed.passwordOf('ana'),
    cacheFile,
  })
  const tokens = await readTokens(cacheFile, issuerOf(bed.url), CLIENT_ID)
  if (tokens === undefined) throw new Error('no tokens')
  return { cacheFile, tokens }
}

async function credential(
  cacheFile: string,
  ...more: string[]
): Promise<{ code: number; out: string; err: string }> {
  const io = createFakeIo({ startMs: Date.now(), env: { BROWSER: 'none' } })
  const args = [`--server=${bed.url}`, `--ca-file=${bed.caFile}`, `--cache=${cacheFile}`, ...more]
  const code = await runCredential(args, io)
  return { code, out: io.out(), err: io.err() }
}

describe('the tokens of a command', () => {
  it('lie in a file for its owner alone', async () => {
    const { cacheFile } = await ana()
    expect((await stat(cacheFile)).mode & 0o777).toBe(0o600)
  })

  it('are handed to kubectl by the credential plugin, and renewed when they end', async () => {
    const { cacheFile, tokens } = await ana()
    const first = await credential(cacheFile)
    expect(JSON.parse(first.out)).toMatchObject({
      kind: 'ExecCredential',
      status: { token: tokens.token },
    })
    // As if the hour were over.
    const text = (await readFile(cacheFile, 'utf8')).replace(/"expiresAt":\d+/, '"expiresAt":1')
    await writeFile(cacheFile, text)
    const second = await credential(cacheFile)
    expect(second).toMatchObject({ code: 0, err: '' })
    const { token } = (JSON.parse(second.out) as { status: { token: string } }).status
    expect(token).not.toBe(tokens.token)
    await expect(bed.logins.verify(token)).resolves.toMatchObject({ username: 'ana' })
  })

  it('that cannot be renewed any more say in one line, once, what to run', async () => {
    const { cacheFile, tokens } = await ana()
    await bed.logins.end(tokens.token)
    const text = (await readFile(cacheFile, 'utf8')).replace(/"expiresAt":\d+/, '"expiresAt":1')
    await writeFile(cacheFile, text)
    const answers = []
    for (let n = 0; n < 4; n += 1) answers.push(await credential(cacheFile))
    expect(answers.map(({ code }) => code)).toEqual([1, 1, 1, 1])
    expect(answers.map(({ err }) => err).join('')).toBe(
      `podgate: you are not signed in at ${bed.url}. Run: kubectl podgate login\n`,
    )
  })

  it('of somebody who was revoked open no browser, and say why', async () => {
    const { cacheFile } = await ana()
    const text = (await readFile(cacheFile, 'utf8')).replace(/"expiresAt":\d+/, '"expiresAt":1')
    await writeFile(cacheFile, text)
    const target = { kind: 'User', username: 'ana' } as const
    const rule = await bed.revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'x' })
    try {
      const { code, err } = await credential(cacheFile)
      expect(code).toBe(1)
      expect(err.split('\n')).toHaveLength(2)
      expect(err).toMatch(/^podgate: .*your access was revoked by bo.*PODGATE-1450/)
    } finally {
      await bed.revoking.revoker.lift(rule._id)
    }
  })
})

describe('somebody whom the provider disables', () => {
  afterEach(() => {
    bed.provider.enable('ana')
  })

  it('is out with the first request after five minutes', async () => {
    const { tokens } = await ana()
    bed.provider.disable('ana')
    await expect(bed.logins.verify(tokens.token)).resolves.toBeDefined()
    bed.ahead.ms += 5 * MINUTE
    await expect(bed.logins.verify(tokens.token)).rejects.toMatchObject({
      id: 1453,
      message: expect.stringContaining('invalid_grant'),
    })
  })

  it('is out of what runs, without any request', async () => {
    const { tokens } = await ana()
    const user = await bed.logins.verify(tokens.token)
    const live = bed.revoking.revocations.watch(user)
    bed.provider.disable('ana')
    bed.ahead.ms += 5 * MINUTE
    await bed.logins.recheckLive(bed.revoking.revocations.liveLogins())
    expect(live.signal.reason).toMatchObject({ id: 1450 })
    live.release()
  })
})

describe('a sign-in that is over', () => {
  it('has what runs of it ended, though no request comes and the provider would say yes', async () => {
    const { tokens } = await ana()
    const { revocations } = bed.revoking
    const live = revocations.watch(await bed.logins.verify(tokens.token))
    bed.ahead.ms += 12 * 60 * MINUTE
    for (const [login, reason] of await bed.logins.recheckLive(revocations.liveLogins())) {
      revocations.endLogin(login, reason)
    }
    expect(live.signal.reason).toMatchObject({ id: 1405 })
    live.release()
  })
})

describe('somebody who signs out at the provider', () => {
  it('is out here at once, with what runs: the provider tells us', async () => {
    const { tokens } = await ana()
    const live = bed.revoking.revocations.watch(await bed.logins.verify(tokens.token))
    await bed.provider.signOutEverywhere('ana')
    expect(live.signal.reason).toMatchObject({
      id: 1450,
      message: expect.stringContaining('by the provider corp'),
    })
    live.release()
    bed.logins.forget()
    await expect(bed.logins.verify(tokens.token)).rejects.toMatchObject({ id: 1453 })
  })
})

describe('a provider that is away', () => {
  it('keeps nobody out who is signed in, and is asked again when it is back', async () => {
    const { tokens } = await ana()
    await bed.provider.stop()
    bed.ahead.ms += 6 * MINUTE
    await expect(bed.logins.verify(tokens.token)).resolves.toBeDefined()
    await bed.provider.start()
    bed.ahead.ms += MINUTE
    await expect(bed.logins.verify(tokens.token)).resolves.toBeDefined()
    const login = await bed.revoking.logins.getLogin(
      (await bed.logins.verify(tokens.token)).credential.login ?? '',
    )
    expect(Date.now() + bed.ahead.ms - (login?.checkedAt.getTime() ?? 0)).toBeLessThan(MINUTE)
  })
})

describe('an ID token of a trusted provider', () => {
  async function idToken(): Promise<string> {
    const cacheFile = join(folder, `${(files += 1)}.json`)
    const { issuer } = bed.provider
    await signIn({ issuer, ca: bed.ca, name: 'bo', password: bed.passwordOf('bo'), cacheFile })
    return (await readTokens(cacheFile, issuer, 'podgate'))?.token ?? ''
  }

  it('becomes a token of the gateway for an hour, without one for renewing', async () => {
    const tokens = await signInWithToken(await bed.oauth(), await idToken())
    expect(tokens.refresh_token).toBeUndefined()
    await expect(bed.logins.verify(tokens.access_token)).resolves.toMatchObject({
      username: 'bo',
      groups: ['oncall'],
    })
  })

  it('is not what a token of the gateway is: one cannot be made of another, and so live for ever', async () => {
    const { tokens } = await ana()
    const exchanged = await signInWithToken(await bed.oauth(), await idToken())
    for (const token of [tokens.token, exchanged.access_token]) {
      await expect(signInWithToken(await bed.oauth(), token)).rejects.toMatchObject({
        error: 'invalid_grant',
        error_description: expect.stringContaining('no token of a sign-in provider'),
      })
    }
  })

  it.each([
    ['no token', 'x'],
    ['a token of the gateway', `podgate_at_${'a'.repeat(43)}`],
    ['an unsigned one', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJibyJ9.'],
  ])('is none: %s', async (_name, token) => {
    const oauth = await bed.oauth()
    await expect(signInWithToken(oauth, token)).rejects.toMatchObject({ error: 'invalid_grant' })
  })
})

describe('an access token that a machine has by client credentials', () => {
  it('is taken as it is, and becomes a token of the gateway', async () => {
    const token = await bed.machineToken()
    const machine = { username: 'client:deployer', groups: [], signIn: { amr: [] } }
    const headers = { authorization: `Bearer ${token}` }
    await expect(bed.identify({ headers })).resolves.toMatchObject({
      ...machine,
      credential: { kind: 'AccessToken' },
    })
    const tokens = await signInWithToken(await bed.oauth(), token)
    await expect(bed.logins.verify(tokens.access_token)).resolves.toMatchObject(machine)
  })

  it('is refused for another API, and while the machine is kept out', async () => {
    const foreign = await bed.machineToken('https://elsewhere.example')
    await expect(signInWithToken(await bed.oauth(), foreign)).rejects.toMatchObject({
      error: 'invalid_grant',
    })
    const target = { kind: 'User', username: 'client:deployer' } as const
    const rule = await bed.revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'x' })
    const token = await bed.machineToken()
    try {
      await expect(signInWithToken(await bed.oauth(), token)).rejects.toMatchObject({
        error_description: expect.stringContaining('PODGATE-1450'),
      })
    } finally {
      await bed.revoking.revoker.lift(rule._id)
    }
  })
})

describe('the log of all this', () => {
  it('holds names and reasons, and no token, code or cookie', async () => {
    const { tokens } = await ana()
    const text = bed.log.join('\n')
    expect(text).toContain('ana by corp')
    expect(text).not.toMatch(/podgate_(?:at|rt|ac|dc|bs)_/)
    expect(text).not.toContain(tokens.token)
  })
})
