import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose'
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  type Configuration,
  customFetch,
  discovery,
  initiateDeviceAuthorization,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'
import type { Page } from 'puppeteer-core'

import { createAuthority } from '../../../lib/cluster/pki.ts'
import { CLIENT_ID, MFA, SCOPES } from '../../../lib/sandbox/identity-provider.ts'
import { oneTimeCode } from '../../../lib/sandbox/one-time-code.ts'
import { openBrowser, type TestBrowser } from '../../e2e/support/browser.ts'
import {
  SECOND_CLIENT_ID,
  SECOND_SCOPES,
  type SecondProvider,
  startSecondProvider,
} from '../../e2e/support/second-provider.ts'
import { openProviderBed, type ProviderBed } from './provider-bed.ts'

let folder: string
let bed: ProviderBed
let second: SecondProvider
let browser: TestBrowser
let callback: { url: string; server: Server }
/** What a browser says about pages that are not in order. */
const complaints: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-browser-test-'))
  callback = await startCallback()
  bed = await openProviderBed()
  second = await startSecondProvider({
    stateDir: join(folder, 'second'),
    authority: bed.authority,
    redirectUri: callback.url,
    clientSecret: 'a secret of the test',
  })
  browser = await openBrowser({ authority: bed.authority.certificate })
}, 300_000)

afterAll(async () => {
  await browser.close()
  await second.close()
  await bed.close()
  callback.server.closeAllConnections()
  callback.server.close()
  await rm(folder, { recursive: true })
})

afterEach(() => {
  expect(complaints.splice(0)).toEqual([])
})

/** Where a command listens for the browser to come back (RFC 8252 7.3). */
async function startCallback(): Promise<{ url: string; server: Server }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Signed in</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`, server }
}

async function openPage(): Promise<Page> {
  const page = await browser.page()
  page.on('console', (message) => {
    const isRefusedPassword = message.text().includes('status of 401')
    if (message.type() === 'error' && !isRefusedPassword) complaints.push(message.text())
  })
  return page
}

/** By what the page calls things, as somebody with a screen reader does. */
async function fillIn(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, text] of Object.entries(fields)) {
    await page.locator(`::-p-aria([name="${label}"][role="textbox"])`).fill(text)
  }
}

async function press(page: Page, button: string): Promise<void> {
  await Promise.all([
    page.waitForNavigation(),
    page.locator(`::-p-aria([name="${button}"][role="button"])`).click(),
  ])
}

interface Begun {
  start: URL
  redeem(end: URL): Promise<Record<string, unknown>>
}

async function begin(
  config: Configuration,
  parameters: Readonly<Record<string, string>>,
): Promise<Begun> {
  const verifier = randomPKCECodeVerifier()
  const state = randomState()
  const start = buildAuthorizationUrl(config, {
    redirect_uri: callback.url,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    ...parameters,
  })
  return {
    start,
    redeem: async (end) => {
      const checks = { pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: true }
      return decodeJwt((await authorizationCodeGrant(config, end, checks)).id_token ?? '')
    },
  }
}

describe('in a browser', () => {
  it('ana signs in at the sandbox provider for a command of hers', async () => {
    const { start, redeem } = await begin(await bed.client(CLIENT_ID), {
      scope: SCOPES,
      prompt: 'consent',
    })
    const page = await openPage()
    await page.goto(start.href)
    expect(await page.title()).toBe('Sign in - Podgate sandbox')
    await fillIn(page, { Name: 'ana', Password: 'wrong' })
    await press(page, 'Sign in')
    const alert = await page.waitForSelector('::-p-aria([role="alert"])')
    expect(await alert?.evaluate((element) => element.textContent)).toContain('do not belong')
    await fillIn(page, { Password: bed.person('ana').password })
    await press(page, 'Sign in')
    await press(page, 'Allow')
    const claims = await redeem(new URL(page.url()))
    expect(claims).toMatchObject({ aud: 'podgate', preferred_username: 'ana', amr: ['pwd'] })
  })

  it('ana gives a one-time code where one is asked for', async () => {
    const { start, redeem } = await begin(await bed.client(CLIENT_ID), {
      scope: 'openid',
      acr_values: MFA,
    })
    const { password, codeSecret } = bed.person('ana')
    const page = await openPage()
    await page.goto(start.href)
    const code = oneTimeCode(codeSecret, bed.clock.nowMs)
    await fillIn(page, { Name: 'ana', Password: password, 'One-time code': code })
    await press(page, 'Sign in')
    await press(page, 'Allow')
    expect(await redeem(new URL(page.url()))).toMatchObject({ amr: ['pwd', 'otp'], acr: MFA })
  })

  it('ana signs a terminal in by the link it shows', async () => {
    const command = await bed.client(CLIENT_ID)
    const started = await initiateDeviceAuthorization(command, { scope: SCOPES })
    const page = await openPage()
    await page.goto(started.verification_uri_complete ?? '')
    await page.waitForSelector('output')
    expect(await page.$eval('output', (output) => output.textContent)).toBe(started.user_code)
    await press(page, 'Yes, continue')
    await fillIn(page, { Name: 'ana', Password: bed.person('ana').password })
    await press(page, 'Sign in')
    await press(page, 'Allow')
    expect(await page.$eval('h1', (heading) => heading.textContent)).toBe(
      'Your terminal is signed in',
    )
  })

  it('ana signs in at the second provider for the gateway', async () => {
    const config = await discovery(
      new URL(second.issuer),
      SECOND_CLIENT_ID,
      undefined,
      ClientSecretBasic('a secret of the test'),
      { [customFetch]: bed.fetch },
    )
    const { start, redeem } = await begin(config, { scope: SECOND_SCOPES })
    const page = await openPage()
    await page.goto(start.href)
    await fillIn(page, { Name: 'ana', Password: second.ana.password })
    await press(page, 'Sign in')
    expect(await redeem(new URL(page.url()))).toMatchObject({
      sub: second.ana.subject,
      groups: ['dev', 'team-shop'],
    })
  })
})

describe('the browser of the tests', () => {
  it('keeps pages apart, as those of two people', async () => {
    const [one, other] = [await openPage(), await openPage()]
    await one.goto(`${bed.provider.issuer}/device`)
    await other.goto(`${bed.provider.issuer}/jwks`)
    const cookies = await Promise.all(
      [one, other].map(async (page) => (await page.browserContext().cookies()).length),
    )
    expect(cookies).toEqual([expect.any(Number), 0])
    expect(cookies[0]).toBeGreaterThan(0)
  })

  it.each(['http://198.51.100.7/', 'https://example.com/', 'http://[2001:db8::7]/'])(
    'has no way to %s',
    async (url) => {
      const page = await openPage()
      await expect(page.goto(url)).rejects.toThrow(/ERR_NAME_NOT_RESOLVED/)
    },
  )

  it('checks certificates, and leaves nothing behind', async () => {
    const stranger = await openBrowser({ authority: (await createAuthority('other')).certificate })
    const { home } = stranger
    try {
      const page = await stranger.page()
      await expect(page.goto(bed.provider.issuer)).rejects.toThrow(/ERR_CERT_AUTHORITY_INVALID/)
      expect(processesOf(home)).toBeGreaterThan(0)
    } finally {
      await stranger.close()
    }
    expect({ processes: processesOf(home), home: existsSync(home) }).toEqual({
      processes: 0,
      home: false,
    })
  })
})

function processesOf(home: string): number {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/u.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').includes(home)
      } catch {
        return false
      }
    }).length
}
