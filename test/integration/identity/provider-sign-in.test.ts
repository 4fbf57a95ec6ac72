import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { decodeJwt, type JWTPayload } from 'jose'
import {
  ClientSecretBasic,
  type Configuration,
  customFetch,
  discovery,
  initiateDeviceAuthorization,
} from 'openid-client'

import { GATEWAY_CLIENT_ID, MFA } from '../../../lib/sandbox/identity-provider.ts'
import { oneTimeCode } from '../../../lib/sandbox/one-time-code.ts'
import type { PersonName } from '../../../lib/sandbox/people.ts'
import type { FormBrowser } from './form-browser.ts'
import {
  attempt,
  openProviderBed,
  type ProviderBed,
  REDIRECT_URI,
  refresh,
} from './provider-bed.ts'

let bed: ProviderBed
let gateway: Configuration
let browser: FormBrowser

beforeAll(async () => {
  bed = await openProviderBed()
  gateway = await bed.client()
})

afterAll(() => bed.close())

beforeEach(() => {
  browser = bed.browser()
  // A code is good for one use, so every test has its own ones.
  bed.clock.nowMs += 120_000
})

afterEach(() => {
  expect(bed.problems.splice(0)).toEqual([])
})

function answers(name: PersonName): Record<string, string> {
  const { password, codeSecret } = bed.person(name)
  return { name, password, code: oneTimeCode(codeSecret, bed.clock.nowMs) }
}

async function claimsOf(
  name: PersonName,
  parameters: Record<string, string> = {},
): Promise<{ claims: JWTPayload; headings: string[] }> {
  const { visit, redeem } = await attempt(gateway, browser, answers(name), parameters)
  return { claims: decodeJwt((await redeem()).idToken), headings: visit.headings }
}

const CONSENT = 'Let podgate-gateway act for you?'

describe('a sign-in for the gateway', () => {
  it('with a password says so, and when', async () => {
    const { claims, headings } = await claimsOf('ana')
    expect(headings).toEqual(['Sign in', CONSENT])
    expect(claims).toMatchObject({
      aud: 'podgate-gateway',
      preferred_username: 'ana',
      groups: ['dev'],
      amr: ['pwd'],
      sid: expect.stringMatching(/./),
    })
    expect(claims['acr']).toBeUndefined()
    expect(Math.abs(Number(claims['auth_time']) - Date.now() / 1000)).toBeLessThan(30)
  })

  it('with a second factor says so', async () => {
    const { claims } = await claimsOf('ana', { acr_values: `urn:other ${MFA}` })
    expect(claims).toMatchObject({ amr: ['pwd', 'otp'], acr: MFA })
  })

  it('keeps how and when through a renewal', async () => {
    const { redeem } = await attempt(gateway, browser, answers('ana'), { acr_values: MFA })
    const first = await redeem()
    const { auth_time: authTime, sid } = decodeJwt(first.idToken)
    const renewed = await refresh(gateway, first.refreshToken)
    expect(decodeJwt(renewed.idToken)).toMatchObject({
      amr: ['pwd', 'otp'],
      acr: MFA,
      auth_time: authTime,
      sid,
    })
  })

  it('gives no second factor to a session with a password alone', async () => {
    await claimsOf('ana')
    const { claims, headings } = await claimsOf('ana', { acr_values: MFA })
    expect(headings).toContain('Sign in')
    expect(claims['acr']).toBe(MFA)
  })

  it('asks nothing twice of a session with a second factor', async () => {
    await claimsOf('ana', { acr_values: MFA })
    const { claims, headings } = await claimsOf('ana', { acr_values: MFA })
    expect(headings).toEqual([CONSENT])
    expect(claims['acr']).toBe(MFA)
  })

  it('does not pass quietly where a second factor is missing', async () => {
    await claimsOf('ana')
    const { visit } = await attempt(gateway, browser, {}, { acr_values: MFA, prompt: 'none' })
    expect(visit.url.searchParams.get('error')).toBe('login_required')
  })
})

