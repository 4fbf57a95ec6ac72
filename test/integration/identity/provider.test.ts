import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose'

import { createHttpsFetch } from '../../../lib/https/https-fetch.ts'
import { type CachedTokens, readTokens, writeTokens } from '../../../lib/cli/token-cache.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../../../lib/cluster/pki.ts'
import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createAuthenticator } from '../../../lib/identity/authenticate.ts'
import {
  type IdentityProvider,
  startIdentityProvider,
} from '../../../lib/sandbox/identity-provider.ts'
import {
  createPeople,
  GROUPS_OF,
  type Person,
  type PersonName,
} from '../../../lib/sandbox/people.ts'
import type { ProviderStore } from '../../../lib/sandbox/provider-store.ts'
import { signIn } from '../../../lib/sandbox/sign-in.ts'

const PROGRAM = join(import.meta.dirname, '../../../cmd/kubectl-podgate/main.ts')

let folder: string
let caFile: string
let authority: KeyPair
let certificate: KeyPair
let provider: IdentityProvider
const people = createPeople()
const store: ProviderStore = new Map()
const problems: string[] = []

function start(port = 0): Promise<IdentityProvider> {
  return startIdentityProvider({
    people,
    store,
    port,
    certificate: certificate.certificate,
    privateKey: certificate.privateKey,
    onError: (message) => problems.push(message),
  })
}

beforeAll(async () => {
  authority = await createAuthority('test authority')
  certificate = await issueCertificate(authority, {
    commonName: 'provider',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  provider = await start()
})

afterAll(async () => {
  await provider.close()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-provider-'))
  caFile = join(folder, 'ca.pem')
  await writeFile(caFile, authority.certificate)
})

afterEach(async () => {
  await rm(folder, { recursive: true })
  expect(problems.splice(0)).toEqual([])
})

function person(name: PersonName): Person {
  const found = people.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`no ${name}`)
  return found
}

async function signedIn(name: PersonName): Promise<{ cacheFile: string; tokens: CachedTokens }> {
  const cacheFile = join(folder, `${name}.json`)
  const { password } = person(name)
  const { issuer } = provider
  await signIn({ issuer, ca: authority.certificate, name, password, cacheFile })
  return { cacheFile, tokens: await tokensIn(cacheFile) }
}

async function tokensIn(cacheFile: string): Promise<CachedTokens> {
  const tokens = await readTokens(cacheFile, provider.issuer, 'podgate')
  if (tokens === undefined) throw new Error('no tokens')
  return tokens
}

interface Run {
  code: number
  stdout: string
  stderr: string
}

/** The plugin as kubectl starts it: a process of its own. */
function credential(cacheFile: string): Promise<Run> {
  const args = [PROGRAM, 'credential', '--issuer', provider.issuer, '--client-id', 'podgate']
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...args, '--ca-file', caFile, '--cache', cacheFile],
      { cwd: '/', env: { HOME: folder } },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      },
    )
  })
}

async function authenticate(idToken: string, audience = 'podgate'): Promise<string> {
  const authenticator = createAuthenticator([
    { issuer: provider.issuer, audience, caFile, usernameClaim: 'preferred_username' },
  ])
  try {
    const { username, groups } = await authenticator.authenticate(`Bearer ${idToken}`)
    return `${username} of ${groups.join()}`
  } catch (error) {
    return GatewayError.is(error) ? `${error.reason} ${error.id}` : 'another error'
  } finally {
    authenticator.close()
  }
}

