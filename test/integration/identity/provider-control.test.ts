import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import type { Configuration } from 'openid-client'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createAuthenticator } from '../../../lib/identity/authenticate.ts'
import type { PersonName } from '../../../lib/sandbox/people.ts'
import type { FormBrowser } from './form-browser.ts'
import {
  type Attempt,
  attempt,
  openProviderBed,
  type ProviderBed,
  refresh,
} from './provider-bed.ts'

let bed: ProviderBed
let gateway: Configuration
let folder: string
let caFile: string

beforeAll(async () => {
  bed = await openProviderBed()
  gateway = await bed.client()
  folder = await mkdtemp(join(tmpdir(), 'podgate-control-'))
  caFile = join(folder, 'ca.pem')
  await writeFile(caFile, bed.authority.certificate)
})

afterAll(async () => {
  await bed.close()
  await rm(folder, { recursive: true })
})

afterEach(() => {
  bed.backchannel.tokens.length = 0
  bed.backchannel.status = 200
  expect(bed.problems.splice(0)).toEqual([])
})

function signIn(
  name: PersonName,
  browser: FormBrowser = bed.browser(),
  parameters: Record<string, string> = {},
): Promise<Attempt> {
  return attempt(gateway, browser, { name, password: bed.person(name).password }, parameters)
}

/** A gateway that has just started, so that it asks for the keys. */
async function judge(idToken: string): Promise<string> {
  const authenticator = createAuthenticator([
    {
      issuer: bed.provider.issuer,
      audience: 'podgate-gateway',
      usernameClaim: 'preferred_username',
      caFile,
    },
  ])
  try {
    return (await authenticator.authenticate(`Bearer ${idToken}`)).username
  } catch (error) {
    return GatewayError.is(error) ? `${error.reason} ${error.id}` : 'another error'
  } finally {
    authenticator.close()
  }
}

describe('new keys', () => {
  it.each([
    ['beside the old ones: what was signed before is good', true, 'ana'],
    ['in place of the old ones: what was signed before is refused', false, 'Unauthorized 1404'],
  ])('%s', async (_name, keepOld, verdict) => {
    const old = await (await signIn('ana')).redeem()
    await bed.provider.rotateKeys({ keepOld })
    const renewed = await refresh(gateway, old.refreshToken)
    expect(decodeProtectedHeader(renewed.idToken).kid).not.toBe(
      decodeProtectedHeader(old.idToken).kid,
    )
    expect(await judge(renewed.idToken)).toBe('ana')
    expect(await judge(old.idToken)).toBe(verdict)
  })

  it('leave a session and a sign-in that is under way as they are', async () => {
    const browser = bed.browser()
    const { redeem } = await signIn('ana', browser)
    await bed.provider.rotateKeys({ keepOld: false })
    expect(await judge((await redeem()).idToken)).toBe('ana')
    const { visit } = await signIn('ana', browser)
    expect(visit.headings).not.toContain('Sign in')
  })
})

