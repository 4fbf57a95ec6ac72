/**
 * The admission policy that says who may write what into an approval request, against a real API
 * server. The definition's own rules are taken out and everybody has all rights by RBAC, so that
 * each refusal here is the policy's alone.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import {
  GATEWAY,
  installResources,
  manifests,
  namespaceNamed,
  startApi,
  until,
  type Api,
  type KubeObject,
  type Person,
} from './harness.ts'
import { conditionOf, entry, ONCALL, requestNamed, REQUESTS, writeStatus } from './requests.ts'

const POLICY = 'podgate-approval-integrity'
const ALL_RIGHTS = 'all-rights'

const gateway: Person = { username: GATEWAY, groups: [ALL_RIGHTS] }
const bo: Person = { username: 'bo', groups: ['oncall', ALL_RIGHTS] }
const cy: Person = { username: 'cy', groups: ['oncall', ALL_RIGHTS] }
const ana: Person = { username: 'ana', groups: ['oncall', ALL_RIGHTS] }
const GROUPS = ['oncall', ALL_RIGHTS, 'system:authenticated']

const by = (name: string, changes: object = {}): object =>
  entry(name, { groups: GROUPS, ...changes })

let api: Api
let count = 0

function withoutRules(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRules)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(
    ([key]) => !/^x-kubernetes-(validations|list)/.test(key),
  )
  return Object.fromEntries(kept.map(([key, child]) => [key, withoutRules(child)]))
}

async function isRefusedByPolicy(): Promise<boolean> {
  const outcome = await api.call('POST', `${REQUESTS}?dryRun=All`, { body: requestNamed('probe') })
  return outcome.message.includes(POLICY)
}

beforeAll(async () => {
  api = await startApi()
  await installResources(api, (crd) => withoutRules(crd) as KubeObject)
  await api.create(namespaceNamed('shop'))
  await api.create({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: ALL_RIGHTS },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: ALL_RIGHTS }],
  })
  const shipped = manifests('charts/podgate/files')
  for (const object of shipped.filter(({ metadata }) => metadata.name === POLICY)) {
    await api.create(object)
  }
  await until('the policy holds', isRefusedByPolicy)
}, 120_000)

afterAll(async () => {
  await api.close()
})

interface Before {
  decisions?: Person[]
  conditions?: string[]
}

/** A request of its own for each case, brought into its state in the honest way. */
async function made({ decisions = [], conditions = [] }: Before = {}): Promise<string> {
  const name = `apreq-${count++}`
  const body = requestNamed(name, { approvers: [...ONCALL, { kind: 'User', name: 'cy' }] })
  const created = await api.call('POST', REQUESTS, { as: gateway, body })
  expect(created).toMatchObject({ code: 200 })
  for (const [index, person] of decisions.entries()) {
    const entries = decisions.slice(0, index + 1).map(({ username }) => by(username))
    expect(await writeStatus(api, name, { decisions: entries }, person)).toMatchObject({
      code: 200,
    })
  }
  if (conditions.length > 0) {
    const status = { conditions: conditions.map((type) => conditionOf(type)) }
    expect(await writeStatus(api, name, status, gateway)).toMatchObject({ code: 200 })
  }
  return name
}