describe("the sandbox's provider", () => {
  it.each(Object.entries(GROUPS_OF) as [PersonName, readonly string[]][])(
    'signs %s in with their password, of the groups %j',
    async (name, groups) => {
      const { tokens } = await signedIn(name)
      expect(await authenticate(tokens.token)).toBe(`${name} of ${groups.join()}`)
      const { exp = 0, iat = 0, aud } = decodeJwt(tokens.token)
      expect({ lifeSeconds: exp - iat, aud }).toEqual({ lifeSeconds: 600, aud: 'podgate' })
    },
  )

  it('gives a token that another audience does not take', async () => {
    const { tokens } = await signedIn('ana')
    expect(await authenticate(tokens.token, 'another')).toBe('Unauthorized 1407')
  })

  it.each<[string, string, () => string]>([
    ['a wrong password', 'ana', () => 'wrong'],
    ['no password', 'ana', () => ''],
    ["another person's password", 'ana', () => person('bo').password],
    ['a name nobody has', 'eve', () => person('ana').password],
  ])('lets nobody in with %s', async (_name, name, password) => {
    const cacheFile = join(folder, 'nobody.json')
    await expect(
      signIn({
        issuer: provider.issuer,
        ca: authority.certificate,
        name,
        password: password(),
        cacheFile,
      }),
    ).rejects.toThrow(/do not belong together/)
    expect(await readdir(folder)).toEqual(['ca.pem'])
  })

  it.each<[string, Record<string, string>, RegExp]>([
    ['without PKCE', {}, /requires PKCE/],
    [
      'with PKCE in the clear',
      { code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' },
      /code_challenge_method/,
    ],
    [
      'with another place to return to',
      {
        code_challenge: 'x'.repeat(43),
        code_challenge_method: 'S256',
        redirect_uri: 'https://evil.example/',
      },
      /redirect_uri/,
    ],
    ['from another client', { client_id: 'other' }, /client/],
    ['for a token without code', { response_type: 'id_token', nonce: 'n' }, /response_type/],
  ])('refuses a sign-in %s', async (_name, changes, reason) => {
    const url = new URL('/auth', provider.issuer)
    const parameters = {
      client_id: 'podgate',
      response_type: 'code',
      scope: 'openid',
      redirect_uri: 'http://127.0.0.1/callback',
      ...changes,
    }
    url.search = new URLSearchParams(parameters).toString()
    const fetch = createHttpsFetch({ ca: authority.certificate })
    const answer = await fetch(url.href, { method: 'GET', headers: {} })
    const location = answer.headers.get('location') ?? ''
    expect(location).not.toContain('/sign-in/')
    expect(decodeURIComponent(location.replaceAll('+', ' ')) + (await answer.text())).toMatch(
      reason,
    )
  })

  it('has no page to sign in without a sign-in that was begun', async () => {
    const fetch = createHttpsFetch({ ca: authority.certificate })
    const answer = await fetch(`${provider.issuer}/sign-in/guessed`, {
      method: 'POST',
      headers: {},
    })
    expect(answer.status).toBe(400)
    expect(problems.splice(0)).toHaveLength(1)
  })
})

describe('the credential plugin', () => {
  it('prints the token it has, and reaches for nothing', async () => {
    const { cacheFile, tokens } = await signedIn('ana')
    const { code, stdout, stderr } = await credential(cacheFile)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'ExecCredential',
      status: { token: tokens.token },
    })
  })

  it('renews an ended token once for many kubectls at the same time', async () => {
    const { cacheFile, tokens } = await signedIn('ana')
    await writeTokens(cacheFile, { ...tokens, expiresAt: Date.now() - 1 })
    const runs = await Promise.all(Array.from({ length: 6 }, () => credential(cacheFile)))
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      runs.map(() => ({ code: 0, stderr: '' })),
    )
    expect(new Set(runs.map(({ stdout }) => stdout)).size).toBe(1)
    const renewed = await tokensIn(cacheFile)
    // A second renewal with the same refresh token would have ended the sign-in.
    expect(renewed.refreshToken).not.toBe(tokens.refreshToken)
    expect(await authenticate(renewed.token)).toBe('ana of dev')
    await writeTokens(cacheFile, { ...renewed, expiresAt: Date.now() - 1 })
    expect((await credential(cacheFile)).code).toBe(0)
    const left = (await readdir(folder)).filter((name) => name.startsWith('ana'))
    expect(left).toEqual(['ana.json'])
  })

  it('says in one line that the sign-in has ended, when its refresh token was used by another', async () => {
    const { cacheFile, tokens } = await signedIn('bo')
    await writeTokens(cacheFile, { ...tokens, expiresAt: 0 })
    expect((await credential(cacheFile)).code).toBe(0)
    // The thief comes second; the whole sign-in ends, so the owner notices.
    const stolen = join(folder, 'thief.json')
    await writeTokens(stolen, { ...tokens, expiresAt: 0 })
    expect(await credential(stolen)).toMatchObject({ code: 1, stdout: '' })
    const own = await tokensIn(cacheFile)
    await writeTokens(cacheFile, { ...own, expiresAt: 0 })
    const { code, stderr } = await credential(cacheFile)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^podgate: you are not signed in at https:[^\n]*\n$/)
    expect(stderr).not.toContain(own.refreshToken)
  })

  it('does not talk to a provider with a certificate of another authority', async () => {
    const { cacheFile, tokens } = await signedIn('cy')
    await writeTokens(cacheFile, { ...tokens, expiresAt: 0 })
    await writeFile(caFile, (await createAuthority('stranger')).certificate)
    const { code, stderr } = await credential(cacheFile)
    expect(code).toBe(1)
    expect(stderr).toMatch(/could not be renewed \([^\n]*certificate[^\n]*\)/i)
  })
})

describe('a provider that changes its keys', () => {
  it('is followed by the gateway, and the old tokens end', async () => {
    const { cacheFile, tokens } = await signedIn('ana')
    let nowMs = Date.now()
    const authenticator = createAuthenticator(
      [{ issuer: provider.issuer, audience: 'podgate', caFile }],
      { now: () => nowMs },
      { maxCachedMs: 1_000 },
    )
    await authenticator.authenticate(`Bearer ${tokens.token}`)
    const port = Number(new URL(provider.issuer).port)
    await provider.close()
    provider = await start(port)
    await writeTokens(cacheFile, { ...tokens, expiresAt: 0 })
    expect((await credential(cacheFile)).code).toBe(0)
    const { token: idToken } = await tokensIn(cacheFile)
    nowMs += 31_000
    const user = await authenticator.authenticate(`Bearer ${idToken}`)
    expect(user.username).toBe('ana')
    await expect(authenticator.authenticate(`Bearer ${tokens.token}`)).rejects.toMatchObject({
      id: 1404,
    })
    authenticator.close()
  })
})

describe('what the sandbox keeps of a sign-in', () => {
  it('holds no password', async () => {
    const { cacheFile } = await signedIn('dpo')
    expect(await readFile(cacheFile, 'utf8')).not.toContain(person('dpo').password)
  })
})