describe('a disabled person', () => {
  afterEach(() => bed.provider.enable('bo'))

  it('cannot sign in, and nobody who does not know the password learns of it', async () => {
    bed.provider.disable('bo')
    const { visit } = await signIn('bo')
    expect(visit).toMatchObject({
      status: 401,
      text: expect.stringContaining('account is disabled'),
    })
    const guess = await attempt(gateway, bed.browser(), { name: 'bo', password: 'wrong' })
    expect(guess.visit.text).toContain('do not belong together')
    bed.provider.enable('bo')
    expect(await judge((await (await signIn('bo')).redeem()).idToken)).toBe('bo')
  })

  it('gets nothing for a refresh token, and can use it again when enabled', async () => {
    const { refreshToken } = await (await signIn('bo')).redeem()
    bed.provider.disable('bo')
    await expect(refresh(gateway, refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' })
    bed.provider.enable('bo')
    expect(await judge((await refresh(gateway, refreshToken)).idToken)).toBe('bo')
  })

  it('gets nothing for a code that was given before', async () => {
    const { redeem } = await signIn('bo')
    bed.provider.disable('bo')
    await expect(redeem()).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it('cannot go on with a session', async () => {
    const browser = bed.browser()
    await signIn('bo', browser)
    bed.provider.disable('bo')
    const { visit } = await signIn('bo', browser)
    expect(visit).toMatchObject({ status: 401, headings: ['Sign in', 'Sign in'] })
    const quiet = await signIn('bo', browser, { prompt: 'none' })
    expect(quiet.visit.url.searchParams.get('error')).toBe('login_required')
  })
})

describe('a sign-out everywhere', () => {
  it('ends the sessions of all browsers of one person', async () => {
    const [desk, phone, other] = [bed.browser(), bed.browser(), bed.browser()]
    await Promise.all([signIn('cy', desk), signIn('cy', phone), signIn('dpo', other)])
    await bed.provider.signOutEverywhere('cy')
    for (const browser of [desk, phone]) {
      const { visit } = await signIn('cy', browser)
      expect(visit.headings).toContain('Sign in')
    }
    const { visit } = await signIn('dpo', other)
    expect(visit.headings).not.toContain('Sign in')
    await bed.provider.signOutEverywhere('cy')
    await bed.provider.signOutEverywhere('dpo')
  })

  it('tells the gateway about each session, with a logout token of its own', async () => {
    const tokens = await Promise.all(
      [1, 2].map(async () => (await signIn('cy', bed.browser())).redeem()),
    )
    await bed.provider.signOutEverywhere('cy')
    const keys = createRemoteJWKSet(new URL('/jwks', bed.provider.issuer), {
      [customFetch]: (url, { headers }) =>
        bed.fetch(url, { method: 'GET', headers: Object.fromEntries(headers) }),
    })
    const told = await Promise.all(
      bed.backchannel.tokens.map((token) =>
        jwtVerify(token, keys, {
          issuer: bed.provider.issuer,
          audience: 'podgate-gateway',
          typ: 'logout+jwt',
        }),
      ),
    )
    // OpenID Connect Back-Channel Logout 1.0, 2.4
    for (const { payload } of told) {
      expect(payload).toMatchObject({
        sub: 'cy',
        jti: expect.stringMatching(/./),
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      })
      expect(payload).not.toHaveProperty('nonce')
    }
    const sids = tokens.map(({ idToken }) => decodeJwt(idToken)['sid'])
    expect(new Set(told.map(({ payload }) => payload['sid']))).toEqual(new Set(sids))
    expect(new Set(told.map(({ payload }) => payload.jti)).size).toBe(2)
  })

  it('ends the sessions also where the gateway does not take it, and says so', async () => {
    const browser = bed.browser()
    await signIn('cy', browser)
    bed.backchannel.status = 503
    await expect(bed.provider.signOutEverywhere('cy')).rejects.toThrow(
      /sessions of cy ended: podgate-gateway: .*503/,
    )
    const { visit } = await signIn('cy', browser)
    expect(visit.headings).toContain('Sign in')
    bed.backchannel.status = 200
    await bed.provider.signOutEverywhere('cy')
  })

  it('tells nobody about a person without a session', async () => {
    await bed.provider.signOutEverywhere('bo')
    bed.backchannel.tokens.length = 0
    await bed.provider.signOutEverywhere('bo')
    expect(bed.backchannel.tokens).toEqual([])
  })

  it('leaves refresh tokens that are meant to outlive a session', async () => {
    const { refreshToken } = await (await signIn('cy')).redeem()
    await bed.provider.signOutEverywhere('cy')
    expect(await judge((await refresh(gateway, refreshToken)).idToken)).toBe('cy')
  })
})

describe('an outage', () => {
  it('ends, and everything is as before: sessions, tokens, keys and the address', async () => {
    const browser = bed.browser()
    const tokens = await (await signIn('ana', browser)).redeem()
    await bed.provider.stop()
    await expect(refresh(gateway, tokens.refreshToken)).rejects.toThrow()
    expect(await judge(tokens.idToken)).toMatch(/^ServiceUnavailable/)
    await bed.provider.start()
    await bed.provider.start()
    expect(await judge(tokens.idToken)).toBe('ana')
    expect(await judge((await refresh(gateway, tokens.refreshToken)).idToken)).toBe('ana')
    const { visit } = await signIn('ana', browser)
    expect(visit.headings).not.toContain('Sign in')
  })
})
