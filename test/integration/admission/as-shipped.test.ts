/**
 * Everything as it is installed, against a real API server with real service account tokens: no
 * way into a pod but the gateway's, no more rights for the gateway than it needs, and one approval
 * from beginning to end.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import {
  installResources,
  manifests,
  namespaceNamed,
  startApi,
  statusOf,
  until,
  type Api,
  type Call,
  type KubeObject,
  type Outcome,
  type Person,
} from './harness.ts'
import { conditionOf, entry, requestNamed, REQUESTS } from './requests.ts'

const SESSION = 'podgate.dev/session'
const ID = 's-0123456789abcdef'
const EXEC = '/api/v1/namespaces/shop/pods/web-0/exec?command=sh&stdout=true'

const CLOSED = 'use kubectl with the kubeconfig of the gateway'

const IS_CLOSED = `is closed here; ${CLOSED}`

let api: Api
let gatewayToken = ''
let anaToken = ''
let helperToken = ''

function clusterRole(name: string, resources: string[], verbs: string[]): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name },
    rules: [{ apiGroups: [''], resources, verbs }],
  }
}

function binding(name: string, role: string, subject: object, inNamespace?: string): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: inNamespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(inNamespace === undefined ? {} : { namespace: inNamespace }) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [subject],
  }
}

const accountOf = (name: string): object => ({ kind: 'ServiceAccount', name, namespace: 'shop' })

const group = (name: string): object => ({
  apiGroup: 'rbac.authorization.k8s.io',
  kind: 'Group',
  name,
})

async function tokenOf(inNamespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${inNamespace}/serviceaccounts/${name}/token`
  const { body } = await api.call('POST', path, {
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  })
  const { token } = statusOf<{ token: string }>(body)
  if (token === undefined) throw new Error(`no token for ${name}`)
  return token
}

/** People: ana may exec by RBAC, oncall may approve, helper may impersonate people but no session. */
async function installPeople(): Promise<void> {
  for (const name of ['ana', 'helper']) {
    const metadata = { name, namespace: 'shop' }
    await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata })
  }
  // Of our own, because the built-in roles are put together only some time after the start.
  await api.create(clusterRole('impersonator', ['users', 'groups'], ['impersonate']))
  await api.create(clusterRole('shell', ['pods/exec'], ['get', 'create']))
  await api.create(binding('dev', 'shell', group('dev'), 'shop'))
  await api.create(binding('oncall', 'podgate-approver', group('oncall')))
  await api.create(binding('helper', 'impersonator', accountOf('helper')))
  await api.create(binding('ana-shell', 'shell', accountOf('ana'), 'shop'))
  await api.create(binding('ana-view', 'view', accountOf('ana'), 'shop'))
}

beforeAll(async () => {
  api = await startApi({ controllerManager: true })
  await installResources(api)
  await api.create(namespaceNamed('shop'))
  await api.create(namespaceNamed('open', { 'podgate.dev/guard': 'disabled' }))
  await installPeople()
  // Before the guard, which lets nobody fetch these any more.
  anaToken = await tokenOf('shop', 'ana')
  helperToken = await tokenOf('shop', 'helper')
  for (const object of manifests('charts/podgate/files')) await api.create(object)
  gatewayToken = await tokenOf('podgate-system', 'podgate')
  const probe = requestNamed('probe')
  await until('the policies hold', async () => {
    const made = await api.call('POST', `${REQUESTS}?dryRun=All`, { body: probe })
    const direct = await api.callWithToken(anaToken, 'GET', EXEC)
    return made.code === 403 && direct.message.includes(CLOSED)
  })
}, 120_000)

afterAll(async () => {
  await api.close()
})

const root: Person = { username: 'root', groups: ['system:masters'] }

/** What an administrator is told who carries these extras. */
async function withExtra(extra: Record<string, string[]>, path: string = EXEC): Promise<Outcome> {
  return await api.call('GET', path, { as: { ...root, extra } })
}

const POD = '/api/v1/namespaces/shop/pods/web-0'
const SERVICE = '/api/v1/namespaces/shop/services/web:80/proxy/'
const KUBELET = '/api/v1/nodes/node-1/proxy/exec/shop/web-0/main?command=sh&output=1'

