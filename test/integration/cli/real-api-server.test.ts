/**
 * `kubectl approve` against a real API server with our custom resources and the admission policy
 * that guards decisions: what the fake of the other tests claims about it holds.
 */
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import {
  GATEWAY,
  installResources,
  manifests,
  namespaceNamed,
  startApi,
  statusOf,
  until,
  type Api,
} from '../admission/harness.ts'
import { conditionOf, POLICY, requestNamed, REQUESTS } from '../admission/requests.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

const ALL_RIGHTS = 'all-rights'
const gateway = { username: GATEWAY, groups: [ALL_RIGHTS] }

interface Kubeconfig {
  clusters: { cluster: { server: string } }[]
  users: { user: object }[]
}

let api: Api
let place: Workplace

beforeAll(async () => {
  place = await createWorkplace()
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
  await api.create({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: ALL_RIGHTS },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: ALL_RIGHTS }],
  })
  for (const object of manifests('charts/podgate/files')) {
    if (object.kind.startsWith('ValidatingAdmission') && /approval/.test(object.metadata.name)) {
      await api.create(object)
    }
  }
  await until('the admission policy', async () => {
    const probe = { body: requestNamed('probe') }
    const { code } = await api.call('POST', `${REQUESTS}?dryRun=All`, probe)
    return code === 403
  })
}, 180_000)

afterAll(async () => {
  await api.close()
  await place.remove()
}, 60_000)

/** As one who is let in by the admin's certificate, but is somebody else from there on. */
async function signIn(username: string, ...groups: string[]): Promise<void> {
  const text = await readFile(api.controlPlane.adminKubeconfig, 'utf8')
  const { clusters, users } = parse(text) as Kubeconfig
  const cluster = clusters[0]?.cluster
  const user = { ...users[0]?.user, as: username, 'as-groups': groups }
  await place.kubeconfig(cluster?.server ?? '', cluster ?? {}, user)
}

const approve = (...args: string[]): Promise<Ended> => place.run('kubectl-approve', args)

async function ask(
  name: string,
  approvers: object[] = [{ kind: 'Group', name: 'oncall' }],
): Promise<void> {
  const expiresAt = new Date(Date.now() + 300_000).toISOString()
  const policies = [{ ...POLICY, approvers }]
  const body = requestNamed(name, { expiresAt, approvers, policies })
  const { code, message } = await api.call('POST', REQUESTS, { body, as: gateway })
  expect({ code, message }).toEqual({ code: 200, message: '' })
}

/** Waits for a decision, as the gateway does, and draws the conclusion. */
async function conclude(name: string, type: string): Promise<void> {
  await until(`a decision about ${name}`, async () => {
    const { body } = await api.call('GET', `${REQUESTS}/${name}`)
    return JSON.stringify(body?.status ?? {}).includes('decisions')
  })
  const condition = conditionOf(type, { lastTransitionTime: new Date().toISOString() })
  const { code, message } = await api.call('PATCH', `${REQUESTS}/${name}/status`, {
    contentType: 'application/merge-patch+json',
    body: { status: { conditions: [condition] } },
    as: gateway,
  })
  expect({ code, message }).toEqual({ code: 200, message: '' })
}

describe('kubectl approve on a real API server', () => {
  it('lists, approves as the person the server sees, and waits for the gateway', async () => {
    await ask('apreq-one')
    await signIn('bo', 'oncall', ALL_RIGHTS)
    expect((await approve('-o', 'name')).out).toBe('approvalrequest.podgate.dev/apreq-one\n')
    const [{ code, out, err }] = await Promise.all([
      approve('apreq-one', '--reason', 'INC-1'),
      conclude('apreq-one', 'Approved'),
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(
      /^approvalrequest\.podgate\.dev\/apreq-one approved\nana may exec into shop\/web-0/,
    )
    const { body } = await api.call('GET', `${REQUESTS}/apreq-one`)
    expect(body?.status).toMatchObject({
      decisions: [
        { approver: 'bo', groups: ['oncall', ALL_RIGHTS, 'system:authenticated'], reason: 'INC-1' },
      ],
    })
    expect(await approve('apreq-one')).toMatchObject({ code: 0 })
    expect(await approve('deny', 'apreq-one', '--reason', 'x')).toMatchObject({ code: 1 })
  }, 60_000)

  it('denies', async () => {
    await ask('apreq-two')
    await signIn('bo', 'oncall', ALL_RIGHTS)
    const [{ code, out }] = await Promise.all([
      approve('deny', 'apreq-two', '--reason', 'use the replica'),
      conclude('apreq-two', 'Denied'),
    ])
    expect(out).toBe('approvalrequest.podgate.dev/apreq-two denied\n')
    expect(code).toBe(0)
  }, 60_000)

  it('survives two who decide at the same moment', async () => {
    const both = { kind: 'User', name: 'cy' }
    await ask('apreq-three', [{ kind: 'Group', name: 'oncall' }, both])
    const people = await Promise.all(
      ['bo', 'cy', 'di'].map(async (name) => {
        const own = await createWorkplace()
        const text = await readFile(api.controlPlane.adminKubeconfig, 'utf8')
        const { clusters, users } = parse(text) as Kubeconfig
        const user = { ...users[0]?.user, as: name, 'as-groups': ['oncall', ALL_RIGHTS] }
        await own.kubeconfig(clusters[0]?.cluster.server ?? '', clusters[0]?.cluster ?? {}, user)
        return own
      }),
    )
    // Nobody concludes, so all three may write; each is told that the gateway is silent.
    const ended = await Promise.all(
      people.map((own) => own.run('kubectl-approve', ['apreq-three'])),
    )
    expect(ended.map(({ code, err }) => ({ code, err }))).toEqual(
      people.map(() => ({ code: 4, err: '' })),
    )
    const { body } = await api.call('GET', `${REQUESTS}/apreq-three`)
    const { decisions = [] } = statusOf<{ decisions: { approver: string }[] }>(body)
    expect(decisions.map(({ approver }) => approver).sort()).toEqual(['bo', 'cy', 'di'])
    for (const own of people) await own.remove()
  }, 60_000)

  it('lets nobody decide about their own request', async () => {
    await ask('apreq-four')
    await signIn('ana', 'oncall', ALL_RIGHTS)
    expect(await approve('apreq-four', '-n', 'shop')).toMatchObject({ code: 5 })
  }, 60_000)

  it('says who may not even look', async () => {
    await signIn('eve', 'dev')
    expect(await approve()).toMatchObject({
      code: 3,
      err: expect.stringMatching(/^Error from server \(Forbidden\): .*User "eve" cannot list/),
    })
  }, 60_000)
})
