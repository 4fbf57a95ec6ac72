/**
 * Rules of our policies on whom they are about and how those have signed in, against a real API
 * server; see policy-rules.test.ts for the others.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { installResources, namespaceNamed, startApi, type Api } from './harness.ts'
import { GROUP, KINDS, tryPolicy, type Refused } from './policies.ts'

let api: Api

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
})

const ROBOT = { kind: 'ServiceAccount', name: 'robot', namespace: 'ci' }

const approval = (approver: object): object => ({
  approval: { mode: 'Session', approvers: [approver] },
})

describe.each(KINDS)('$kind', ({ kind, path }) => {
  it.each<Refused>([
    {
      name: 'a user of a namespace',
      spec: { subjects: [{ kind: 'User', name: 'ana', namespace: 'ci' }] },
      field: 'spec.subjects[0].namespace',
      message: 'only a ServiceAccount has a namespace',
    },
    {
      name: 'a group of a namespace',
      spec: { subjects: [{ kind: 'Group', name: 'dev', namespace: 'ci' }] },
      field: 'spec.subjects[0].namespace',
      message: 'only a ServiceAccount has a namespace',
    },
    {
      name: 'a service account by its long name',
      spec: { subjects: [{ ...ROBOT, name: 'system:serviceaccount:ci:robot' }] },
      field: 'spec.subjects[0].name',
      message: 'a ServiceAccount is named as it is in its namespace',
    },
    {
      name: 'a namespace that no namespace can be called',
      spec: { subjects: [{ ...ROBOT, namespace: 'ci:robot' }] },
      field: 'spec.subjects[0].namespace',
    },
    {
      name: 'the same service account twice',
      spec: { subjects: [ROBOT, ROBOT] },
      field: 'spec.subjects[1]',
    },
    {
      name: 'approval by a service account',
      spec: approval({ kind: 'ServiceAccount', name: 'robot' }),
      field: 'spec.approval.approvers[0].kind',
    },
    {
      name: 'approval by a service account that is called a user',
      spec: approval({ kind: 'User', name: 'system:serviceaccount:ci:robot' }),
      field: 'spec.approval.approvers[0].name',
      message: 'a service account is no second pair of eyes',
    },
    {
      name: 'approval by all service accounts',
      spec: approval({ kind: 'Group', name: 'system:serviceaccounts' }),
      field: 'spec.approval.approvers[0].name',
      message: 'a service account is no second pair of eyes',
    },
  ])('refuses $name', async ({ spec, field, message = '' }) => {
    const outcome = await tryPolicy(api, kind, path, spec)
    expect(outcome.code).toBe(422)
    const causes = outcome.status?.details?.causes ?? []
    expect(causes.map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
  })
})

describe('a service account without a namespace', () => {
  const spec = { subjects: [{ kind: 'ServiceAccount', name: 'robot' }] }

  it('is of the namespace of an AccessPolicy', async () => {
    const path = `${GROUP}/namespaces/shop/accesspolicies`
    expect(await tryPolicy(api, 'AccessPolicy', path, spec)).toMatchObject({ code: 200 })
  })

  it('is refused in a ClusterAccessPolicy, which has none', async () => {
    const path = `${GROUP}/clusteraccesspolicies`
    const outcome = await tryPolicy(api, 'ClusterAccessPolicy', path, spec)
    expect(outcome).toMatchObject({
      code: 422,
      message: expect.stringContaining('a ServiceAccount needs the namespace that it is of'),
    })
    expect(outcome.status?.details?.causes?.[0]?.field).toBe('spec.subjects[0].namespace')
  })
})
