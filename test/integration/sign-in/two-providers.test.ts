/** Two providers by two libraries, and a real browser between them and the command line. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Page } from 'puppeteer-core'

import { openLoopback } from '../../../lib/cli/sign-in/loopback.ts'
import type { GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { openBrowser, type TestBrowser } from '../../e2e/support/browser.ts'
import {
  SECOND_CLIENT_ID,
  SECOND_SCOPES,
  startSecondProvider,
  type SecondProvider,
} from '../../e2e/support/second-provider.ts'
import { startSignInBed, type SignInBed } from './sign-in-bed.ts'

const MINUTE = 60_000

let folder: string
let bed: SignInBed
let second: SecondProvider
let browser: TestBrowser
let oauth: GatewayOAuth

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-two-providers-'))
  bed = await startSignInBed(async ({ authority, redirectUri, caFile, clientSecret }) => {
    const stateDir = join(folder, 'second')
    second = await startSecondProvider({ stateDir, authority, redirectUri, clientSecret })
    return {
      name: 'other',
      clientId: SECOND_CLIENT_ID,
      scopes: SECOND_SCOPES.split(' '),
      issuer: {
        issuer: second.issuer,
        audience: SECOND_CLIENT_ID,
        usernameClaim: 'preferred_username',
        usernamePrefix: 'other:',
        caFile,
      },
    }
  })
  browser = await openBrowser({ authority: bed.ca })
  oauth = await bed.oauth()
}, 300_000)

afterAll(async () => {
  await browser.close()
  await bed.close()
  await second.close()
  await rm(folder, { recursive: true, force: true })
})

/** By what the page calls things, as somebody with a screen reader does. */
async function fillIn(page: Page, label: string, text: string): Promise<void> {
  await page.locator(`::-p-aria([name="${label}"][role="textbox"])`).fill(text)
}

async function press(page: Page, name: string, role = 'button'): Promise<void> {
  await Promise.all([
    page.waitForNavigation(),
    page.locator(`::-p-aria([name="${name}"][role="${role}"])`).click(),
  ])
}

/** The browser as `kubectl podgate login` opens it, up to its tokens. */
async function login(
  drive: (page: Page) => Promise<void>,
): Promise<{ token: string; refresh: string }> {
  const { client, config } = oauth
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const loopback = await openLoopback(state)
  try {
    const page = await browser.page()
    const start = client.buildAuthorizationUrl(config, {
      redirect_uri: loopback.redirectUri,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    })
    await page.goto(start.href)
    await drive(page)
    const arrival = await loopback.arrival(AbortSignal.timeout(20_000))
    await page.waitForFunction('document.body.innerText.includes("Go back to your terminal")')
    const tokens = await client.authorizationCodeGrant(config, arrival, {
      pkceCodeVerifier: verifier,
      expectedState: state,
    })
    await page.close()
    return { token: tokens.access_token, refresh: tokens.refresh_token ?? '' }
  } finally {
    loopback.close()
  }
}

/** What people do at a provider, and what happens to it. */
interface Provider {
  username: string
  issuer(): string
  /** As ana, from the page where one chooses. */
  signIn(page: Page): Promise<void>
  rotateKeys(): Promise<void>
  /** ana is out there. */
  shutOut(): Promise<void>
  letIn(): void
  stop(): Promise<void>
  start(): Promise<void>
}

const PROVIDERS: Readonly<Record<string, Provider>> = {
  "the sandbox's": {
    username: 'ana',
    issuer: () => bed.provider.issuer,
    async signIn(page) {
      await press(page, 'corp', 'link')
      await fillIn(page, 'Name', 'ana')
      await fillIn(page, 'Password', bed.passwordOf('ana'))
      await press(page, 'Sign in')
      await press(page, 'Allow')
    },
    rotateKeys: () => bed.provider.rotateKeys({ keepOld: false }),
    shutOut: async () => bed.provider.disable('ana'),
    letIn: () => bed.provider.enable('ana'),
    stop: () => bed.provider.stop(),
    start: () => bed.provider.start(),
  },
  'one by another library': {
    username: 'other:ana',
    issuer: () => second.issuer,
    async signIn(page) {
      await press(page, 'other', 'link')
      const fields = await page.$$('input:not([type=hidden])')
      await fields[0]?.type(second.ana.name)
      await fields[1]?.type(second.ana.password)
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')])
    },
    rotateKeys: () => second.rotateKeys({ keepOld: false }),
    shutOut: () => second.endSignIns(),
    letIn: () => undefined,
    stop: () => second.stop(),
    start: () => second.start(),
  },
}

