import { createServer, type Server } from 'node:http'
import { once } from 'node:events'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createOidcProvider, SYSTEM_DEPS, type OidcProvider } from '../../../lib/identity/oidc.ts'
import { createOidcSignIn } from '../../../lib/identity/oidc-sign-in.ts'
import { withDefaults } from '../../../lib/identity/user.ts'
import { oidcProvider } from '../../../lib/sign-in/provider.ts'
import { createSignInApp } from '../../../lib/sign-in/sign-in-app.ts'
import { loginOf } from '../../conformance/login-store-suite.ts'
import { startRevoking, type Revoking } from '../../fakes/revoking.ts'
import { userNamed } from '../../fakes/user.ts'
import { createKey, startJwksServer } from '../identity/jwks-server.ts'

const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }

let provider: Awaited<ReturnType<typeof startJwksServer>>
let key: Awaited<ReturnType<typeof createKey>>
let keys: OidcProvider
let server: Server
let base: string
let revoking: Revoking
let failures: string[]
/** Of the gateway; stands still. */
let clock: number

beforeAll(async () => {
  provider = await startJwksServer()
  key = await createKey('ES256', 'k1')
  provider.keys = [key.publicJwk]
})

afterAll(async () => {
  await provider.close()
})

beforeEach(async () => {
  failures = []
  clock = Date.now()
  revoking = await startRevoking(new AbortController().signal)
  const issuer = withDefaults({
    issuer: provider.issuer,
    audience: 'podgate',
    caFile: provider.caFile,
  })
  keys = createOidcProvider(issuer, SYSTEM_DEPS)
  const signIn = createOidcSignIn(
    { name: 'corp', issuer, clientId: 'gate', scopes: ['openid'], parameters: {} },
    keys,
  )
  const app = createSignInApp({
    url: 'https://gate.test',
    clusterName: 'test',
    providers: [oidcProvider(signIn, 'https://gate.test/callback')],
    store: revoking.logins,
    logins: undefined as never,
    verifyToken: () => Promise.reject(new Error('not asked')),
    endLogins: revoking.revoker.endLogins,
    assertMayBegin: () => undefined,
    onSignIn: () => undefined,
    onFailure: (error) => void failures.push(error.message),
    now: () => clock,
  })
  server = createServer((request, response) => app(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  base = `http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`
})

afterEach(async () => {
  keys.close()
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
})

function sign(claims: object, typ = 'logout+jwt', clientId = 'gate'): Promise<string> {
  return new SignJWT({ events: EVENTS, jti: `j-${Math.random()}`, ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ })
    .setIssuer(provider.issuer)
    .setAudience(clientId)
    .setIssuedAt()
    .sign(key.privateKey)
}

async function post(token: string | undefined, name = 'corp'): Promise<number> {
  const body = new URLSearchParams(token === undefined ? {} : { logout_token: token })
  const answer = await fetch(`${base}/podgate/sign-in/logout/${name}`, { method: 'POST', body })
  await answer.text()
  return answer.status
}

/** A sign-in that came of this session of this person at the provider, and something that runs of it. */
async function signedIn(subject: string, providerSession: string): Promise<() => boolean> {
  const login = loginOf({ subject, providerSession })
  await revoking.logins.insertLogin(login)
  const live = revoking.revocations.watch(
    userNamed(subject, {
      credential: { kind: 'GatewayToken', id: 't-1', issuedAt: 0, login: login._id },
    }),
  )
  return () => live.signal.aborted
}

describe('whoever posts what is no token', () => {
  it('is told to come back later after two thousand, which no provider needs at once', async () => {
    const codes = new Map<number, number>()
    for (let n = 0; n < 21; n += 1) {
      const some = await Promise.all(Array.from({ length: 100 }, () => post(undefined)))
      for (const code of some) codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    expect(Object.fromEntries(codes)).toEqual({ 400: 2000, 429: 100 })
  })
})

describe('a provider that says somebody has signed out', () => {
  it('ends what came of that session, and nothing else', async () => {
    const [hers, other, his] = [
      await signedIn('ana', 's-1'),
      await signedIn('ana', 's-2'),
      await signedIn('bo', 's-3'),
    ]
    expect(await post(await sign({ sub: 'ana', sid: 's-1' }))).toBe(200)
    expect([hers(), other(), his()]).toEqual([true, false, false])
  })

  it('ends all of a person where it names no session', async () => {
    const [hers, other, his] = [
      await signedIn('ana', 's-1'),
      await signedIn('ana', 's-2'),
      await signedIn('bo', 's-3'),
    ]
    expect(await post(await sign({ sub: 'ana' }, 'JWT'))).toBe(200)
    expect([hers(), other(), his()]).toEqual([true, true, false])
  })

  it('is heard once: the same order later ends nobody who has signed in since', async () => {
    const order = await sign({ sub: 'ana' })
    expect(await post(order)).toBe(200)
    const later = await signedIn('ana', 's-9')
    expect(await post(order)).toBe(200)
    expect(later()).toBe(false)
  })

  it('may send it again when it failed half-way, and it is carried out then', async () => {
    const hers = await signedIn('ana', 's-1')
    const { putRevocation } = revoking.logins
    revoking.logins.putRevocation = () => {
      revoking.logins.putRevocation = putRevocation
      return Promise.reject(new GatewayError('ServiceUnavailable', 'away', { id: 1452 }))
    }
    const order = await sign({ sub: 'ana' })
    expect(await post(order)).toBe(503)
    expect(hers()).toBe(false)
    expect(await post(order)).toBe(200)
    expect(hers()).toBe(true)
  })

  it('hears that it may try again while the store is away', async () => {
    revoking.logins.mode = 'down'
    expect(await post(await sign({ sub: 'ana' }))).toBe(503)
  })
})

describe('somebody else who says so', () => {
  it.each<[string, () => Promise<string | undefined>]>([
    ['without a token', async () => undefined],
    ['with rubbish', async () => 'x.y.z'],
    [
      'with a token for another client',
      async () => await sign({ sub: 'ana' }, 'logout+jwt', 'other'),
    ],
    ['with an access token', async () => await sign({ sub: 'ana' }, 'at+jwt')],
    [
      'with an ID token',
      async () => await sign({ sub: 'ana', events: undefined, nonce: 'n' }, 'JWT'),
    ],
    [
      'with a signature of their own',
      async () => {
        const own = await createKey('ES256', 'k1')
        return await new SignJWT({ events: EVENTS, jti: 'j', sub: 'ana' })
          .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'logout+jwt' })
          .setIssuer(provider.issuer)
          .setAudience('gate')
          .setIssuedAt()
          .sign(own.privateKey)
      },
    ],
    [
      'without a signature',
      async () => {
        const [, payload = ''] = (await sign({ sub: 'ana' })).split('.')
        const header = Buffer.from('{"alg":"none","typ":"logout+jwt"}').toString('base64url')
        return `${header}.${payload}.`
      },
    ],
  ])('%s ends nobody', async (_name, make) => {
    const hers = await signedIn('ana', 's-1')
    const token = await make()
    expect(await post(token)).toBe(400)
    expect(hers()).toBe(false)
    expect(failures).toHaveLength(1)
    if (token !== undefined && token.length > 10) expect(failures.join()).not.toContain(token)
  })

  it('at the address of a provider that there is not ends nobody', async () => {
    const hers = await signedIn('ana', 's-1')
    expect(await post(await sign({ sub: 'ana' }), 'other')).toBe(400)
    expect(hers()).toBe(false)
  })
})
