/**
 * Everything as it is installed, in a real API server, and people with real tokens to try it with:
 * ana may exec by RBAC, oncall may approve, helper may impersonate people.
 */
import type { ControlPlaneOptions } from '../../../lib/cluster/control-plane.ts'
import {
  installResources,
  manifests,
  namespaceNamed,
  startApi,
  statusOf,
  until,
  type Api,
  type KubeObject,
  type Person,
} from './harness.ts'
import { requestNamed, REQUESTS } from './requests.ts'

export const SESSION = 'podgate.dev/session'
export const ID = 's-0123456789abcdef'
export const EXEC = '/api/v1/namespaces/shop/pods/web-0/exec?command=sh&stdout=true'

export const CLOSED = 'use kubectl with the kubeconfig of the gateway'

export const ROOT: Person = { username: 'root', groups: ['system:masters'] }

export function clusterRole(name: string, resources: string[], verbs: string[]): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name },
    rules: [{ apiGroups: [''], resources, verbs }],
  }
}

export function binding(
  name: string,
  role: string,
  subject: object,
  inNamespace?: string,
): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: inNamespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(inNamespace === undefined ? {} : { namespace: inNamespace }) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [subject],
  }
}

const accountOf = (name: string): object => ({ kind: 'ServiceAccount', name, namespace: 'shop' })

export const group = (name: string): object => ({
  apiGroup: 'rbac.authorization.k8s.io',
  kind: 'Group',
  name,
})

async function tokenOf(api: Api, inNamespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${inNamespace}/serviceaccounts/${name}/token`
  const { body } = await api.call('POST', path, {
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  })
  const { token } = statusOf<{ token: string }>(body)
  if (token === undefined) throw new Error(`no token for ${name}`)
  return token
}

/** People: ana may exec by RBAC, oncall may approve, helper may impersonate people but no session. */
async function installPeople(api: Api): Promise<void> {
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

export interface Shipped {
  api: Api
  gatewayToken: string
  anaToken: string
  helperToken: string
}

export interface ShippedOptions extends Pick<ControlPlaneOptions, 'apiServer'> {
  /** Takes the place of an object of charts/podgate/files. */
  change?: (object: KubeObject) => KubeObject
}

export async function startShipped(options: ShippedOptions = {}): Promise<Shipped> {
  const { change = (object) => object, ...where } = options
  const api = await startApi({ controllerManager: true, ...where })
  await installResources(api)
  await api.create(namespaceNamed('shop'))
  await api.create(namespaceNamed('open', { 'podgate.dev/guard': 'disabled' }))
  await installPeople(api)
  // Before the guard, which lets nobody fetch these any more.
  const anaToken = await tokenOf(api, 'shop', 'ana')
  const helperToken = await tokenOf(api, 'shop', 'helper')
  for (const object of manifests('charts/podgate/files')) await api.create(change(object))
  const gatewayToken = await tokenOf(api, 'podgate-system', 'podgate')
  const probe = requestNamed('probe')
  await until('the policies hold', async () => {
    const made = await api.call('POST', `${REQUESTS}?dryRun=All`, { body: probe })
    const direct = await api.callWithToken(anaToken, 'GET', EXEC)
    return made.code === 403 && direct.message.includes(CLOSED)
  })
  return { api, gatewayToken, anaToken, helperToken }
}
