import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { DeviceAuthorizationResponse, TokenEndpointResponse } from 'openid-client'

import type { GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { Browser, fieldOf, type Page } from './browser.ts'
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

function begin(): Promise<DeviceAuthorizationResponse> {
  return oauth.client.initiateDeviceAuthorization(oauth.config, {})
}

/** One question of the command that waits. */
async function ask(deviceCode: string): Promise<TokenEndpointResponse | string> {
  const { client, config } = oauth
  try {
    return await client.genericGrantRequest(
      config,
      'urn:ietf:params:oauth:grant-type:device_code',
      { device_code: deviceCode },
    )
  } catch (error) {
    return (error as { error?: string }).error ?? String(error)
  }
}

/** As ana, up to the question whether the command is hers. */
async function upToQuestion(userCode: string): Promise<Page> {
  const page = await browser.go(`${bed.url}/podgate/sign-in/verify`, { user_code: userCode })
  return await browser.signIn(page, 'ana', bed.passwordOf('ana'))
}

function say(page: Page, answer: string, csrf = fieldOf(page, 'csrf')): Promise<Page> {
  return browser.go(`${bed.url}/podgate/sign-in/confirm`, { csrf, answer })
}

describe('a sign-in of a command without a browser', () => {
  it('waits until the person has said yes, and gives tokens once', async () => {
    const started = await begin()
    const { device_code: deviceCode, user_code: userCode } = started
    expect(userCode).toMatch(/^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/)
    expect(started.verification_uri_complete).toBe(
      `${bed.url}/podgate/sign-in/verify?user_code=${userCode}`,
    )
    expect(await ask(deviceCode)).toBe('authorization_pending')
    const link = await browser.go(started.verification_uri_complete ?? '')
    // A link alone signs nobody in: the code has to be sent by the person.
    expect(link.text).toContain(`value="${userCode}"`)
    const question = await upToQuestion(userCode.toLowerCase().replace('-', ' '))
    expect(question.text).toContain('signed in as <strong>ana</strong>')
    expect(question.text).toContain('podgate-cli/')
    expect(await ask(deviceCode)).toBe('authorization_pending')
    expect((await say(question, 'yes')).text).toContain('You are signed in')
    const tokens = await ask(deviceCode)
    expect(tokens).toMatchObject({ podgate_user: 'ana', refresh_token: expect.any(String) })
    expect(await ask(deviceCode)).toBe('expired_token')
  })

  it('hears that the person has refused', async () => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    expect((await say(await upToQuestion(userCode), 'no')).text).toContain('was refused')
    expect(await ask(deviceCode)).toBe('access_denied')
    expect(await ask(deviceCode)).toBe('expired_token')
  })

  it.each(['maybe', ''])('takes "%s" for a no', async (answer) => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    await say(await upToQuestion(userCode), answer)
    expect(await ask(deviceCode)).toBe('access_denied')
  })

  it('is over after ten minutes', async () => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    bed.ahead.ms = 10 * 60_000
    expect(await ask(deviceCode)).toBe('expired_token')
    const page = await browser.go(`${bed.url}/podgate/sign-in/verify`, { user_code: userCode })
    expect([page.code, page.text]).toEqual([400, expect.stringContaining('not known, or is over')])
  })

  it('keeps what the provider gave from whoever reads the store', async () => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    await say(await upToQuestion(userCode), 'yes')
    const loot = bed.revoking.logins.dump()
    expect(loot).not.toContain(deviceCode)
    expect(loot).not.toContain('upstream":"')
    const tokens = await ask(deviceCode)
    if (typeof tokens === 'string') throw new Error(tokens)
    expect(bed.revoking.logins.dump()).not.toContain(tokens.access_token)
  })
})

describe('a stranger', () => {
  it('cannot say yes for the person: the question belongs to one browser', async () => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    const question = await upToQuestion(userCode)
    const stranger = new Browser(bed.ca)
    const csrf = fieldOf(question, 'csrf')
    const page = await stranger.go(`${bed.url}/podgate/sign-in/confirm`, { csrf, answer: 'yes' })
    expect([page.code, page.text]).toEqual([401, expect.stringContaining('PODGATE-1455')])
    expect(await ask(deviceCode)).toBe('authorization_pending')
  })

  it.each(['', 'x', 'a'.repeat(10_000)])(
    'cannot make the browser say yes without its question',
    async (csrf) => {
      const { device_code: deviceCode, user_code: userCode } = await begin()
      const question = await upToQuestion(userCode)
      expect((await say(question, 'yes', csrf)).code).toBe(401)
      expect(await ask(deviceCode)).toBe('authorization_pending')
    },
  )

  it('cannot have a second answer counted', async () => {
    const { device_code: deviceCode, user_code: userCode } = await begin()
    const one = await upToQuestion(userCode)
    await say(one, 'no')
    expect((await say(one, 'yes')).code).toBe(401)
    expect(await ask(deviceCode)).toBe('access_denied')
  })

  it.each(['ABCD-EFGH', 'BCDF-GHJK', '', '{"$ne":1}', '../../x'])(
    'who tries the code %j learns nothing',
    async (code) => {
      const page = await browser.go(`${bed.url}/podgate/sign-in/verify`, { user_code: code })
      expect([page.code, page.text]).toEqual([400, expect.stringContaining('not known')])
    },
  )

  it('who tries many codes is held up', async () => {
    const codes = Array.from({ length: 160 }, (_, n) => `BCDF-${'BCDFGHJKLM'.charAt(n % 10)}HJK`)
    const answers = new Set<number>()
    for (const user_code of codes) {
      answers.add((await browser.go(`${bed.url}/podgate/sign-in/verify`, { user_code })).code)
    }
    expect(answers).toEqual(new Set([400, 429]))
    // The minute that the message speaks of.
    bed.ahead.ms = 60_000
    await expect(begin()).resolves.toBeDefined()
  })
})
