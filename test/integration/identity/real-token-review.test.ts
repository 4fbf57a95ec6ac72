/**
 * Service accounts before a real API server, with the gateway's rights as they are installed: whose
 * token it is, and that they can be acted as, wholly and only so.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { createServiceAccounts } from '../../../lib/identity/service-account.ts'
import type { User } from '../../../lib/identity/user.ts'
import { type ApiClient, createApiClient } from '../../../lib/kube/api-client.ts'
import { loadEndpoint } from '../../../lib/kube/endpoint.ts'
import { impersonationHeaders } from '../../../lib/kube/impersonate.ts'
import { type Api, statusOf } from '../admission/harness.ts'
import { binding, startShipped } from '../admission/shipped.ts'

const CREDENTIAL = 'authentication.kubernetes.io/credential-id'

let api: Api
let gateway: ApiClient

beforeAll(async () => {
  const shipped = await startShipped()
  ;({ api } = shipped)
  const account = { kind: 'ServiceAccount', name: 'podgate', namespace: 'podgate-system' }
  await api.create(binding('podgate', 'podgate-as-service-account', account, 'open'))
  const endpoint = await loadEndpoint({ kubeconfig: api.controlPlane.adminKubeconfig })
  const { ca } = endpoint.tls
  gateway = createApiClient({
    ...endpoint,
    tls: ca === undefined ? {} : { ca },
    authorization: async () => await Promise.resolve(`Bearer ${shipped.gatewayToken}`),
  })
}, 120_000)

afterAll(async () => {
  gateway.close()
  await api.close()
})

/** In the namespace that the guard leaves out. */
async function accountNamed(name: string): Promise<void> {
  const metadata = { name, namespace: 'open' }
  await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata })
}

async function tokenOf(name: string, audiences?: string[]): Promise<string> {
  const path = `/api/v1/namespaces/open/serviceaccounts/${name}/token`
  const { body, message } = await api.call('POST', path, {
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: audiences === undefined ? {} : { audiences },
    },
  })
  const { token } = statusOf<{ token: string }>(body)
  if (token === undefined) throw new Error(`no token for ${name}: ${message}`)
  return token
}

async function verify(token: string): Promise<User> {
  const accounts = createServiceAccounts({
    client: gateway,
    audiences: ['podgate'],
    now: Date.now,
  })
  return await accounts.verify(token)
}

/** Who the API server takes them for (`kubectl auth whoami`). */
async function whoIs(user: User): Promise<object | undefined> {
  const { status } = await gateway.request<{ status?: { userInfo?: object } }>(
    'POST',
    '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    {
      headers: impersonationHeaders(user),
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    },
  )
  return status?.userInfo
}

describe('a service account of the cluster', () => {
  it('is who it is through the gateway, and the API server is told how it came', async () => {
    await accountNamed('ci')
    const user = await verify(await tokenOf('ci', ['podgate', 'other']))
    expect(user).toMatchObject({
      username: 'system:serviceaccount:open:ci',
      issuer: 'https://kubernetes.default.svc',
      credential: { kind: 'ServiceAccount' },
    })
    const ours = {
      'podgate.dev/issuer': [user.issuer],
      'podgate.dev/token-id': [user.credential.id],
      'podgate.dev/login': ['l-1'],
      'podgate.dev/session': ['s-0123456789'],
    }
    const extra = { ...user.extra, ...ours }
    expect(await whoIs({ ...user, extra })).toEqual({
      username: 'system:serviceaccount:open:ci',
      uid: user.uid,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:open', 'system:authenticated'],
      extra: { ...ours, [CREDENTIAL]: [expect.stringMatching(/^JTI=/)] },
    })
  })

  it('may bring along all that the API server says about one in a pod', async () => {
    await accountNamed('podded')
    const user = await verify(await tokenOf('podded', ['podgate']))
    const key = (name: string): string => `authentication.kubernetes.io/${name}`
    const names = ['pod-name', 'pod-uid', 'node-name', 'node-uid', 'credential-id']
    const extra = Object.fromEntries(names.map((name) => [key(name), [name]]))
    expect(await whoIs({ ...user, extra })).toMatchObject({ extra })
  })

  it.each<[string, string[] | undefined]>([
    ['meant for the API server', undefined],
    ['meant for another program', ['vault']],
  ])('is refused with a token %s', async (name, audiences) => {
    const account = name.replaceAll(' ', '-').toLowerCase()
    await accountNamed(account)
    const token = await tokenOf(account, audiences)
    await expect(verify(token)).rejects.toMatchObject({ id: 1440 })
    // A forger changes the audience; the signature then fails, which only the API server can tell.
    const [head = '', payload = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const changed = Buffer.from(JSON.stringify({ ...claims, aud: ['podgate'] }))
    const forged = [head, changed.toString('base64url'), signature].join('.')
    await expect(verify(forged)).rejects.toMatchObject({ id: 1440 })
  })

  it('is refused once it is deleted', async () => {
    await accountNamed('gone')
    const token = await tokenOf('gone', ['podgate'])
    expect(await api.call('DELETE', '/api/v1/namespaces/open/serviceaccounts/gone')).toMatchObject({
      code: 200,
    })
    await expect(verify(token)).rejects.toMatchObject({ reason: 'Unauthorized', id: 1440 })
  })

  it('is refused as the gateway itself', async () => {
    const path = '/api/v1/namespaces/podgate-system/serviceaccounts/podgate/token'
    const spec = { audiences: ['podgate'] }
    const { body } = await api.call('POST', path, {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
    })
    const { token = '' } = statusOf<{ token: string }>(body)
    await expect(verify(token)).rejects.toMatchObject({
      message: expect.stringContaining('gateway itself'),
    })
  })
})
