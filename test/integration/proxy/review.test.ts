/** `kubectl auth can-i` through the gateway: RBAC first, then the policies, and nothing told that is not theirs. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { askGateway, type Answered } from './ask-gateway.ts'
import {
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'

let ground: Ground
let under: GatewayUnderTest
/** What RBAC says, to what it was asked, and whether the person may see the pod. */
let rbac: boolean
let asked: { name?: string; subresource?: string }[]
let seesPods: boolean

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  rbac = true
  asked = []
  seesPods = true
  const web = { podSelector: { matchLabels: { app: 'web' } } }
  under = await startGatewayUnderTest(ground, [
    policy('web-shell', { match: { operations: ['Exec'], ...web } }),
  ])
  under.cluster.intercept = (request, response, url) => {
    const isReview = url.pathname === REVIEWS && request.method === 'POST'
    if (!isReview && !(url.pathname.includes('/pods/') && !seesPods)) return false
    if (!isReview) {
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"kind":"Status"}')
      return true
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const { spec } = JSON.parse(body) as { spec: { resourceAttributes: object } }
      asked.push(spec.resourceAttributes)
      const review = { ...(JSON.parse(body) as object), status: { allowed: rbac } }
      response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(review))
    })
    return true
  }
})

afterEach(async () => {
  await under.close()
})

interface Told {
  allowed: boolean
  reason?: string
}

async function ask(attributes: object): Promise<Answered & { told: Told }> {
  const body = Buffer.from(
    JSON.stringify({
      kind: 'SelfSubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      spec: { resourceAttributes: { namespace: 'shop', ...attributes } },
    }),
  )
  const headers = { 'content-type': 'application/json' }
  const answer = await askGateway(under, ground, REVIEWS, { method: 'POST', headers }, body)
  return { ...answer, told: (JSON.parse(answer.body.toString()) as { status: Told }).status }
}

const EXEC = { verb: 'create', resource: 'pods', subresource: 'exec' }

describe('a question about a shell', () => {
  it('is answered by the policies where RBAC says yes', async () => {
    const { code, headers, told } = await ask(EXEC)
    expect([code, told.allowed]).toEqual([201, true])
    expect(told.reason).toBe('AccessPolicy shop/web-shell allows it for pods with app=web')
    expect(headers.warning).toBe(`299 podgate "${told.reason ?? ''}"`)
  })

  it('is a no in words where no policy allows it, and no warning', async () => {
    const { headers, told } = await ask({ ...EXEC, subresource: 'attach' })
    expect(told).toMatchObject({
      allowed: false,
      reason: expect.stringContaining('no policy allows ana'),
    })
    expect(headers.warning).toBeUndefined()
  })

  it('stays the no of RBAC, with nothing of the policies', async () => {
    rbac = false
    const { told, headers } = await ask(EXEC)
    expect(told).toEqual({ allowed: false })
    expect(headers.warning).toBeUndefined()
  })

  it('about a pod that they may not see is answered for pods in general', async () => {
    seesPods = false
    const { told } = await ask({ ...EXEC, name: 'web-0' })
    expect(told.reason).toBe('AccessPolicy shop/web-shell allows it for pods with app=web')
  })

  it('opens, asks and records nothing', async () => {
    await ask(EXEC)
    expect(under.store.sessions.size).toBe(0)
    expect(
      under.cluster.seen(/approvalrequests/).filter(({ method }) => method === 'POST'),
    ).toEqual([])
  })

  it('over 64 KiB is refused before it goes on', async () => {
    const body = Buffer.alloc(64 * 1024 + 1, ' ')
    const { code } = await askGateway(under, ground, REVIEWS, { method: 'POST' }, body)
    expect(code).toBe(413)
    expect(under.cluster.seen(REVIEWS)).toEqual([])
  })
})

describe('a question as people type it, `create pods/exec`, which kubectl sends as a name,', () => {
  const TYPED = { verb: 'create', resource: 'pods', name: 'exec' }
  const READ_AS = 'read as create pods --subresource=exec: '

  it('is one about the shell, to RBAC and to the policies, and says so', async () => {
    const { told, headers } = await ask(TYPED)
    expect(told).toEqual({
      allowed: true,
      reason: `${READ_AS}AccessPolicy shop/web-shell allows it for pods with app=web`,
    })
    expect(headers.warning).toBe(`299 podgate "${told.reason ?? ''}"`)
    expect(asked.at(-1)).toEqual({
      namespace: 'shop',
      verb: 'create',
      resource: 'pods',
      subresource: 'exec',
    })
  })

  it('is no for whom RBAC lets create pods, and no policy open a shell', async () => {
    const { told } = await ask({ ...TYPED, name: 'attach' })
    expect(told.allowed).toBe(false)
    expect(told.reason).toMatch(/^read as create pods --subresource=attach: no policy allows ana/)
  })

  it('stays the no of RBAC, and says what was asked', async () => {
    rbac = false
    const { told, headers } = await ask(TYPED)
    expect(told).toEqual({
      allowed: false,
      reason: 'read as create pods --subresource=exec: RBAC of the cluster does not allow it',
    })
    expect(headers.warning).toBeUndefined()
  })
})

describe('any other question', () => {
  it.each([
    ['about pods themselves', { verb: 'get', resource: 'pods' }],
    ['about another group', { ...EXEC, group: 'example.com' }],
    [
      'about a resource of the prototype',
      { verb: 'get', resource: 'constructor', subresource: 'x' },
    ],
    [
      'about a pod that is called as a subresource',
      { verb: 'get', resource: 'pods', name: 'exec' },
    ],
    ['about creating a pod', { verb: 'create', resource: 'pods' }],
    [
      'about another group, by a name',
      { verb: 'create', resource: 'pods', name: 'exec', group: 'x' },
    ],
    ['about a status', { verb: 'get', resource: 'pods', subresource: 'status' }],
  ])('%s is left to the API server', async (_name, attributes) => {
    const { told, headers } = await ask(attributes)
    expect(told).toEqual({ allowed: true })
    expect(headers.warning).toBeUndefined()
  })
})
