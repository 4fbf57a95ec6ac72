/** Tokens of service accounts, before an API server that answers as it likes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { Claims } from '../../../lib/identity/claims.ts'
import {
  createServiceAccounts,
  type ServiceAccountOptions,
  type ServiceAccounts,
} from '../../../lib/identity/service-account.ts'
import {
  type Reply,
  startTokenReviewServer,
  type TokenReviewServer,
} from './token-review-server.ts'

const NOW = 1_800_000_000_000
const SECONDS = NOW / 1000
const CI = 'system:serviceaccount:shop:ci'
const CI_GROUPS = ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated']
const POD_NAME = 'authentication.kubernetes.io/pod-name'
const CREDENTIAL = 'authentication.kubernetes.io/credential-id'

const CLAIMS: Claims = {
  iss: 'https://kubernetes.default.svc',
  sub: CI,
  aud: ['podgate'],
  iat: SECONDS - 60,
  exp: SECONDS + 3600,
  'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'ci', uid: 'u-1' } },
}

let serial = 0

/** No two are the same; the signature is the API server's business. */
function tokenWith(changes: Claims = {}): string {
  serial += 1
  const claims = { ...CLAIMS, jti: String(serial), ...changes }
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`
}

function yes(status: object = {}, user: object = {}): Reply {
  return {
    code: 201,
    body: {
      kind: 'TokenReview',
      status: {
        authenticated: true,
        audiences: ['podgate'],
        user: {
          username: CI,
          uid: 'u-1',
          groups: CI_GROUPS,
          extra: { [POD_NAME]: ['ci-0'], [CREDENTIAL]: ['JTI=1'] },
          ...user,
        },
        ...status,
      },
    },
  }
}

const NO: Reply = {
  code: 201,
  body: { kind: 'TokenReview', status: { user: {}, error: 'invalid bearer token' } },
}

let server: TokenReviewServer
let now: number

beforeAll(async () => {
  server = await startTokenReviewServer(() => yes())
})

afterAll(async () => {
  await server.close()
})

beforeEach(() => {
  now = NOW
  server.reply = () => yes()
  server.asked.length = 0
})

function accounts(changes: Partial<ServiceAccountOptions> = {}): ServiceAccounts {
  const { client } = server
  return createServiceAccounts({ client, audiences: ['podgate'], now: () => now, ...changes })
}

async function refusalOf(work: Promise<unknown>): Promise<GatewayError> {
  try {
    await work
  } catch (error) {
    if (GatewayError.is(error)) return error
    throw error
  }
  throw new Error('was let in')
}

describe('a good token', () => {
  it('is its service account, with what the API server says about it', async () => {
    const user = await accounts().verify(tokenWith())
    expect(user).toEqual({
      username: CI,
      uid: 'u-1',
      groups: CI_GROUPS,
      extra: { [POD_NAME]: ['ci-0'], [CREDENTIAL]: ['JTI=1'] },
      issuer: 'https://kubernetes.default.svc',
      signIn: { amr: [] },
      expiresAt: NOW + 3_600_000,
      credential: {
        kind: 'ServiceAccount',
        id: expect.stringMatching(/^a-[\w-]{22}$/),
        issuedAt: NOW - 60_000,
      },
    })
  })

  it('is shown to the API server alone, with our audiences and the rights of the gateway', async () => {
    const token = tokenWith()
    await accounts({ audiences: ['podgate', 'gate.example'] }).verify(token)
    expect(server.asked).toEqual([
      {
        path: 'POST /apis/authentication.k8s.io/v1/tokenreviews',
        authorization: 'Bearer of-the-gateway',
        review: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: ['podgate', 'gate.example'] },
        },
      },
    ])
  })

  it.each<[string, Claims, ReturnType<typeof yes>, object]>([
    ['for several audiences', { aud: ['x', 'podgate'] }, yes(), { username: CI }],
    ['for an audience that is no list', { aud: 'podgate' }, yes(), { username: CI }],
    ['that names no issuer', { iss: undefined }, yes(), { issuer: 'kubernetes' }],
    ['without a uid', {}, yes({}, { uid: '' }), { username: CI }],
    ['without groups', {}, yes({}, { groups: undefined }), { groups: [] }],
    [
      'with extras that the gateway may not pass on, without those',
      {},
      yes({}, { extra: { [POD_NAME]: ['ci-0'], 'example.com/team': ['x'] } }),
      { extra: { [POD_NAME]: ['ci-0'] } },
    ],
  ])('is taken %s', async (_name, claims, reply, want) => {
    server.reply = () => reply
    expect(await accounts().verify(tokenWith(claims))).toMatchObject(want)
  })

  it('keeps its id, however its signature is written', async () => {
    const token = tokenWith()
    const other = `${token.slice(0, token.lastIndexOf('.'))}.YW5vdGhlcg`
    const [one, two] = [await accounts().verify(token), await accounts().verify(other)]
    expect(two.credential.id).toBe(one.credential.id)
  })

  it('has the same id each time, and another one than any other token', async () => {
    const one = tokenWith()
    const ids = [one, one, tokenWith()].map(async (token) => await accounts().verify(token))
    const [first, again, other] = (await Promise.all(ids)).map(({ credential }) => credential.id)
    expect(again).toBe(first)
    expect(other).not.toBe(first)
  })
})

describe('a token is refused', () => {
  it.each<[string, Reply, number]>([
    ['that the API server does not know', NO, 1440],
    ['where an API server passes over audiences', yes({ audiences: undefined }), 1440],
    ['for the API server alone', yes({ audiences: ['https://kubernetes.default.svc'] }), 1440],
    ['for no audience', yes({ audiences: [] }), 1440],
    ['for an audience that is no list', yes({ audiences: 'podgate' }), 1440],
    ['that is almost authenticated', yes({ authenticated: 'true' }), 1440],
    ['of nobody', yes({ user: undefined }), 1440],
    ['of a person', yes({}, { username: 'ana', groups: ['dev'] }), 1440],
    ['of a node', yes({}, { username: 'system:node:n1', groups: ['system:nodes'] }), 1440],
    ['of another account than it says', yes({}, { username: `${CI}2` }), 1440],
    ['with the masters group', yes({}, { groups: [...CI_GROUPS, 'system:masters'] }), 1440],
    ['with the groups of another namespace', kubeSystemGroups(), 1440],
    ['with a group of people', yes({}, { groups: ['dev'] }), 1440],
    ['with groups that are no list', yes({}, { groups: 'dev' }), 1440],
    ['with a uid that no header carries', yes({}, { uid: 'u\r\n' }), 1408],
    ['with an extra that no header carries', yes({}, { extra: { [POD_NAME]: ['ö'] } }), 1408],
    ['before an API server that answers nothing', { code: 201, body: {} }, 1440],
  ])('%s', async (_name, reply, id) => {
    server.reply = () => reply
    const token = tokenWith()
    const refusal = await refusalOf(accounts().verify(token))
    expect(refusal).toMatchObject({ reason: 'Unauthorized', id })
    expect(JSON.stringify(refusal.toStatus())).not.toContain(token.split('.')[2])
  })

  function kubeSystemGroups(): Reply {
    return yes({}, { groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system'] })
  }

  it.each<[string, Claims, string]>([
    ['for the API server', { aud: ['https://kubernetes.default.svc'] }, 'is not for this gateway'],
    ['for nobody', { aud: undefined }, 'is not for this gateway'],
    ['for an audience that only begins so', { aud: 'podgate2' }, 'is not for this gateway'],
    ['that never expires', { exp: undefined }, 'never expire'],
    ['that was never issued', { iat: 'now' }, 'never expire'],
    ['that expires beyond all dates', { exp: 1e12 }, 'never expire'],
  ])('%s, without a question to the API server', async (_name, claims, words) => {
    const refusal = await refusalOf(accounts().verify(tokenWith(claims)))
    expect(refusal).toMatchObject({ id: 1440, message: expect.stringContaining(words) })
    expect(refusal.message).toContain('kubectl create token ci -n shop --audience=podgate')
    expect(server.asked).toEqual([])
  })

  it('of the gateway itself, or of whom it is said to be', async () => {
    const own = 'system:serviceaccount:podgate-system:podgate'
    server.reply = () => yes({}, { username: own, groups: [] })
    const refusal = await refusalOf(accounts().verify(tokenWith({ sub: own })))
    expect(refusal).toMatchObject({ id: 1440, message: expect.stringContaining('gateway itself') })
    server.reply = () => yes()
    const said = accounts({ ownAccount: CI })
    expect(await refusalOf(said.verify(tokenWith()))).toMatchObject({ id: 1440 })
  })

  it('and a name in it that is none does not get into the words', async () => {
    const sub = 'system:serviceaccount:shop:ci; rm -rf /'
    const { message } = await refusalOf(accounts().verify(tokenWith({ sub, aud: [] })))
    expect(message).toContain('kubectl create token NAME -n NAMESPACE')
    expect(message).not.toContain('rm -rf')
  })

  it.each([[[]], [['podgate', '']]])('and nobody is let in with audiences %j', (audiences) => {
    expect(() => accounts({ audiences })).toThrow('an audience')
  })
})

describe('while the API server is away', () => {
  it.each<[string, Reply, string]>([
    ['and says so', { code: 500, body: { kind: 'Status', status: 'Failure' } }, 'try again'],
    ['for us: the credentials of the gateway are refused', { code: 401, body: {} }, 'operator'],
    ['for us: the gateway may not ask', { code: 403, body: {} }, 'operator'],
  ])('%s, nobody gets in, and nothing is remembered', async (_name, reply, words) => {
    const under = accounts()
    const token = tokenWith()
    server.reply = () => reply
    const refusal = await refusalOf(under.verify(token))
    expect(refusal).toMatchObject({ reason: 'ServiceUnavailable', id: 1441 })
    expect(refusal.message).toContain(words)
    server.reply = () => yes()
    expect(await under.verify(token)).toMatchObject({ username: CI })
  })

  it('and cuts the connection, nobody gets in', async () => {
    server.reply = async () => await Promise.reject(new Error('gone'))
    expect(await refusalOf(accounts().verify(tokenWith()))).toMatchObject({ id: 1441 })
  })

  it('and the gateway closes, what waits ends', async () => {
    const asked = Promise.withResolvers<Reply>()
    const reached = Promise.withResolvers<void>()
    server.reply = () => {
      reached.resolve()
      return asked.promise
    }
    const under = accounts()
    const refusal = refusalOf(under.verify(tokenWith()))
    await reached.promise
    under.close()
    expect(await refusal).toMatchObject({ id: 1441 })
    asked.resolve(NO)
  })
})

describe('what is remembered', () => {
  it('is good for 10 s, so that a deleted account is out after that', async () => {
    const under = accounts()
    const token = tokenWith()
    await under.verify(token)
    server.reply = () => NO
    now += 9_999
    expect(await under.verify(token)).toMatchObject({ username: CI })
    expect(server.asked).toHaveLength(1)
    now += 1
    expect(await refusalOf(under.verify(token))).toMatchObject({ id: 1440 })
  })

  it('is counted from the question, not from the answer', async () => {
    const under = accounts()
    const token = tokenWith()
    server.reply = () => {
      now += 8_000
      return yes()
    }
    await under.verify(token)
    now += 2_000
    await under.verify(token)
    expect(server.asked).toHaveLength(2)
  })

  it('ends with the token, if that comes first', async () => {
    const under = accounts({ cacheMs: 60_000 })
    const token = tokenWith({ exp: SECONDS + 5 })
    await under.verify(token)
    now += 5_000
    server.reply = () => NO
    expect(await refusalOf(under.verify(token))).toMatchObject({ id: 1440 })
  })

  it('is a copy: who changes theirs changes nobody else', async () => {
    const under = accounts()
    const token = tokenWith()
    ;(await under.verify(token)).groups.push('system:masters')
    expect((await under.verify(token)).groups).toEqual(CI_GROUPS)
  })

  it('of a refusal is good for 5 s', async () => {
    const under = accounts()
    const token = tokenWith()
    server.reply = () => NO
    await refusalOf(under.verify(token))
    server.reply = () => yes()
    now += 4_999
    await refusalOf(under.verify(token))
    expect(server.asked).toHaveLength(1)
    now += 1
    expect(await under.verify(token)).toMatchObject({ username: CI })
  })

  it('is bounded in number, and refusals push out no one who is let in', async () => {
    const under = accounts({ maxCached: 2 })
    const good = tokenWith()
    await under.verify(good)
    const bad = [tokenWith(), tokenWith(), tokenWith()]
    server.reply = () => NO
    for (const token of bad) await refusalOf(under.verify(token))
    await under.verify(good)
    expect(server.asked).toHaveLength(4)
    await refusalOf(under.verify(bad[0] ?? ''))
    expect(server.asked).toHaveLength(5)
  })

  it('belongs to the token to its last letter', async () => {
    const under = accounts()
    const token = tokenWith()
    await under.verify(token)
    server.reply = () => NO
    expect(await refusalOf(under.verify(`${token}A`))).toMatchObject({ id: 1440 })
  })
})

describe('at the same time', () => {
  it('checks of one token are one question', async () => {
    const under = accounts()
    const token = tokenWith()
    const users = await Promise.all([1, 2, 3].map(async () => await under.verify(token)))
    expect(server.asked).toHaveLength(1)
    expect(new Set(users).size).toBe(3)
  })

  it('so many questions are asked and no more, which an invented token costs nobody else', async () => {
    const held = Promise.withResolvers<Reply>()
    server.reply = () => held.promise
    const under = accounts({ maxReviews: 2 })
    const [one, two] = [tokenWith(), tokenWith()]
    const first = [one, two, one].map(async (token) => await under.verify(token))
    expect(await refusalOf(under.verify(tokenWith()))).toMatchObject({ id: 1441 })
    held.resolve(yes())
    expect(await Promise.all(first)).toHaveLength(3)
    expect(await under.verify(tokenWith())).toMatchObject({ username: CI })
  })
})

describe('a first look tells that a token is one of a service account', () => {
  it.each<[string, boolean, string]>([
    ['by its name', true, tokenWith({ 'kubernetes.io': undefined })],
    ['by what Kubernetes puts into it', true, tokenWith({ sub: 'x' })],
    ['and a person', false, tokenWith({ sub: 'ana', 'kubernetes.io': undefined })],
    ['and a name that only holds it', false, plain({ sub: `x${CI}` })],
    ['and a subject that is no text', false, plain({ sub: [CI] })],
    ['and no claims at all', false, 'a.b.c'],
    ['and an opaque token', false, 'abc'],
    ['and nothing', false, ''],
    ['and a token of five parts', false, `${tokenWith()}.x.y`],
    ['and an inherited property', false, plain({})],
    ['and a megabyte of it', false, `x.${'e'.repeat(1_000_000)}.x`],
  ])('%s: %p', (_name, want, token) => {
    expect(accounts().isOne(token)).toBe(want)
  })

  function plain(claims: Claims): string {
    return `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`
  }
})
