/** kubectl --as: by whom, as whom, for what. */
import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { askGateway } from './ask-gateway.ts'
import { POD_PATH, policy, prepareGround, type Ground } from './gateway-under-test.ts'
import { NODE, RoadBed, SERVICE, TOKEN, clusterPolicy, wordsOf } from './road-bed.ts'

let ground: Ground
let bed: RoadBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

const AS_CY = clusterPolicy('as-cy', {
  operations: ['Impersonate'],
  impersonate: { users: ['cy', 'system:*'], groups: ['oncall', 'system:*'] },
})

beforeEach(async () => {
  bed = await RoadBed.start(ground, { match: { operations: ['Exec', 'Logs', 'Proxy'] } }, AS_CY)
})

afterEach(async () => {
  await bed.under.close()
})

const PODS = '/api/v1/namespaces/shop/pods'
const CY = { 'Impersonate-User': 'cy' }

/** Requests that went on, and not the questions of the gateway about them. */
function passed(): string[] {
  return bed.under.cluster
    .seen(/^(?!\/apis\/(?:podgate|authorization))/)
    .map(({ method, url }) => `${method} ${url}`)
}

describe('where a policy and RBAC allow it', () => {
  it('a request goes on as that one and nobody else', async () => {
    const answer = await bed.ask('GET', PODS, { ...CY, 'Impersonate-Group': 'oncall' })
    expect(answer.code).toBe(200)
    expect(bed.identities(/\/pods$/)).toEqual([
      [...ground.people.originLines('ana'), 'impersonate-group: oncall', 'impersonate-user: cy'],
    ])
    expect(bed.under.store.sessions.size).toBe(0)
  })

  it('the log says who was whom, without the query', async () => {
    await bed.ask('GET', `${PODS}?fieldSelector=secret`, CY)
    const lines = bed.under.log.filter((line) => line.includes('acting as'))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ user: 'ana', as: 'cy', groups: [], method: 'GET', path: PODS }),
    ])
    expect(lines.join()).not.toContain('secret')
  })

  it('does not go on when the person is revoked while their right to it is asked about', async () => {
    const { cluster, revoking } = bed.under
    const asked = Promise.withResolvers<ServerResponse>()
    cluster.intercept = (_request, response, url) => {
      if (!url.pathname.endsWith('/selfsubjectaccessreviews')) return false
      asked.resolve(response)
      return true
    }
    const answer = bed.ask('DELETE', `${PODS}/web-0`, CY).then(
      () => 'answered',
      () => 'cut',
    )
    const review = await asked.promise
    const target = { kind: 'User', username: 'ana' } as const
    await revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'left' })
    expect(await answer).toBe('cut')
    review.writeHead(201, { 'content-type': 'application/json' })
    review.end(JSON.stringify({ status: { allowed: true } }))
    await eventually('it was decided', () => bed.under.log.join().includes('acting as'))
    // What would have gone on has done so before this comes back.
    const headers = { authorization: ground.people.bearer('eve') }
    await askGateway(bed.under, ground, `${PODS}/other`, { headers })
    expect(passed()).toEqual([`GET ${PODS}/other`])
  })

  it.each(['/api', '/apis/apps/v1', '/openapi/v3', '/version'])(
    'what kinds there are is told as themselves, also where nothing allows it: %s',
    async (path) => {
      bed.serves(/./, (_request, response) => void response.end('{}'))
      for (const user of ['cy', 'bo', 'system:admin']) {
        expect((await bed.ask('GET', path, { 'Impersonate-User': user })).code).toBe(200)
      }
      const themselves = expect.arrayContaining(['impersonate-user: ana'])
      expect(bed.identities(new RegExp(`^${path}$`))).toEqual([themselves, themselves, themselves])
    },
  )

  it('it is counted', async () => {
    await bed.ask('GET', PODS, CY)
    expect(await bed.under.metrics.registry.metrics()).toContain(
      'podgate_requests_total{code="200",kind="impersonate"} 1',
    )
  })

  it('RBAC is asked for the user and for each group, as the person', async () => {
    const asked: unknown[] = []
    bed.under.cluster.allows = (user, attributes) => {
      asked.push([user, attributes['verb'], attributes['resource'], attributes['name']])
      return attributes['resource'] === 'users'
    }
    const answer = await bed.ask('GET', PODS, { ...CY, 'Impersonate-Group': 'oncall' })
    expect(asked).toEqual([
      ['ana', 'impersonate', 'users', 'cy'],
      ['ana', 'impersonate', 'groups', 'oncall'],
    ])
    expect([answer.code, wordsOf(answer)]).toEqual([
      403,
      expect.stringContaining('User "ana" cannot impersonate resource "groups"'),
    ])
    expect(passed()).toEqual([])
  })
})

