/**
 * The guard as it is installed: no way into a pod, and to no token of a service account, but with
 * the session of the gateway.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { until, type Api, type Call, type Outcome, type Person } from './harness.ts'
import {
  binding,
  CLOSED,
  clusterRole,
  EXEC,
  group,
  ID,
  ROOT,
  SESSION,
  startShipped,
} from './shipped.ts'

const IS_CLOSED = `is closed here; ${CLOSED}`

let api: Api

beforeAll(async () => {
  ;({ api } = await startShipped())
}, 120_000)

afterAll(async () => {
  await api.close()
})

/** What an administrator is told who carries these extras. */
async function withExtra(extra: Record<string, string[]>, path: string = EXEC): Promise<Outcome> {
  return await api.call('GET', path, { as: { ...ROOT, extra } })
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
    const outcome = await api.call(method, path, { as: { ...ROOT, extra: { [SESSION]: [ID] } } })
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
    const as = { ...ROOT, extra: { [SESSION]: [ID] } }
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
    { name: 'an administrator', as: ROOT },
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
      as: { ...ROOT, extra: { [SESSION]: [ID] } },
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
