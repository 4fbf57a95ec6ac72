/**
 * A provider that leaves groups out of its tokens, as Entra ID does of somebody in more than 200,
 * and the place where the gateway is told to ask for them.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { createOidcProvider, SYSTEM_DEPS } from '../../../lib/identity/oidc.ts'
import { createOidcSignIn, type OidcSignIn } from '../../../lib/identity/oidc-sign-in.ts'
import { withDefaults } from '../../../lib/identity/user.ts'
import { createKey, type SigningKey } from './jwks-server.ts'

const BACK = 'https://gate.example/podgate/sign-in/callback'
const ELSEWHERE = {
  _claim_names: { groups: 'src1' },
  _claim_sources: { src1: { endpoint: 'https://attacker.example/groups' } },
}

let folder: string
let server: Server
let origin: string
let key: SigningKey
let caFile: string
const closers: (() => void)[] = []

/** What the next ID token says of groups, and what the directory answers. */
let claims: Record<string, unknown>
let directory: { status: number; body: unknown }
let asked: { authorization: string | undefined; body: unknown }[]
let nonce = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-groups-'))
  const authority = await createAuthority('groups')
  caFile = join(folder, 'ca.pem')
  await writeFile(caFile, authority.certificate)
  const pair = await issueCertificate(authority, {
    commonName: 'idp',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  key = await createKey('RS256', 'k1')
  server = createServer({ cert: pair.certificate, key: pair.privateKey }, (request, response) => {
    void serve(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  origin = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterAll(async () => {
  for (const close of closers) close()
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(() => {
  claims = { groups: undefined, ...ELSEWHERE }
  directory = { status: 200, body: { value: ['g-1', 'g-2'] } }
  asked = []
})

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, body } = await answerTo(request)
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function answerTo(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  switch (request.url) {
    case '/.well-known/openid-configuration':
      return {
        status: 200,
        body: {
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          jwks_uri: `${origin}/keys`,
        },
      }
    case '/keys':
      return { status: 200, body: { keys: [key.publicJwk] } }
    case '/token':
      return {
        status: 200,
        body: {
          access_token: 'for-the-directory',
          token_type: 'Bearer',
          expires_in: 3600,
          refresh_token: 'again',
          id_token: await idToken(),
        },
      }
    case '/groups': {
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
      asked.push({ authorization: request.headers.authorization, body })
      return directory
    }
    default:
      return { status: 404, body: {} }
  }
}

async function idToken(): Promise<string> {
  return await new SignJWT({ sub: 'ana', nonce, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setIssuer(origin)
    .setAudience('gateway')
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(key.privateKey)
}

function signInWith(groupsUrl: string | undefined): OidcSignIn {
  const issuer = withDefaults({ issuer: origin, audience: 'podgate', groupsPrefix: 'x:', caFile })
  const keys = createOidcProvider(issuer, SYSTEM_DEPS)
  closers.push(() => keys.close())
  return createOidcSignIn(
    {
      name: 'entra',
      issuer,
      clientId: 'gateway',
      scopes: ['openid'],
      parameters: {},
      ...(groupsUrl === undefined ? {} : { groupsUrl }),
    },
    keys,
  )
}

async function groupsAfter(signIn: OidcSignIn): Promise<string[]> {
  const { checks } = await signIn.start(BACK, { fresh: false, acr: [] })
  ;({ nonce } = checks)
  const { person } = await signIn.finish(
    new URL(`${BACK}?code=c&state=${checks.state}`),
    BACK,
    checks,
  )
  return person.groups
}

describe('groups that a token leaves out', () => {
  it.each<[string, Record<string, unknown>]>([
    ['by pointing elsewhere', ELSEWHERE],
    ['by saying that there are some', { hasgroups: true }],
    ['by the short form', { 'groups:src1': 'https://attacker.example' }],
  ])(
    '%s are asked for at the configured place, with the person’s own token',
    async (_name, left) => {
      claims = left
      expect(await groupsAfter(signInWith(`${origin}/groups`))).toEqual(['x:g-1', 'x:g-2'])
      expect(asked).toEqual([
        { authorization: 'Bearer for-the-directory', body: { securityEnabledOnly: true } },
      ])
    },
  )

  it('are not asked for when they are all there', async () => {
    claims = { groups: ['dev'] }
    expect(await groupsAfter(signInWith(`${origin}/groups`))).toEqual(['x:dev'])
    expect(asked).toEqual([])
  })

  it('end the sign-in in words where no place is configured', async () => {
    await expect(groupsAfter(signInWith(undefined))).rejects.toMatchObject({ id: 1409 })
  })

  it.each<[string, { status: number; body: unknown }]>([
    ['refuses', { status: 403, body: { error: {} } }],
    ['sends us elsewhere', { status: 302, body: {} }],
    ['answers no list', { status: 200, body: { value: 'g-1' } }],
    ['answers a list of other things', { status: 200, body: { value: [{ id: 'g-1' }] } }],
    ['answers nothing', { status: 200, body: null }],
    ['answers a part', { status: 200, body: { value: ['a'], '@odata.nextLink': 'https://x' } }],
    ['answers too many', { status: 200, body: { value: Array.from({ length: 2001 }, String) } }],
  ])('let nobody in while the place %s: no groups would be a lie', async (_name, answer) => {
    directory = answer
    await expect(groupsAfter(signInWith(`${origin}/groups`))).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      id: 1419,
    })
  })

  it('are refused when one of them is a name of the cluster', async () => {
    directory.body = { value: ['ok', 'a\nb'] }
    await expect(groupsAfter(signInWith(`${origin}/groups`))).rejects.toMatchObject({ id: 1408 })
  })

  it('are no reason to take somebody for another: a sign-in stays that of its person', async () => {
    claims = { groups: ['dev'] }
    const signIn = signInWith(`${origin}/groups`)
    expect(await signIn.recheck('again', 'bo')).toEqual({
      kind: 'ended',
      why: expect.stringContaining('names somebody else'),
    })
  })

  it('are asked for again when the provider is, and an outage takes nothing away', async () => {
    const signIn = signInWith(`${origin}/groups`)
    directory.body = { value: ['g-3'] }
    expect(await signIn.recheck('again', 'ana')).toMatchObject({
      kind: 'alive',
      person: { groups: ['x:g-3'] },
    })
    directory.status = 503
    const answer = await signIn.recheck('again', 'ana')
    expect(answer).toEqual({
      kind: 'alive',
      upstream: 'again',
      problem: expect.stringContaining('left your groups out'),
    })
  })
})