/** Each with a subresource and how the API server goes on when it is let through. */
const ROADS: { road: string; method: string; path: string; what: string }[] = [
  {
    road: 'exec by WebSocket',
    method: 'GET',
    path: `${POD}/exec?command=sh&stdout=true`,
    what: 'pods/exec',
  },
  {
    road: 'exec by SPDY',
    method: 'POST',
    path: `${POD}/exec?command=sh&stdout=true`,
    what: 'pods/exec',
  },
  { road: 'attach', method: 'POST', path: `${POD}/attach?stdout=true`, what: 'pods/attach' },
  {
    road: 'port-forward by WebSocket',
    method: 'GET',
    path: `${POD}/portforward?ports=80`,
    what: 'pods/portforward',
  },
  {
    road: 'port-forward by SPDY',
    method: 'POST',
    path: `${POD}/portforward`,
    what: 'pods/portforward',
  },
  ...['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'].flatMap((method) => [
    {
      road: `the proxy of a pod (${method})`,
      method,
      path: `${POD}:8080/proxy/`,
      what: 'pods/proxy',
    },
    { road: `the proxy of a service (${method})`, method, path: SERVICE, what: 'services/proxy' },
    { road: `the kubelet’s own exec (${method})`, method, path: KUBELET, what: 'nodes/proxy' },
  ]),
]

describe('direct access', () => {
  it.each(ROADS)(
    'is closed by $road, also for an administrator',
    async ({ method, path, what }) => {
      const outcome = await api.call(method, path)
      expect(outcome.code).toBe(403)
      // An answer to HEAD has no body.
      if (method !== 'HEAD')
        expect(outcome.message).toContain(`direct access (${what}) ${IS_CLOSED}`)
    },
  )

  it.each(ROADS)('is open with the session of the gateway: $road', async ({ method, path }) => {
    const outcome = await api.call(method, path, { as: { ...root, extra: { [SESSION]: [ID] } } })
    // Admitted, it fails for want of such a pod, service or node.
    expect(outcome.message).not.toContain(CLOSED)
    expect([404, 503]).toContain(outcome.code)
  })

  it.each(ROADS)('gives no rights with the session: $road', async ({ method, path }) => {
    const nobody = { username: 'eve', extra: { [SESSION]: [ID] } }
    expect((await api.call(method, path, { as: nobody })).code).toBe(403)
  })

  it('is closed by an ephemeral container', async () => {
    for (const name of ['shop', 'open']) {
      const account = `/api/v1/namespaces/${name}/serviceaccounts/default`
      await until(account, async () => (await api.call('GET', account)).code === 200)
    }
    const spec = { containers: [{ name: 'main', image: 'web:1' }] }
    const metadata = { name: 'real', namespace: 'shop' }
    await api.create({ apiVersion: 'v1', kind: 'Pod', metadata, spec })
    const path = '/api/v1/namespaces/shop/pods/real/ephemeralcontainers'
    const call = {
      contentType: 'application/strategic-merge-patch+json',
      body: { spec: { ephemeralContainers: [{ name: 'debug', image: 'sh:1' }] } },
    }
    expect(await api.call('PATCH', path, call)).toMatchObject({
      code: 403,
      message: expect.stringContaining(CLOSED),
    })
    const { body: pod } = await api.call('GET', path.replace('/ephemeralcontainers', ''))
    const debugged = { ...(pod?.['spec'] as object), ...call.body.spec }
    const put = { body: { ...pod, spec: debugged } }
    expect(await api.call('PUT', path, put)).toMatchObject({
      code: 403,
      message: expect.stringContaining(`direct access (pods/ephemeralcontainers) ${IS_CLOSED}`),
    })
    const as = { ...root, extra: { [SESSION]: [ID] } }
    expect(await api.call('PATCH', path, { ...call, as })).toMatchObject({ code: 200 })
    const anywhere = path.replace('/shop/', '/open/').replace('/real/', '/other/')
    await api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'other', namespace: 'open' },
      spec,
    })
    expect(await api.call('PATCH', anywhere, call)).toMatchObject({ code: 200 })
  })

  it('is open in a namespace that is left out', async () => {
    const outcome = await api.call('GET', EXEC.replace('/shop/', '/open/'))
    expect(outcome).toMatchObject({ code: 404, message: expect.stringContaining('not found') })
  })

  it.each([
    { name: 'an empty session', extra: { [SESSION]: [''] } },
    { name: 'a session that is no id', extra: { [SESSION]: ['../../etc'] } },
    { name: 'two sessions', extra: { [SESSION]: [ID, 's-abcdef0123456789'] } },
    { name: 'another key', extra: { 'podgate.dev/sessions': [ID] } },
  ])('is not opened by $name', async ({ extra }) => {
    expect(await withExtra(extra)).toMatchObject({
      code: 403,
      message: expect.stringContaining(CLOSED),
    })
  })
})

