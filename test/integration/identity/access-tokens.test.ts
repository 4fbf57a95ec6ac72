/**
 * Access tokens for the gateway, as machines get them by client credentials (RFC 9068): a kind of
 * token of its own, with names of a kind of its own, that cannot be taken for a person's ID token.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { type Authenticator, createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { OidcConfig } from '../../../lib/identity/user.ts'
import { NOW, type Changes, TokenBed } from './token-bed.ts'

const API = 'https://gate.example.com/api'

let bed: TokenBed
const opened: Authenticator[] = []

beforeAll(async () => {
  bed = await TokenBed.start()
})

afterAll(async () => {
  for (const one of opened) one.close()
  await bed.close()
})

function authenticator(changes: Partial<OidcConfig> = {}): Authenticator {
  const { issuer, caFile } = bed.server
  const made = createAuthenticator(
    [
      {
        issuer,
        caFile,
        audience: 'podgate',
        groupsPrefix: 'corp:',
        accessTokens: { audience: API, usernameClaim: 'sub', usernamePrefix: 'client:' },
        ...changes,
      },
    ],
    { now: () => NOW * 1000 },
  )
  opened.push(made)
  return made
}

async function accessToken(claims: Changes = {}, header: Changes = {}): Promise<string> {
  const machine = { sub: 'deployer', aud: API, client_id: 'deployer', groups: ['ci'] }
  const { preferred_username: _person, ...rest } = bed.goodClaims()
  return await bed.signed(JSON.stringify({ ...rest, ...machine, ...claims }), {
    typ: 'at+jwt',
    ...header,
  })
}

async function refusal(made: Authenticator, token: string): Promise<GatewayError> {
  try {
    const user = await made.authenticate(`Bearer ${token}`)
    throw new Error(`let in as ${user.username}`)
  } catch (error) {
    if (GatewayError.is(error)) return error
    throw error
  }
}

describe('an access token for the gateway', () => {
  it('is a machine with a name of its own kind, without groups, which has not signed in', async () => {
    const token = await accessToken({ auth_time: NOW, acr: 'gold', amr: ['mfa'] })
    expect(await authenticator().authenticate(`Bearer ${token}`)).toEqual({
      username: 'client:deployer',
      uid: 'deployer',
      groups: [],
      extra: {},
      issuer: bed.server.issuer,
      signIn: { amr: [] },
      expiresAt: (NOW + 600) * 1000,
      credential: {
        kind: 'AccessToken',
        id: expect.stringMatching(/^t-[\w-]{22}$/),
        issuedAt: (NOW - 10) * 1000,
      },
    })
  })

  it.each<[string, Changes, Changes]>([
    ['of the type JWT, as many providers have it', {}, { typ: 'JWT' }],
    ['of the long type', {}, { typ: 'application/at+jwt' }],
    ['of no type', {}, { typ: undefined }],
    ['for several audiences', { aud: ['x', API] }, {}],
    ['that another client asked for', { azp: 'someone' }, {}],
  ])('is taken: %s', async (_name, claims, header) => {
    const token = await accessToken(claims, header)
    expect(await authenticator().authenticate(`Bearer ${token}`)).toMatchObject({
      username: 'client:deployer',
    })
  })

  it('may be named by another claim and have groups, where that is configured', async () => {
    const accessTokens = {
      audience: API,
      usernameClaim: 'azp',
      usernamePrefix: 'robot/',
      groupsClaim: 'roles',
    }
    const token = await accessToken({ azp: 'ci-runner', roles: ['deploy'] })
    const user = await authenticator({ accessTokens }).authenticate(`Bearer ${token}`)
    expect(user).toMatchObject({ username: 'robot/ci-runner', groups: ['corp:deploy'] })
  })

  it('is taken where ID tokens are not, and an ID token is refused there', async () => {
    const made = authenticator({ acceptIdTokens: false })
    const user = await made.authenticate(`Bearer ${await accessToken()}`)
    expect(user.username).toBe('client:deployer')
    const { id, message } = await refusal(made, await bed.token())
    expect({ id, message }).toMatchObject({
      id: 1403,
      message: expect.stringContaining('podgate login'),
    })
  })
})

describe('an access token is refused', () => {
  it.each<[string, number, Changes, Changes]>([
    ['for another API', 1407, { aud: 'https://other.example' }, {}],
    ['for an audience that only begins like ours', 1407, { aud: `${API}/2` }, {}],
    ['for no audience', 1407, { aud: undefined }, {}],
    ['for both kinds at once, which must be an ID token', 1402, { aud: ['podgate', API] }, {}],
    ['that is over', 1405, { exp: NOW - 61 }, {}],
    ['without an end', 1402, { exp: undefined }, {}],
    ['from the future', 1406, { iat: NOW + 61 }, {}],
    ['without a subject', 1408, { sub: undefined }, {}],
    ['of a subject with a line break', 1408, { sub: 'a\nb' }, {}],
    ['that is an ID token: it has a nonce', 1402, { nonce: 'n' }, {}],
    ['that is an ID token: it has an at_hash', 1402, { at_hash: 'h' }, {}],
    ['that is a logout token', 1402, { events: {} }, {}],
    ['of the type of logout tokens', 1402, {}, { typ: 'logout+jwt' }],
    ['of a type that nobody knows', 1402, {}, { typ: 'dpop+jwt' }],
    ['signed by nobody we know', 1404, {}, { kid: 'nobody' }],
  ])('%s', async (_name, id, claims, header) => {
    expect(await refusal(authenticator(), await accessToken(claims, header))).toMatchObject({
      reason: 'Unauthorized',
      id,
    })
  })

  it('where none are configured, as what it is', async () => {
    const made = authenticator({ accessTokens: undefined })
    expect(await refusal(made, await accessToken())).toMatchObject({ id: 1402 })
    expect(await refusal(made, await accessToken({}, { typ: 'JWT' }))).toMatchObject({ id: 1407 })
  })

  it('with the words that belong to people, whatever its prefix makes of them', async () => {
    const accessTokens = { audience: API, usernameClaim: 'sub', usernamePrefix: 'system:' }
    const made = authenticator({ accessTokens })
    expect(await refusal(made, await accessToken())).toMatchObject({ id: 1408 })
  })
})