describe('a decision', () => {
  it.each<{ name: string; before?: Before; status: object; as: Person; message: string }>([
    {
      name: 'in the name of another',
      status: { decisions: [by('cy')] },
      as: bo,
      message: 'approver must be your own name, bo',
    },
    {
      name: 'with groups that one does not have',
      status: { decisions: [by('bo', { groups: [...GROUPS, 'privacy'] })] },
      as: bo,
      message: 'groups must be your own groups',
    },
    {
      name: 'with fewer groups than one has',
      status: { decisions: [by('bo', { groups: ['oncall'] })] },
      as: bo,
      message: 'groups must be your own groups',
    },
    {
      name: 'with groups in another order',
      status: { decisions: [by('bo', { groups: GROUPS.toReversed() })] },
      as: bo,
      message: 'groups must be your own groups',
    },
    {
      name: 'about one’s own request',
      status: { decisions: [by('ana')] },
      as: ana,
      message: 'nobody decides about their own request',
    },
    {
      name: 'about one’s own request under another spelling',
      status: { decisions: [by('ANA')] },
      as: { ...ana, username: 'ANA' },
      message: 'nobody decides about their own request',
    },
    {
      name: 'by somebody who is no approver',
      status: { decisions: [by('dev', { groups: [ALL_RIGHTS, 'system:authenticated'] })] },
      as: { username: 'dev', groups: [ALL_RIGHTS] },
      message: 'you are not among the approvers of this request: Group oncall, User cy',
    },
    {
      name: 'together with that of another',
      status: { decisions: [by('bo'), by('cy')] },
      as: bo,
      message: 'one decision at a time',
    },
    {
      name: 'twice by one person',
      before: { decisions: [bo] },
      status: { decisions: [by('bo'), by('bo', { verdict: 'Deny' })] },
      as: bo,
      message: 'you have already decided',
    },
    {
      name: 'repeated word for word',
      before: { decisions: [bo] },
      status: { decisions: [by('bo'), by('bo')] },
      as: bo,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'that rewrites one’s own',
      before: { decisions: [bo] },
      status: { decisions: [by('bo', { verdict: 'Deny' })] },
      as: bo,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'that rewrites that of another',
      before: { decisions: [bo] },
      status: { decisions: [by('bo', { verdict: 'Deny' }), by('cy')] },
      as: cy,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'that takes the place of another',
      before: { decisions: [bo] },
      status: { decisions: [by('cy')] },
      as: cy,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'taken back',
      before: { decisions: [bo] },
      status: { decisions: [] },
      as: bo,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'taken back by the gateway',
      before: { decisions: [bo] },
      status: { decisions: [] },
      as: gateway,
      message: 'a decision that was made stays as it is',
    },
    {
      name: 'by the gateway',
      status: { decisions: [by(GATEWAY, { groups: [ALL_RIGHTS, 'system:authenticated'] })] },
      as: gateway,
      message: 'decisions are written by people; the gateway writes none',
    },
    {
      name: 'in the name of a person, by the gateway',
      status: { decisions: [by('bo')] },
      as: gateway,
      message: 'decisions are written by people; the gateway writes none',
    },
    {
      name: 'after the request was decided',
      before: { decisions: [bo], conditions: ['Approved'] },
      status: { decisions: [by('bo'), by('cy', { verdict: 'Deny' })] },
      as: cy,
      message: 'this request is already Approved',
    },
  ])('is refused $name', async ({ before, status, as, message }) => {
    const outcome = await writeStatus(api, await made(before), status, as)
    expect(outcome).toMatchObject({ code: 403, message: expect.stringContaining(POLICY) })
    expect(outcome.message).toContain(message)
  })

  it.each<{ name: string; before?: Before; status: object; as: Person }>([
    { name: 'of one’s own', status: { decisions: [by('bo')] }, as: bo },
    {
      name: 'to deny',
      status: { decisions: [by('bo', { verdict: 'Deny', reason: 'no' })] },
      as: bo,
    },
    {
      name: 'after that of another',
      before: { decisions: [bo] },
      status: { decisions: [by('bo'), by('cy')] },
      as: cy,
    },
    {
      name: 'put before that of another',
      before: { decisions: [bo] },
      status: { decisions: [by('cy'), by('bo')] },
      as: cy,
    },
    {
      name: 'by an approver who is named, not a group’s',
      status: { decisions: [by('cy', { groups: [ALL_RIGHTS, 'system:authenticated'] })] },
      as: { username: 'cy', groups: [ALL_RIGHTS] },
    },
  ])('is taken $name', async ({ before, status, as }) => {
    expect(await writeStatus(api, await made(before), status, as)).toMatchObject({ code: 200 })
  })
})