describe.each(Object.entries(PROVIDERS))('with %s provider', (_name, provider) => {
  const { username } = provider

  it('a person signs in with a browser', async () => {
    const { token } = await login(provider.signIn)
    await expect(bed.logins.verify(token)).resolves.toMatchObject({
      username,
      issuer: provider.issuer(),
      groups: expect.arrayContaining(['dev']),
    })
  })

  it('a command without a browser is let in from the page, by its code', async () => {
    const { client, config } = oauth
    const started = await client.initiateDeviceAuthorization(config, {})
    const page = await browser.page()
    await page.goto(started.verification_uri_complete ?? '')
    await press(page, 'Continue')
    await provider.signIn(page)
    expect(await page.$eval('main', (main) => main.textContent)).toContain(started.user_code)
    await press(page, 'Yes, it is mine')
    expect(await page.title()).toBe('Done - Podgate')
    const tokens = await client.pollDeviceAuthorizationGrant(config, started)
    await expect(bed.logins.verify(tokens.access_token)).resolves.toMatchObject({ username })
    await page.close()
  })

  it('a sign-in is renewed', async () => {
    const { token, refresh } = await login(provider.signIn)
    bed.ahead.ms += 6 * MINUTE
    const next = await oauth.client.refreshTokenGrant(oauth.config, refresh)
    expect(next.access_token).not.toBe(token)
    await expect(bed.logins.verify(next.access_token)).resolves.toMatchObject({ username })
  })

  it('a sign-in outlives the withdrawal of the keys it was made with, and new ones are made', async () => {
    const { token } = await login(provider.signIn)
    await provider.rotateKeys()
    bed.ahead.ms += 6 * MINUTE
    await expect(bed.logins.verify(token)).resolves.toMatchObject({ username })
    const again = await login(provider.signIn)
    await expect(bed.logins.verify(again.token)).resolves.toMatchObject({ username })
  })

  it('whom the provider shuts out is out here after five minutes, and cannot renew', async () => {
    const { token, refresh } = await login(provider.signIn)
    await expect(bed.logins.verify(token)).resolves.toBeDefined()
    await provider.shutOut()
    try {
      bed.ahead.ms += 5 * MINUTE
      await expect(bed.logins.verify(token)).rejects.toMatchObject({ id: 1453 })
      await expect(oauth.client.refreshTokenGrant(oauth.config, refresh)).rejects.toMatchObject({
        error: 'invalid_grant',
      })
    } finally {
      provider.letIn()
    }
  })

  it('whom an admin revokes is out at once, cannot renew, and cannot sign in again', async () => {
    const { token, refresh } = await login(provider.signIn)
    const identify = () => bed.identify({ headers: { authorization: `Bearer ${token}` } })
    await expect(identify()).resolves.toMatchObject({ username })
    const target = { kind: 'User', username } as const
    const rule = await bed.revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'x' })
    try {
      await expect(identify()).rejects.toMatchObject({ id: 1450 })
      await expect(oauth.client.refreshTokenGrant(oauth.config, refresh)).rejects.toMatchObject({
        error: 'invalid_grant',
      })
      await expect(refusalAt(provider)).resolves.toContain('your access was revoked by bo')
    } finally {
      await bed.revoking.revoker.lift(rule._id)
    }
  })

  it('nobody who is signed in is kept out while it is away, and it is asked when it is back', async () => {
    const { token } = await login(provider.signIn)
    const sinceAsked = async (): Promise<number> => {
      const { credential } = await bed.logins.verify(token)
      const stored = await bed.revoking.logins.getLogin(credential.login ?? '')
      return Date.now() + bed.ahead.ms - (stored?.checkedAt.getTime() ?? 0)
    }
    await provider.stop()
    try {
      bed.ahead.ms += 6 * MINUTE
      expect(await sinceAsked()).toBeGreaterThanOrEqual(6 * MINUTE)
    } finally {
      await provider.start()
    }
    bed.ahead.ms += MINUTE
    expect(await sinceAsked()).toBeLessThan(MINUTE)
    const again = await login(provider.signIn)
    await expect(bed.logins.verify(again.token)).resolves.toMatchObject({ username })
  })
})

/** What the page says to ana, who is refused after she has signed in there. */
async function refusalAt(provider: Provider): Promise<string> {
  const { client, config } = oauth
  const started = await client.initiateDeviceAuthorization(config, {})
  const page = await browser.page()
  await page.goto(started.verification_uri_complete ?? '')
  await press(page, 'Continue')
  await provider.signIn(page)
  const said = await page.$eval('main', (main) => main.textContent)
  await page.close()
  return said ?? ''
}
