/**
 * Everything as it is installed, against a real API server with real service account tokens: the
 * session key is the gateway's, which has no more rights than it needs, and one approval goes from
 * beginning to end. The guard has a test of its own.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { namespaceNamed, statusOf, until, type Api, type Outcome, type Person } from './harness.ts'
import { conditionOf, entry, requestNamed, REQUESTS } from './requests.ts'
import { CLOSED, EXEC, ID, startShipped } from './shipped.ts'

let api: Api
let gatewayToken = ''
let anaToken = ''
let helperToken = ''

beforeAll(async () => {
  ;({ api, gatewayToken, anaToken, helperToken } = await startShipped())
}, 120_000)

afterAll(async () => {
  await api.close()
})

describe('the session key', () => {
  const asAna = { 'Impersonate-User': 'ana', 'Impersonate-Group': 'dev' }
  const withSession = { ...asAna, 'Impersonate-Extra-Podgate.dev%2Fsession': ID }

  it('is the gateway’s to give', async () => {
    const outcome = await api.callWithToken(gatewayToken, 'GET', EXEC, { headers: withSession })
    expect(outcome).toMatchObject({ code: 404, message: 'pods "web-0" not found' })
  })

  it('gives a person no rights beyond their own', async () => {
    const headers = { ...withSession, 'Impersonate-Group': 'nobodies' }
    const outcome = await api.callWithToken(gatewayToken, 'GET', EXEC, { headers })
    expect(outcome).toMatchObject({
      code: 403,
      message: expect.stringContaining('User "ana" cannot'),
    })
  })

  it('is not to be had by somebody who may only impersonate people', async () => {
    const outcome = await api.callWithToken(helperToken, 'GET', EXEC, { headers: withSession })
    expect(outcome).toMatchObject({
      code: 403,
      message: expect.stringContaining(
        'cannot impersonate resource "userextras/podgate.dev/session"',
      ),
    })
    const without = await api.callWithToken(helperToken, 'GET', EXEC, { headers: asAna })
    expect(without).toMatchObject({ code: 403, message: expect.stringContaining(CLOSED) })
  })

  it.each([
    { name: 'by impersonating oneself', headers: withSession, message: 'cannot impersonate' },
    {
      name: 'by the headers of a front proxy',
      headers: {
        'X-Remote-User': 'ana',
        'X-Remote-Extra-Podgate.dev%2Fsession': ID,
      },
      message: CLOSED,
    },
    { name: 'by asking plainly', headers: {}, message: CLOSED },
  ])('is not to be had by a person $name', async ({ headers, message }) => {
    expect(await api.callWithToken(anaToken, 'GET', EXEC, { headers })).toMatchObject({
      code: 403,
      message: expect.stringContaining(message),
    })
  })
})

describe('rights', () => {
  interface Access {
    verb: string
    resource: string
    group?: string
    name?: string
    namespace?: string
  }
  const ours = 'podgate.dev'

  async function may(who: { token: string } | Person, access: Access): Promise<boolean> {
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const [resource, subresource] = access.resource.split('/')
    const resourceAttributes = { ...access, resource, subresource }
    const body = { kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
    const { body: answer } =
      'token' in who
        ? await api.callWithToken(who.token, 'POST', path, { body })
        : await api.call('POST', path, { body, as: who })
    return statusOf<{ allowed: boolean }>(answer).allowed === true
  }

  it.each<Access>([
    { verb: 'impersonate', resource: 'users', name: 'ana' },
    { verb: 'impersonate', resource: 'groups', name: 'dev' },
    { verb: 'impersonate', resource: 'uids', group: 'authentication.k8s.io' },
    { verb: 'watch', resource: 'accesspolicies', group: ours },
    { verb: 'list', resource: 'clusteraccesspolicies', group: ours },
    { verb: 'watch', resource: 'approvalrequests', group: ours },
    { verb: 'create', resource: 'approvalrequests', group: ours },
    { verb: 'delete', resource: 'approvalrequests', group: ours },
    { verb: 'update', resource: 'approvalrequests/status', group: ours },
    { verb: 'patch', resource: 'accesspolicies/status', group: ours },
    { verb: 'patch', resource: 'clusteraccesspolicies/status', group: ours },
    { verb: 'get', resource: 'namespaces', name: 'kube-system' },
    { verb: 'watch', resource: 'pods', namespace: 'shop' },
  ])('of the gateway: $verb $resource', async (access) => {
    expect(await may({ token: gatewayToken }, access)).toBe(true)
  })

  it.each<Access>([
    { verb: 'impersonate', resource: 'serviceaccounts', namespace: 'kube-system' },
    {
      verb: 'impersonate',
      resource: 'userextras/scopes',
      group: 'authentication.k8s.io',
    },
    { verb: 'get', resource: 'secrets', namespace: 'shop' },
    { verb: 'delete', resource: 'pods', namespace: 'shop' },
    { verb: 'create', resource: 'pods/portforward', namespace: 'shop' },
    { verb: 'create', resource: 'serviceaccounts/token', namespace: 'shop' },
    { verb: 'create', resource: 'pods/exec', namespace: 'shop' },
    { verb: 'update', resource: 'approvalrequests', group: ours },
    { verb: 'update', resource: 'accesspolicies', group: ours },
    { verb: 'create', resource: 'clusteraccesspolicies', group: ours },
    {
      verb: 'delete',
      resource: 'validatingadmissionpolicies',
      group: 'admissionregistration.k8s.io',
    },
  ])('not of the gateway: $verb $resource', async (access) => {
    expect(await may({ token: gatewayToken }, access)).toBe(false)
  })

  it('to look at policies and requests come with the right to view a namespace', async () => {
    const namespace = 'shop'
    const access = { verb: 'list', resource: 'approvalrequests', group: ours, namespace }
    await until('the roles are put together', async () => await may({ token: anaToken }, access))
    expect(await may({ token: anaToken }, { ...access, verb: 'create' })).toBe(false)
    const status = { ...access, verb: 'patch', resource: 'approvalrequests/status' }
    expect(await may({ token: anaToken }, status)).toBe(false)
    expect(await may({ username: 'bo', groups: ['oncall'] }, status)).toBe(true)
  })
})

describe('one approval', () => {
  it('goes from the question to the session by three hands', async () => {
    const statusPath = `${REQUESTS}/apreq-story/status`
    const conditions = [conditionOf('Approved')]
    const contentType = 'application/merge-patch+json'
    const asGateway = async (method: string, path: string, body: object): Promise<Outcome> =>
      await api.callWithToken(gatewayToken, method, path, {
        body,
        ...(method === 'PATCH' ? { contentType } : {}),
      })

    const made = await asGateway('POST', REQUESTS, requestNamed('apreq-story'))
    expect(made).toMatchObject({ code: 200 })

    // As `kubectl approve` does it, through the gateway or past it.
    const decided = await api.call('PATCH', statusPath, {
      as: { username: 'bo', groups: ['oncall'] },
      contentType,
      body: { status: { decisions: [entry('bo', { reason: 'INC-7' })] } },
    })
    expect(decided).toMatchObject({ code: 200 })

    const approved = await asGateway('PATCH', statusPath, { status: { conditions } })
    expect(approved).toMatchObject({ code: 200 })

    // Of two replicas that spend the approval at once, one is told Conflict.
    const spent = {
      ...approved.body,
      status: {
        ...statusOf<object>(approved.body),
        conditions: [...conditions, conditionOf('Consumed')],
      },
    }
    expect(await asGateway('PUT', statusPath, spent)).toMatchObject({ code: 200 })
    expect(await asGateway('PUT', statusPath, spent)).toMatchObject({ code: 409 })
  })

  it('does not keep its namespace from being deleted', async () => {
    await api.create(namespaceNamed('gone'))
    const request = requestNamed('apreq-gone')
    const inGone = { ...request, metadata: { name: 'apreq-gone', namespace: 'gone' } }
    const path = REQUESTS.replace('/shop/', '/gone/')
    expect(await api.callWithToken(gatewayToken, 'POST', path, { body: inGone })).toMatchObject({
      code: 200,
    })
    await api.call('DELETE', '/api/v1/namespaces/gone')
    await until('the namespace is gone', async () => {
      return (await api.call('GET', '/api/v1/namespaces/gone')).code === 404
    })
  }, 60_000)
})