describe('a second factor', () => {
  it.each<[string, () => Record<string, string>]>([
    ['no code', () => ({ ...answers('ana'), code: '' })],
    ['a guessed code', () => ({ ...answers('ana'), code: '000000' })],
    ["another person's code", () => ({ ...answers('ana'), code: answers('bo')['code'] ?? '' })],
    ['the right code and a wrong password', () => ({ ...answers('ana'), password: 'wrong' })],
    [
      'an old code',
      () => ({
        ...answers('ana'),
        code: oneTimeCode(bed.person('ana').codeSecret, bed.clock.nowMs - 90_000),
      }),
    ],
  ])('is not given with %s', async (_name, fields) => {
    const { visit } = await attempt(gateway, browser, fields(), { acr_values: MFA })
    expect(visit.status).toBe(401)
    expect(visit.text).toContain('do not belong together')
  })

  it('is not given with a code that was used', async () => {
    const fields = answers('ana')
    await claimsOf('ana', { acr_values: MFA })
    const thief = bed.browser()
    const { visit } = await attempt(gateway, thief, fields, { acr_values: MFA })
    expect(visit.status).toBe(401)
  })
})

describe('a session at the provider', () => {
  it('lets the same person pass without signing in again', async () => {
    await claimsOf('ana')
    expect((await claimsOf('ana')).headings).toEqual([CONSENT])
  })

  it('does not count where the client wants a new sign-in', async () => {
    await claimsOf('ana')
    const { headings } = await claimsOf('ana', { prompt: 'login consent' })
    expect(headings).toEqual(['Sign in', CONSENT])
  })

  it.each([
    [50, ['Sign in', CONSENT], 0],
    [200, [CONSENT], 100],
  ])('100 s old counts as max_age=%i says', async (maxAge, expected, age) => {
    const { claims } = await claimsOf('ana')
    const at = Number(claims['auth_time'])
    for (const [key, { payload }] of bed.store) {
      if (key.startsWith('Session:')) payload['loginTs'] = at - 100
    }
    const again = await claimsOf('ana', { max_age: String(maxAge) })
    expect(again.headings).toEqual(expected)
    expect(Number(again.claims['auth_time'])).toBeGreaterThanOrEqual(at - age)
    expect(Number(again.claims['auth_time']) >= at).toBe(age === 0)
  })

  it('ends when another person signs in at the same browser, and the gateway hears of it', async () => {
    const { claims } = await claimsOf('ana')
    bed.backchannel.tokens.length = 0
    const other = await claimsOf('bo', { prompt: 'login consent' })
    expect(other.claims['preferred_username']).toBe('bo')
    expect(other.claims['sid']).not.toBe(claims['sid'])
    expect(bed.backchannel.tokens.map((token) => decodeJwt(token))).toMatchObject([
      { sub: 'ana', sid: claims['sid'] },
    ])
  })
})

describe("the gateway's client", () => {
  it.each<[string, Record<string, string>, RegExp]>([
    ['another place to return to', { redirect_uri: `${REDIRECT_URI}/x` }, /redirect_uri/],
    ['the place of the command', { redirect_uri: 'http://127.0.0.1:4/callback' }, /redirect_uri/],
    ['PKCE in the clear', { code_challenge_method: 'plain' }, /code_challenge_method/],
    ['a token without code', { response_type: 'id_token' }, /response_type/],
  ])('cannot ask for %s', async (_name, parameters, reason) => {
    const { visit } = await attempt(gateway, browser, answers('ana'), parameters)
    expect(visit.headings).not.toContain('Sign in')
    expect(decodeURIComponent(visit.url.href.replaceAll('+', ' ')) + visit.text).toMatch(reason)
  })

  it('gets nothing for a code with a wrong secret', async () => {
    const impostor = await discovery(
      new URL(bed.provider.issuer),
      GATEWAY_CLIENT_ID,
      undefined,
      ClientSecretBasic('guessed'),
      { [customFetch]: bed.fetch },
    )
    const { redeem } = await attempt(impostor, browser, answers('ana'))
    await expect(redeem()).rejects.toMatchObject({ status: 401 })
  })

  it('notices a stolen refresh token: the second use ends both', async () => {
    const { redeem } = await attempt(gateway, browser, answers('ana'))
    const first = await redeem()
    const second = await refresh(gateway, first.refreshToken)
    expect(second.refreshToken).not.toBe(first.refreshToken)
    const refused = { error: 'invalid_grant' }
    await expect(refresh(gateway, first.refreshToken)).rejects.toMatchObject(refused)
    await expect(refresh(gateway, second.refreshToken)).rejects.toMatchObject(refused)
  })

  it('cannot use what was given to the command', async () => {
    const command = await bed.client('podgate')
    const { redeem } = await attempt(command, browser, answers('ana'))
    const { refreshToken } = await redeem()
    await expect(refresh(gateway, refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it('signs in no devices', async () => {
    await expect(initiateDeviceAuthorization(gateway, { scope: 'openid' })).rejects.toMatchObject({
      error_description: expect.stringMatching(/not allowed for this client/),
    })
  })
})
