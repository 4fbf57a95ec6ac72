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

const atSecond = async (page: Page): Promise<void> => {
  await press(page, 'other', 'link')
  const { name, password } = second.ana
  const fields = await page.$$('input:not([type=hidden])')
  await fields[0]?.type(name)
  await fields[1]?.type(password)
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')])
}

const atFirst = async (page: Page): Promise<void> => {
  await press(page, 'corp', 'link')
  await fillIn(page, 'Name', 'ana')
  await fillIn(page, 'Password', bed.passwordOf('ana'))
  await press(page, 'Sign in')
  await press(page, 'Allow')
}

describe('with a browser and a choice of providers', () => {
  it('ana of the one and ana of the other are two people', async () => {
    const [one, two] = [await login(atFirst), await login(atSecond)]
    const first = await bed.logins.verify(one.token)
    const other = await bed.logins.verify(two.token)
    expect(first).toMatchObject({ username: 'ana', issuer: bed.provider.issuer })
    expect(other).toMatchObject({
      username: `other:${second.ana.name}`,
      issuer: second.issuer,
      groups: [...second.ana.groups],
    })
  })

  it('a sign-in at the second is renewed, asked about, and survives a change of its keys', async () => {
    const { refresh } = await login(atSecond)
    bed.ahead.ms += 6 * MINUTE
    const { client, config } = oauth
    const next = await client.refreshTokenGrant(config, refresh)
    await second.rotateKeys({ keepOld: false })
    bed.ahead.ms += 6 * MINUTE
    await expect(bed.logins.verify(next.access_token)).resolves.toMatchObject({
      username: `other:${second.ana.name}`,
    })
    // And with the new key somebody new comes in.
    const again = await login(atSecond)
    await expect(bed.logins.verify(again.token)).resolves.toBeDefined()
  })

  it('a command without a browser is let in from the page, by its code', async () => {
    const { client, config } = oauth
    const started = await client.initiateDeviceAuthorization(config, {})
    const page = await browser.page()
    await page.goto(started.verification_uri_complete ?? '')
    await press(page, 'Continue')
    await atFirst(page)
    expect(await page.$eval('main', (main) => main.textContent)).toContain(started.user_code)
    await press(page, 'Yes, it is mine')
    expect(await page.title()).toBe('Done - Podgate')
    const tokens = await client.pollDeviceAuthorizationGrant(config, started)
    await expect(bed.logins.verify(tokens.access_token)).resolves.toMatchObject({ username: 'ana' })
    await page.close()
  })
})
