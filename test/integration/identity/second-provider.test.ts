import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { decodeProtectedHeader } from 'jose'
import { ClientSecretBasic, type Configuration, customFetch, discovery } from 'openid-client'

import { createHttpsFetch } from '../../../lib/https/https-fetch.ts'
import { createAuthority, type KeyPair } from '../../../lib/cluster/pki.ts'
import { createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { readToken } from '../../../lib/identity/compact-token.ts'
import { createOidcProvider, SYSTEM_DEPS } from '../../../lib/identity/oidc.ts'
import type { Claims } from '../../../lib/identity/claims.ts'
import { type OidcConfig, withDefaults } from '../../../lib/identity/user.ts'
import {
  SECOND_CLIENT_ID,
  SECOND_SCOPES,
  type SecondProvider,
  startSecondProvider,
} from '../../e2e/support/second-provider.ts'
import { createFormBrowser } from './form-browser.ts'
import { type Attempt, attempt, REDIRECT_URI, refresh } from './provider-bed.ts'

const SECRET = 'a secret of the test'

let folder: string
let caFile: string
let authority: KeyPair
let provider: SecondProvider
let gateway: Configuration

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-second-'))
  caFile = join(folder, 'ca.pem')
  authority = await createAuthority('test authority')
  await writeFile(caFile, authority.certificate)
  provider = await startSecondProvider({
    stateDir: join(folder, 'provider'),
    authority,
    redirectUri: REDIRECT_URI,
    clientSecret: SECRET,
  })
  gateway = await client(SECRET)
}, 300_000)

afterAll(async () => {
  await provider.close()
  await rm(folder, { recursive: true })
})

function client(secret: string): Promise<Configuration> {
  const fetch = createHttpsFetch({ ca: authority.certificate })
  return discovery(
    new URL(provider.issuer),
    SECOND_CLIENT_ID,
    undefined,
    ClientSecretBasic(secret),
    { [customFetch]: fetch },
  )
}

function signIn(
  parameters: Record<string, string> = {},
  fields: Record<string, string> = {},
  config: Configuration = gateway,
): Promise<Attempt> {
  const { name, password } = provider.ana
  return attempt(
    config,
    createFormBrowser(authority.certificate),
    { name, password, ...fields },
    { scope: SECOND_SCOPES, ...parameters },
  )
}

function trusted(): OidcConfig {
  return {
    issuer: provider.issuer,
    audience: SECOND_CLIENT_ID,
    usernameClaim: 'preferred_username',
    caFile,
  }
}

/** As a gateway that has just started. */
async function verify(idToken: string): Promise<Claims> {
  const oidc = createOidcProvider(withDefaults(trusted()), SYSTEM_DEPS)
  try {
    return await oidc.verifySignature(readToken(idToken))
  } finally {
    oidc.close()
  }
}

describe('a provider by another library', () => {
  it('signs ana in with her password', async () => {
    const { visit, redeem } = await signIn()
    expect(visit.headings).toEqual(['Sign in'])
    const { idToken } = await redeem()
    expect(await verify(idToken)).toMatchObject({
      iss: provider.issuer,
      sub: provider.ana.subject,
      aud: [SECOND_CLIENT_ID],
      preferred_username: 'ana',
      email: 'ana@example.com',
      groups: ['dev', 'team-shop'],
      amr: ['pwd'],
    })
    expect(decodeProtectedHeader(idToken).alg).toBe('ES256')
  })

  it('gives tokens the gateway lets in', async () => {
    const { idToken } = await (await signIn()).redeem()
    const authenticator = createAuthenticator([trusted()])
    const user = await authenticator.authenticate(`Bearer ${idToken}`)
    authenticator.close()
    expect(user).toMatchObject({
      username: 'ana',
      uid: provider.ana.subject,
      groups: ['dev', 'team-shop'],
    })
  })

  it('renews, each refresh token once', async () => {
    const first = await (await signIn()).redeem()
    const second = await refresh(gateway, first.refreshToken)
    expect(await verify(second.idToken)).toMatchObject({
      sub: provider.ana.subject,
      preferred_username: 'ana',
      auth_time: (await verify(first.idToken))['auth_time'],
    })
    const refused = { error: 'invalid_grant' }
    await expect(refresh(gateway, first.refreshToken)).rejects.toMatchObject(refused)
    await expect(refresh(gateway, second.refreshToken)).rejects.toMatchObject(refused)
  })

  it('lets nobody in with a wrong password', async () => {
    const { visit } = await signIn({}, { password: 'wrong' })
    expect(visit).toMatchObject({
      status: 401,
      text: expect.stringContaining('do not belong together'),
    })
  })

  it('gives nothing to who does not know the secret', async () => {
    const impostor = await client('guessed')
    const { redeem } = await signIn({}, {}, impostor)
    await expect(redeem()).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it('takes a code once', async () => {
    const { redeem } = await signIn()
    await redeem()
    await expect(redeem()).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it.each<[string, Record<string, string>]>([
    ['another place to return to', { redirect_uri: 'https://evil.example/' }],
    ['PKCE in the clear', { code_challenge_method: 'plain' }],
    ['a token without code', { response_type: 'id_token' }],
    ['no page at all', { prompt: 'none' }],
  ])('refuses a sign-in with %s', async (_name, parameters) => {
    const { visit } = await signIn(parameters)
    expect(visit.headings).toEqual([])
    expect(visit.url.searchParams.has('code')).toBe(false)
    expect(visit.url.href + visit.text).toMatch(/error|redirect_uri/)
  })

  it.each([
    ['beside the old one', true],
    ['in place of the old one', false],
  ])('can have a new key %s', async (_name, keepOld) => {
    const { idToken, refreshToken } = await (await signIn()).redeem()
    await provider.rotateKeys({ keepOld })
    const renewed = await refresh(gateway, refreshToken)
    expect(await verify(renewed.idToken)).toMatchObject({ preferred_username: 'ana' })
    const old = verify(idToken)
    if (keepOld) expect(await old).toMatchObject({ preferred_username: 'ana' })
    else await expect(old).rejects.toMatchObject({ id: 1404 })
  })
})
