import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { TokenEndpointResponse } from 'openid-client'

import type { GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { authorizeUrl, REDIRECT, STATE, VERIFIER } from './asking-command.ts'
import { Browser, type Page } from './browser.ts'
import { startSignInBed, type SignInBed } from './sign-in-bed.ts'

let bed: SignInBed
let oauth: GatewayOAuth
let browser: Browser

beforeAll(async () => {
  bed = await startSignInBed()
  oauth = await bed.oauth()
})

afterAll(async () => {
  await bed.close()
})

beforeEach(() => {
  browser = new Browser(bed.ca)
})

afterEach(() => {
  bed.ahead.ms = 0
})

/** As ana, up to where the browser goes back to the command line. */
async function arrive(more: Record<string, string> = {}, consent = 'yes'): Promise<URL> {
  const page = await browser.go(await authorizeUrl(oauth, more))
  const { url } = await browser.signIn(page, 'ana', bed.passwordOf('ana'), consent)
  return url
}

function redeem(arrival: URL, verifier = VERIFIER): Promise<TokenEndpointResponse> {
  return oauth.client.authorizationCodeGrant(oauth.config, arrival, {
    pkceCodeVerifier: verifier,
    expectedState: STATE,
  })
}

async function whois(token: string): Promise<string> {
  const user = await bed.identify({ headers: { authorization: `Bearer ${token}` } })
  return `${user.username} of ${user.groups.join()} by ${user.credential.kind}`
}

function oauthError(pattern: RegExp): object {
  return expect.objectContaining({ error_description: expect.stringMatching(pattern) })
}

describe('a sign-in with a browser', () => {
  it('gives tokens to the command line that began it', async () => {
    const arrival = await arrive()
    expect(arrival.origin + arrival.pathname).toBe('http://127.0.0.1:1/callback')
    expect(arrival.searchParams.get('iss')).toBe(`${bed.url}/podgate/sign-in`)
    const tokens = await redeem(arrival)
    expect(tokens).toMatchObject({ token_type: 'bearer', podgate_user: 'ana' })
    expect([3599, 3600]).toContain(tokens.expires_in)
    expect(await whois(tokens.access_token)).toBe('ana of dev by GatewayToken')
    expect(bed.log).toContain('ana by corp')
  })

  it('is renewed, and ended, at the gateway', async () => {
    const { access_token: first, refresh_token: refresh = '' } = await redeem(await arrive())
    const { client, config } = oauth
    const next = await client.refreshTokenGrant(config, refresh)
    expect(await whois(next.access_token)).toBe('ana of dev by GatewayToken')
    await client.tokenRevocation(config, next.refresh_token ?? '')
    for (const token of [first, next.access_token]) await expect(whois(token)).rejects.toBeDefined()
    await expect(client.refreshTokenGrant(config, next.refresh_token ?? '')).rejects.toEqual(
      oauthError(/your sign-in has ended: signed out.*PODGATE-1453/),
    )
  })

  it('asks the provider for a new sign-in where a fresh one is wanted, and knows when it was', async () => {
    await arrive()
    // The same browser: the provider knows it, and asks all the same.
    const page = await browser.go(await authorizeUrl(oauth, { prompt: 'login', max_age: '0' }))
    expect(page.text).toContain('name="password"')
    const back = await browser.signIn(page, 'ana', bed.passwordOf('ana'))
    const { access_token: token } = await redeem(back.url)
    const { signIn } = await bed.logins.verify(token)
    expect(Math.abs((signIn.at ?? 0) - Date.now())).toBeLessThan(30_000)
  })

  it('that the person does not allow tells the command line so', async () => {
    const { searchParams } = await arrive({}, 'no')
    expect(Object.fromEntries(searchParams)).toMatchObject({
      error: 'access_denied',
      error_description: expect.stringContaining('refused or cancelled [PODGATE-1417]'),
      state: STATE,
    })
  })

  it('of somebody who was revoked gives nothing, in words', async () => {
    const target = { kind: 'User', username: 'ana' } as const
    const rule = await bed.revoking.revoker.revoke({
      target,
      block: true,
      by: 'bo',
      reason: 'gone',
    })
    try {
      const { searchParams } = await arrive()
      expect(searchParams.get('code')).toBeNull()
      expect(searchParams.get('error_description')).toMatch(/revoked by bo.*"gone".*PODGATE-1450/)
    } finally {
      await bed.revoking.revoker.lift(rule._id)
    }
  })

  it('that was revoked between code and token gives nothing', async () => {
    const arrival = await arrive()
    const target = { kind: 'User', username: 'ana' } as const
    const rule = await bed.revoking.revoker.revoke({ target, block: true, by: 'bo', reason: '' })
    try {
      await expect(redeem(arrival)).rejects.toEqual(oauthError(/PODGATE-1450/))
    } finally {
      await bed.revoking.revoker.lift(rule._id)
    }
  })
})

describe('a code', () => {
  it('is good once', async () => {
    const arrival = await arrive()
    await redeem(arrival)
    await expect(redeem(arrival)).rejects.toEqual(oauthError(/PODGATE-1457/))
  })

  it('is lost with a wrong verifier: who has stolen it cannot try again', async () => {
    const arrival = await arrive()
    await expect(redeem(arrival, 'w'.repeat(43))).rejects.toEqual(oauthError(/PODGATE-1457/))
    await expect(redeem(arrival)).rejects.toEqual(oauthError(/PODGATE-1457/))
  })

  it('is for the address it was sent to', async () => {
    const arrival = await arrive()
    const other = new URL(arrival)
    other.port = '2'
    await expect(redeem(other)).rejects.toEqual(oauthError(/PODGATE-1457/))
  })

  it('is over after a minute', async () => {
    const arrival = await arrive()
    bed.ahead.ms = 60_001
    await expect(redeem(arrival)).rejects.toEqual(oauthError(/PODGATE-1457/))
  })
})

describe('a browser that comes back from the provider', () => {
  it('has to be the one that began: another one cannot finish it (login CSRF)', async () => {
    browser.stopAt = /sign-in\/callback/
    const callback = await arrive()
    expect(callback.searchParams.get('code')).toBeTruthy()
    const stranger = new Browser(bed.ca)
    const page = await stranger.go(callback)
    expect([page.code, page.text]).toEqual([401, expect.stringContaining('PODGATE-1455')])
    browser.stopAt = undefined
    const own = await browser.go(callback)
    expect(own.url.href).toContain(REDIRECT)
  })

  it.each([
    ['without a state', ''],
    ['with an empty one', '?state='],
    ['with two', '?state=a&state=b'],
    ['with one of 10,000 characters', `?state=${'a'.repeat(10_000)}`],
    ['with an operator for one', '?state[$ne]=x'],
  ])('is refused %s', async (_name, query) => {
    const page = await browser.go(`${bed.url}/podgate/sign-in/callback${query}`)
    expect([page.code, page.text]).toEqual([401, expect.stringContaining('PODGATE-1455')])
  })

  it('is refused after ten minutes', async () => {
    const page = await browser.go(await authorizeUrl(oauth))
    bed.ahead.ms = 10 * 60_000 + 1
    const late = await browser.signIn(page, 'ana', bed.passwordOf('ana'))
    expect([late.code, late.text]).toEqual([401, expect.stringContaining('PODGATE-1455')])
  })

  it('takes its cookie with it, so that going back does not sign in again', async () => {
    await arrive()
    expect(browser.cookies(bed.url)).toEqual([])
  })
})

describe('a request to begin', () => {
  it.each<[string, Record<string, string>]>([
    ['an address elsewhere', { redirect_uri: 'https://evil.test/callback' }],
    [
      'localhost by name, which a resolver may send elsewhere',
      { redirect_uri: 'http://localhost:1/' },
    ],
    ['a host that begins like the loopback', { redirect_uri: 'http://127.0.0.1.evil.test:1/' }],
    ['the loopback as a user name', { redirect_uri: 'http://127.0.0.1:1@evil.test/' }],
    ['another way to write it', { redirect_uri: 'javascript:alert(1)' }],
    ['an address that is too long', { redirect_uri: `http://127.0.0.1:1/${'x'.repeat(300)}` }],
    ['the loopback without a port', { redirect_uri: 'http://127.0.0.1/' }],
    ['a query of its own', { redirect_uri: 'http://127.0.0.1:1/?code=x' }],
    ['no challenge', { code_challenge: '' }],
    ['a plain challenge', { code_challenge_method: 'plain' }],
    ['a short state', { state: 'short' }],
    ['a state with a line break', { state: 'a\nb-a-state-long-enough' }],
    ['another client', { client_id: 'evil' }],
    ['tokens in the address', { response_type: 'token' }],
    ['a provider that there is not', { provider: '<script>alert(1)</script>' }],
    ['an acr with a line break', { acr_values: 'a\u0001b' }],
  ])('with %s is refused on a page, and goes nowhere', async (_name, more) => {
    const page = await browser.go(await authorizeUrl(oauth, more))
    expect(page.url.origin).toBe(bed.url)
    expect([page.code, page.text]).toEqual([400, expect.stringContaining('PODGATE-1456')])
    expect(page.text).not.toContain('<script>alert')
    expect(browser.cookies(bed.url)).toEqual([])
  })

  it('is answered by a page that no other page can frame, and that runs no script', async () => {
    const page = await browser.go(`${bed.url}/podgate/sign-in/verify`)
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('script-src')
    expect(page.headers.get('cache-control')).toBe('no-store')
  })

  it('says on a page that the provider is away, and works again when it is back', async () => {
    const other = await startSignInBed()
    try {
      await other.provider.stop()
      const visitor = new Browser(other.ca)
      const url = (await authorizeUrl(oauth)).href.replace(bed.url, other.url)
      const page: Page = await visitor.go(url)
      expect([page.code, page.text]).toEqual([503, expect.stringContaining('PODGATE-1420')])
      await other.provider.start()
      expect((await visitor.go(url)).text).toContain('name="password"')
    } finally {
      await other.close()
    }
  })
})