describe('a condition', () => {
  it.each<{ name: string; before?: Before; status: object; as: Person }>([
    { name: 'by a person', status: { conditions: [conditionOf('Approved')] }, as: bo },
    {
      name: 'by a person, along with an honest decision',
      status: { decisions: [by('bo')], conditions: [conditionOf('Approved')] },
      as: bo,
    },
    {
      name: 'by an administrator',
      status: { conditions: [conditionOf('Approved')] },
      as: { username: 'admin', groups: ['system:masters'] },
    },
    {
      name: 'by an account of the gateway’s name in another namespace',
      status: { conditions: [conditionOf('Approved')] },
      as: { username: 'system:serviceaccount:shop:podgate', groups: [ALL_RIGHTS] },
    },
    {
      name: 'changed by a person',
      before: { conditions: ['Denied'] },
      status: { conditions: [conditionOf('Approved')] },
      as: bo,
    },
    {
      name: 'removed by a person',
      before: { conditions: ['Denied'] },
      status: { conditions: null },
      as: bo,
    },
  ])('is refused $name', async ({ before, status, as }) => {
    const outcome = await writeStatus(api, await made(before), status, as)
    expect(outcome).toMatchObject({
      code: 403,
      message: expect.stringContaining('conditions are written by the gateway alone'),
    })
  })

  it('is taken from the gateway', async () => {
    const name = await made({ decisions: [bo] })
    const status = { conditions: [conditionOf('Approved'), conditionOf('Consumed')] }
    expect(await writeStatus(api, name, status, gateway)).toMatchObject({ code: 200 })
  })
})

describe('a request', () => {
  const label = { metadata: { labels: { a: 'b' } } }
  const patch = 'application/merge-patch+json'
  const asked = { spec: { command: ['rm'] } }

  it.each<{ name: string; method: string; as: Person; body?: object; at?: string }>([
    { name: 'made by a person', method: 'POST', as: bo, body: requestNamed('mine') },
    { name: 'labelled by a person', method: 'PATCH', as: bo, body: label },
    { name: 'rewritten by a person', method: 'PATCH', as: ana, body: asked },
    { name: 'deleted by a person', method: 'DELETE', as: bo },
    { name: 'deleted with all others', method: 'DELETE', as: bo, at: REQUESTS },
    {
      name: 'made by the account that cleans up',
      method: 'POST',
      as: {
        username: 'system:serviceaccount:kube-system:namespace-controller',
        groups: [ALL_RIGHTS],
      },
      body: requestNamed('cleaner'),
    },
  ])('is refused when $name', async ({ method, as, body, at }) => {
    const name = await made()
    const path = at ?? (method === 'POST' ? REQUESTS : `${REQUESTS}/${name}`)
    const outcome = await api.call(method, path, {
      as,
      ...(body === undefined ? {} : { body }),
      ...(method === 'PATCH' ? { contentType: patch } : {}),
    })
    expect(outcome).toMatchObject({
      code: 403,
      message: expect.stringContaining('only the gateway makes approval requests'),
    })
    expect(await api.call('GET', `${REQUESTS}/${name}`)).toMatchObject({ code: 200 })
  })

  it('is not rewritten by the gateway either', async () => {
    const outcome = await api.call('PATCH', `${REQUESTS}/${await made()}`, {
      as: gateway,
      contentType: patch,
      body: asked,
    })
    expect(outcome).toMatchObject({
      code: 403,
      message: expect.stringContaining('what is asked for never changes'),
    })
  })

  it('is labelled and deleted by the gateway', async () => {
    const path = `${REQUESTS}/${await made()}`
    const labelled = { as: gateway, contentType: patch, body: label }
    expect(await api.call('PATCH', path, labelled)).toMatchObject({ code: 200 })
    expect(await api.call('DELETE', path, { as: gateway })).toMatchObject({ code: 200 })
  })

  it('is deleted with its namespace', async () => {
    const username = 'system:serviceaccount:kube-system:namespace-controller'
    const as = { username, groups: [ALL_RIGHTS] }
    expect(await api.call('DELETE', `${REQUESTS}/${await made()}`, { as })).toMatchObject({
      code: 200,
    })
  })
})
