import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose'
import {
  type Configuration,
  type DeviceAuthorizationResponse,
  initiateDeviceAuthorization,
  pollDeviceAuthorizationGrant,
  type TokenEndpointResponse,
} from 'openid-client'

import { CLIENT_ID, SCOPES } from '../../../lib/sandbox/identity-provider.ts'
import { openProviderBed, type ProviderBed } from './provider-bed.ts'

let bed: ProviderBed
let command: Configuration

beforeAll(async () => {
  bed = await openProviderBed()
  command = await bed.client(CLIENT_ID)
})

afterAll(() => bed.close())

afterEach(() => {
  expect(bed.problems.splice(0)).toEqual([])
})

function begin(): Promise<DeviceAuthorizationResponse> {
  return initiateDeviceAuthorization(command, { scope: SCOPES })
}

/** What the terminal gets when it asks; it waits no longer than one question. */
function ask(started: DeviceAuthorizationResponse): Promise<TokenEndpointResponse> {
  return pollDeviceAuthorizationGrant(command, { ...started, interval: 0 }, undefined, {
    signal: AbortSignal.timeout(5_000),
  })
}

function ana(): Record<string, string> {
  return { name: 'ana', password: bed.person('ana').password, consent: 'yes' }
}

describe('a terminal without a browser', () => {
  it('is signed in by the link it shows', async () => {
    const started = await begin()
    expect(started.user_code).toMatch(/^[A-Z]{4}-[A-Z]{4}$/)
    const visit = await bed.browser().visit(started.verification_uri_complete ?? '', ana())
    expect(visit.headings).toEqual([
      'Is this your terminal?',
      'Sign in',
      'Let podgate act for you?',
      'Your terminal is signed in',
    ])
    const tokens = await ask(started)
    expect(decodeJwt(tokens.id_token ?? '')).toMatchObject({
      aud: 'podgate',
      preferred_username: 'ana',
      groups: ['dev'],
      amr: ['pwd'],
    })
    expect(tokens.refresh_token).toMatch(/./)
    await expect(ask(started)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it.each([
    ['as it is shown', (code: string) => code],
    ['in small letters without the dash', (code: string) => code.toLowerCase().replace('-', '')],
  ])('is signed in by its code, typed %s', async (_name, type) => {
    const started = await begin()
    const fields = { ...ana(), user_code: type(started.user_code) }
    const visit = await bed.browser().visit(started.verification_uri, fields)
    expect(visit.headings.at(0)).toBe('Sign in a terminal')
    expect(visit.headings.at(-1)).toBe('Your terminal is signed in')
  })

  it('shows the code to compare before anybody signs in', async () => {
    const started = await begin()
    const browser = bed.browser()
    const visit = await browser.visit(started.verification_uri, {
      user_code: started.user_code,
      abort: 'yes',
    })
    expect(visit.headings).toEqual([
      'Sign in a terminal',
      'Is this your terminal?',
      'The sign-in was refused',
    ])
    await expect(ask(started)).rejects.toMatchObject({ error: 'access_denied' })
  })

  it('gets nothing when the person refuses', async () => {
    const started = await begin()
    const fields = { ...ana(), consent: 'no' }
    await bed.browser().visit(started.verification_uri_complete ?? '', fields)
    await expect(ask(started)).rejects.toMatchObject({ error: 'access_denied' })
  })

  it('gets nothing while nobody has signed in', async () => {
    const started = await begin()
    const fields = { ...ana(), password: 'wrong' }
    const visit = await bed.browser().visit(started.verification_uri_complete ?? '', fields)
    expect(visit.status).toBe(401)
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: started.device_code,
      client_id: CLIENT_ID,
    })
    const answer = await bed.fetch(command.serverMetadata().token_endpoint ?? '', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    })
    expect(await answer.json()).toMatchObject({ error: 'authorization_pending' })
  })

  it('has a page that says when a code is wrong', async () => {
    const { verification_uri: uri } = await begin()
    const visit = await bed.browser().visit(uri, { user_code: '<b>QQQQ' })
    expect(visit.text).toContain('No terminal waits with this code')
    expect(visit.text).not.toContain('<b>QQQQ')
  })

  it('cannot be signed in twice with one code', async () => {
    const started = await begin()
    await bed.browser().visit(started.verification_uri_complete ?? '', ana())
    const visit = await bed.browser().visit(started.verification_uri_complete ?? '', ana())
    expect(visit.text).toContain('was used already')
  })
})

describe('every page of the provider', () => {
  it.each(['/device', '/auth', '/sign-in/none', '/nowhere'])(
    'at %s runs no script that is not its own',
    async (path) => {
      const answer = await bed.fetch(bed.provider.issuer + path, {
        method: 'GET',
        headers: { accept: 'text/html' },
      })
      const policy = answer.headers.get('content-security-policy') ?? ''
      expect(policy).toMatch(
        /default-src 'none'; style-src 'sha256-[^']+'; script-src; frame-ancestors 'none'/,
      )
      expect(await answer.text()).not.toContain('<script')
      bed.problems.length = 0
    },
  )
})
