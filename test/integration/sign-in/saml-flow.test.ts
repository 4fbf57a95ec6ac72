/** A sign-in with SAML over real sockets: begun at one replica, finished at another. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { openGatewayOAuth, type GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { createLogins, DEFAULT_LOGIN_LIMITS, type Logins } from '../../../lib/identity/logins.ts'
import { createSamlProvider } from '../../../lib/identity/saml.ts'
import { samlProvider } from '../../../lib/sign-in/provider.ts'
import { createSignInApp } from '../../../lib/sign-in/sign-in-app.ts'
import { startRevoking, type Revoking } from '../../fakes/revoking.ts'
import { createSamlKeys, type SamlAnswer, type SamlKeys } from '../../fakes/saml-idp.ts'
import { type Asked, askedOf, formFor, IDP } from '../identity/saml-bed.ts'
import { authorizeUrl, STATE, VERIFIER } from './asking-command.ts'
import { Browser, type Page } from './browser.ts'

const IDP_URL = 'https://idp.example/sso'

let keys: SamlKeys
let ca: string
let revoking: Revoking
let logins: Logins
/** Two replicas behind one address: requests go to the one and the other by turns. */
let server: Server
let url: string
let oauth: GatewayOAuth
let browser: Browser

beforeAll(async () => {
  keys = await createSamlKeys()
  const authority = await createAuthority('saml flow')
  ca = authority.certificate
  const pair = await issueCertificate(authority, {
    commonName: 'gate',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  server = createServer({ cert: pair.certificate, key: pair.privateKey })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  url = `https://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`
  revoking = await startRevoking(new AbortController().signal)
  const { revocations, revoker } = revoking
  logins = createLogins({
    store: revoking.logins,
    limits: DEFAULT_LOGIN_LIMITS,
    recheck: () => undefined,
    isConfigured: () => true,
    endLogin: async () => undefined,
    assertMayBegin: () => undefined,
    onError: () => undefined,
  })
  const base = `${url}/podgate/sign-in/saml`
  const replica = (): ReturnType<typeof createSignInApp> =>
    createSignInApp({
      url,
      clusterName: 'test',
      providers: ['corp', 'other'].map((name) =>
        samlProvider(
          name,
          createSamlProvider(
            {
              name,
              entityId: IDP,
              singleSignOnUrl: IDP_URL,
              certificates: [keys.certificate],
              spEntityId: `${base}/${name}/metadata`,
              acsUrl: `${base}/${name}/acs`,
              usernamePrefix: '',
              groupsAttribute: 'groups',
              groupsPrefix: '',
              clockSkewSeconds: 60,
            },
            { now: Date.now, spent: revoking.logins },
          ),
        ),
      ),
      store: revoking.logins,
      logins,
      verifyToken: () => Promise.reject(new Error('not asked')),
      endLogins: revoker.endLogins,
      assertMayBegin: ({ username }) =>
        revocations.assertAllowed({
          username,
          groups: [],
          extra: {},
          issuer: IDP,
          signIn: { amr: [] },
          expiresAt: 0,
          credential: { kind: 'GatewayToken', id: '', issuedAt: Date.now() },
        }),
      onSignIn: () => undefined,
      onFailure: () => undefined,
    })
  const replicas = [replica(), replica()]
  let turn = 0
  server.on('request', (request, response) => {
    turn += 1
    replicas[turn % 2]?.(request, response)
  })
  oauth = await openGatewayOAuth({ server: url, ca }, {})
})

afterAll(() => {
  server.close()
  server.closeAllConnections()
})

beforeEach(() => {
  browser = new Browser(ca)
  browser.stopAt = /idp\.example/
})

/** Up to the provider, and what it is asked there. */
async function depart(more: Record<string, string> = {}): Promise<Asked> {
  const start = await authorizeUrl(oauth, { provider: 'corp', ...more })
  return askedOf((await browser.go(start)).url)
}

function fill(asked: Asked, changes: Partial<SamlAnswer> = {}): Record<string, string> {
  return formFor(keys, `${url}/podgate/sign-in/saml/corp`, asked, changes)
}

function post(form: Record<string, string>, name = 'corp', who = browser): Promise<Page> {
  return who.go(`${url}/podgate/sign-in/saml/${name}/acs`, form)
}

describe('a sign-in with SAML', () => {
  it('gives tokens to the command line, whichever replica hears the answer', async () => {
    const { url: arrival } = await post(fill(await depart()))
    const { client, config } = oauth
    const tokens = await client.authorizationCodeGrant(config, arrival, {
      pkceCodeVerifier: VERIFIER,
      expectedState: STATE,
    })
    expect(await logins.verify(tokens.access_token)).toMatchObject({
      username: 'ana@corp.example',
      groups: ['dev', 'ops'],
      issuer: IDP,
    })
  })

  it('asks for a new sign-in where a fresh one is wanted, and sees whether it was one', async () => {
    const asked = await depart({ prompt: 'login' })
    expect(asked.xml).toContain('ForceAuthn="true"')
    const old = new Date(Date.now() - 3_600_000).toISOString()
    const { url: arrival } = await post(fill(asked, { authnInstant: old }))
    expect(arrival.searchParams.get('error_description')).toContain('PODGATE-1416')
  })

  it('publishes what the admin of the provider imports', async () => {
    const { code, text, headers } = await browser.go(`${url}/podgate/sign-in/saml/corp/metadata`)
    expect(code).toBe(200)
    expect(headers.get('content-type')).toContain('samlmetadata+xml')
    expect(text).toContain(`${url}/podgate/sign-in/saml/corp/acs`)
  })
})

describe('an answer', () => {
  it('counts once, at all replicas together', async () => {
    const form = fill(await depart())
    expect((await post(form)).url.href).toContain('code=')
    for (let n = 0; n < 2; n += 1) {
      expect(await post(form)).toMatchObject({
        code: 401,
        text: expect.stringMatching(/PODGATE-1455/),
      })
    }
  })

  it('is of no use in another browser, nor in a second sign-in of the same', async () => {
    const form = fill(await depart())
    expect((await post(form, 'corp', new Browser(ca))).code).toBe(401)
    const second = await depart()
    const moved = { ...form, RelayState: second.relayState }
    const { url: arrival } = await post(moved)
    expect(arrival.searchParams.get('error')).toBe('access_denied')
    expect(arrival.searchParams.get('code')).toBeNull()
  })

  it('at the door of another provider is refused, and the sign-in is over', async () => {
    const form = fill(await depart())
    expect((await post(form, 'other')).text).toContain('PODGATE-1455')
    expect((await post(form)).text).toContain('PODGATE-1455')
  })

  it.each<[string, Partial<SamlAnswer>]>([
    ['for another gateway', { audiences: [['https://elsewhere']] }],
    ['to nobody who asked', { inResponseTo: '', subjectInResponseTo: '' }],
    ['of another provider', { issuer: 'https://evil' }],
    ['that names somebody of the system', { nameId: 'system:admin' }],
  ])('%s gives nothing', async (_name, changes) => {
    const { url: arrival } = await post(fill(await depart(), changes))
    expect(arrival.searchParams.get('code')).toBeNull()
    expect(arrival.searchParams.get('error_description')).toMatch(/PODGATE-14\d\d/)
  })

  it.each([
    ['nothing', {}],
    ['no state', { SAMLResponse: 'x' }],
    ['a state of nobody', { SAMLResponse: 'x', RelayState: 'a'.repeat(43) }],
  ])('with %s is refused on a page', async (_name, form) => {
    const page = await post(form)
    expect([page.code, page.text]).toEqual([401, expect.stringContaining('PODGATE-1455')])
  })
})