describe('nobody acts', () => {
  it.each([
    ['as somebody no policy names', 'GET', PODS, { 'Impersonate-User': 'bo' }, 1002],
    ['in a group no policy names', 'GET', PODS, { ...CY, 'Impersonate-Group': 'dev' }, 1002],
    ['with a uid', 'GET', PODS, { ...CY, 'Impersonate-Uid': '1' }, 1049],
    ['with extras', 'GET', PODS, { ...CY, 'Impersonate-Extra-Scopes': 'all' }, 1049],
    [
      'with the mark of a session',
      'GET',
      PODS,
      { ...CY, 'Impersonate-Extra-podgate.dev%2fsession': '0000000000000' },
      1049,
    ],
    ['as the cluster itself', 'GET', PODS, { 'Impersonate-User': 'system:admin' }, 1049],
    ['as a master', 'GET', PODS, { ...CY, 'Impersonate-Group': 'system:masters' }, 1049],
    [
      'as a service account',
      'GET',
      PODS,
      { 'Impersonate-User': 'system:serviceaccount:shop:robot' },
      1049,
    ],
    [
      'as an approver',
      'PATCH',
      '/apis/podgate.dev/v1alpha1/namespaces/shop/approvalrequests/a/status',
      CY,
      1049,
    ],
    ['in a log', 'GET', `${POD_PATH}/log`, CY, 1015],
    ['in an exec', 'POST', `${POD_PATH}/exec?command=id`, CY, 1015],
    ['in a proxy', 'GET', `${SERVICE}/`, CY, 1015],
    ['in the proxy of a node', 'GET', `${NODE}/metrics`, CY, 1015],
    ['in a token', 'POST', TOKEN, CY, 1015],
    ['in a debug container', 'PATCH', `${POD_PATH}/ephemeralcontainers`, CY, 1015],
    ['in a pod of their own', 'POST', PODS, CY, 1015],
  ])('%s', async (_name, method, path, headers, id) => {
    const answer = await bed.ask(method, path, headers)
    expect([answer.code, wordsOf(answer)]).toEqual([403, expect.stringContaining(`PODGATE-${id}`)])
    expect(passed()).toEqual([])
  })

  it('where nothing allows it', async () => {
    bed.under.cluster.objects.remove('clusteraccesspolicies', undefined, 'as-cy')
    await eventually('no policy', () => bed.under.policies.current().length === 1)
    const answer = await bed.ask('GET', PODS, CY)
    expect([answer.code, wordsOf(answer)]).toEqual([403, expect.stringContaining('act as cy')])
    expect(passed()).toEqual([])
  })

  it('while a policy demands approval', async () => {
    bed.under.cluster.objects.put('accesspolicies', policy('unrelated'))
    const approval = {
      mode: 'Session' as const,
      approvers: [{ kind: 'User' as const, name: 'bo' }],
    }
    bed.under.cluster.objects.put('clusteraccesspolicies', {
      ...AS_CY,
      spec: { ...AS_CY.spec, approval },
    })
    await eventually('the policies', () =>
      bed.under.policies.current().some((one) => one.approval !== undefined),
    )
    expect((await bed.ask('GET', PODS, CY)).code).toBe(403)
    expect(passed()).toEqual([])
  })
})