describe('tokens of service accounts', () => {
  const TOKEN = '/api/v1/namespaces/shop/serviceaccounts/ana/token'
  const request = (spec: object = {}): Call => ({
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
  })
  const own: Person = {
    username: 'system:serviceaccount:shop:minter',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:shop'],
  }

  beforeAll(async () => {
    await api.create(clusterRole('minter', ['serviceaccounts/token'], ['create']))
    for (const name of [
      'dev',
      'system:serviceaccounts:shop',
      'system:serviceaccounts:kube-system',
    ]) {
      await api.create(binding(`minter-${name}`, 'minter', group(name)))
    }
  })

  it.each<{ name: string; as: Person }>([
    { name: 'an administrator', as: root },
    { name: 'a person whom RBAC lets', as: { username: 'ana', groups: ['dev'] } },
    { name: 'a service account of a team', as: own },
    {
      name: 'a person who is called like a node',
      as: { username: 'system:node:node-1', groups: ['dev'] },
    },
    {
      name: 'a person who is called nearly like the controller manager',
      as: { username: 'system:kube-controller-manager-2', groups: ['dev'] },
    },
  ])('are closed to $name', async ({ as }) => {
    expect(await api.call('POST', TOKEN, { ...request(), as })).toMatchObject({
      code: 403,
      message: expect.stringContaining(`direct access (serviceaccounts/token) ${IS_CLOSED}`),
    })
  })

  it.each<{ name: string; as: Person }>([
    {
      name: 'a person with the session of the gateway',
      as: { ...root, extra: { [SESSION]: [ID] } },
    },
    { name: 'the controller manager', as: { username: 'system:kube-controller-manager' } },
    {
      name: 'a controller of kube-system',
      as: {
        username: 'system:serviceaccount:kube-system:some-controller',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system'],
      },
    },
  ])('are open to $name', async ({ as }) => {
    await until('RBAC of the controllers', async () => {
      const outcome = await api.call('POST', TOKEN, { ...request(), as })
      expect(outcome.message).not.toContain(CLOSED)
      return outcome.code === 200
    })
  })

  it('are open to a node, for a pod that it runs', async () => {
    const name = 'node-1'
    const pod = await api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'on-node', namespace: 'shop' },
      spec: { nodeName: name, serviceAccountName: 'ana', containers: [{ name: 'c', image: 'x' }] },
    })
    const bound = {
      boundObjectRef: {
        apiVersion: 'v1',
        kind: 'Pod',
        name: 'on-node',
        uid: (pod.metadata as { uid?: string }).uid,
      },
    }
    const as = { username: `system:node:${name}`, groups: ['system:nodes'] }
    await until('the node authorizer knows the pod', async () => {
      const outcome = await api.call('POST', TOKEN, { ...request(bound), as })
      expect(outcome.message).not.toContain(CLOSED)
      return outcome.code === 200
    })
  })

  it('are open to an administrator for the gateway itself, which is not there yet', async () => {
    const path = '/api/v1/namespaces/podgate-system/serviceaccounts/podgate/token'
    expect(await api.call('POST', path, request())).toMatchObject({ code: 200 })
    const other = path.replace('/podgate/token', '/default/token')
    expect(await api.call('POST', other, request())).toMatchObject({ code: 403 })
  })

  it('are open in a namespace that is left out', async () => {
    const path = TOKEN.replace('/shop/', '/open/').replace('/ana/', '/default/')
    expect(await api.call('POST', path, request())).toMatchObject({ code: 200 })
  })

  it('do not keep service accounts themselves from being made', async () => {
    const metadata = { name: 'plain', namespace: 'shop' }
    expect(await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata })).toBeDefined()
  })
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
