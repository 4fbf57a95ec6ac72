// Every rule in the definition of ApprovalRequest, against a real API server. Without admission
// policies, and as an administrator whom nothing else stops.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { installResources, namespaceNamed, startApi, type Api } from './harness.ts'
import {
  conditionOf,
  DEBUG,
  entry,
  NOWHERE,
  ONCALL,
  POLICY,
  requestNamed,
  REQUESTS,
  TARGET,
  writeStatus,
} from './requests.ts'

let api: Api
let count = 0

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
})

/** A request of its own for each case, in the state that the case begins with. */
async function made(status?: object): Promise<string> {
  const name = `apreq-${count++}`
  await api.create(requestNamed(name))
  if (status !== undefined) {
    expect(await writeStatus(api, name, status)).toMatchObject({ code: 200 })
  }
  return name
}

const BO = entry('bo')
const APPROVED = conditionOf('Approved')

describe('the spec of a request', () => {
  it.each([
    { name: 'the command', change: { command: ['rm'] } },
    { name: 'the pod', change: { target: { podUID: 'p-2' } } },
    { name: 'the approvers', change: { approvers: [{ kind: 'User', name: 'mallory' }] } },
    { name: 'the expiry', change: { expiresAt: '2036-11-22T10:30:00Z' } },
    { name: 'the requester', change: { requester: { username: 'mallory' } } },
  ])('never changes: $name', async ({ change }) => {
    const outcome = await api.call('PATCH', `${REQUESTS}/${await made()}`, {
      contentType: 'application/merge-patch+json',
      body: { spec: change },
    })
    expect(outcome).toMatchObject({
      code: 422,
      message: expect.stringContaining('a request never changes; ask anew by running the command'),
    })
  })

  it.each([
    {
      name: 'Exec without a command',
      spec: { command: [] },
      message: 'Exec and Copy need a command',
    },
    {
      name: 'Copy without a command',
      spec: { operation: 'Copy', command: [] },
      message: 'Exec and Copy need a command',
    },
    {
      name: 'PortForward with a command',
      spec: { operation: 'PortForward' },
      message: 'PortForward, Proxy and TokenRequest run nothing',
    },
    {
      name: 'Exec in no pod',
      spec: { target: { ...TARGET, pod: '' } },
      message: 'name the pod',
    },
    {
      name: 'Exec in a pod without an id',
      spec: { target: { ...TARGET, podUID: '' } },
      message: 'name the pod',
    },
    {
      name: 'Exec in no container',
      spec: { target: { ...TARGET, container: '' } },
      message: 'name the container',
    },
    {
      name: 'ports of Exec',
      spec: { target: { ...TARGET, ports: [80] } },
      message: 'ports are for PortForward and Proxy',
    },
    {
      name: 'a service of Exec',
      spec: { target: { ...TARGET, service: 'web' } },
      message: 'a service is for Proxy',
    },
    {
      name: 'Proxy of nothing',
      spec: { operation: 'Proxy', command: [], target: NOWHERE },
      message: 'name the pod or the service',
    },
    {
      name: 'a token of nobody',
      spec: { operation: 'TokenRequest', command: [], target: NOWHERE },
      message: 'TokenRequest names a service account',
    },
    {
      name: 'a service account of Exec',
      spec: { target: { ...TARGET, serviceAccount: 'ci' } },
      message: 'TokenRequest names a service account',
    },
    {
      name: 'Debug of nobody knows what',
      spec: { operation: 'Debug' },
      message: 'Debug says what is added',
    },
    { name: 'an Exec that debugs', spec: { debug: DEBUG }, message: 'Debug says what is added' },
    {
      name: 'acting as others, which belongs to no namespace',
      spec: { operation: 'Impersonate', command: [] },
      message: 'Unsupported value',
    },
    {
      name: 'Attach with a command',
      spec: { operation: 'Attach' },
      message: 'Attach joins a process that already runs, so it takes no command',
    },
    {
      name: 'an operation of its own',
      spec: { operation: 'Cordon' },
      message: 'Unsupported value',
    },
    { name: 'a digest that is none', spec: { digest: 'sha256:0' }, message: 'spec.digest' },
    { name: 'no policies', spec: { policies: [] }, message: 'spec.policies' },
    { name: 'no approvers', spec: { approvers: [] }, message: 'spec.approvers' },
    {
      name: 'an approval for ever',
      spec: { validFor: '9999h' },
      message: 'validFor is between 1s and 24h',
    },
    { name: 'an expiry that is no time', spec: { expiresAt: 'never' }, message: 'spec.expiresAt' },
  ])('is refused with $name', async ({ spec, message }) => {
    const outcome = await api.call('POST', `${REQUESTS}?dryRun=All&fieldValidation=Strict`, {
      body: requestNamed('dry', spec),
    })
    expect(outcome).toMatchObject({ code: 422, message: expect.stringContaining(message) })
  })

  it.each([
    { name: 'Attach', spec: { operation: 'Attach', command: [] } },
    { name: 'Copy', spec: { operation: 'Copy', command: ['tar', 'cf', '-', '/tmp/x'] } },
    {
      name: 'Logs of all containers',
      spec: { operation: 'Logs', target: { ...TARGET, container: '', image: '' } },
    },
    {
      name: 'PortForward',
      spec: {
        operation: 'PortForward',
        command: [],
        target: { ...TARGET, container: '', image: '' },
      },
    },
    {
      name: 'PortForward of a port',
      spec: { operation: 'PortForward', command: [], target: { ...TARGET, ports: [5432] } },
    },
    {
      name: 'Debug of a pod that is not there yet',
      spec: { operation: 'Debug', debug: DEBUG, target: { ...TARGET, podUID: '' } },
    },
    {
      name: 'Proxy of a service',
      spec: {
        operation: 'Proxy',
        command: [],
        target: { ...NOWHERE, service: 'web', ports: [80] },
      },
    },
    {
      name: 'TokenRequest',
      spec: {
        operation: 'TokenRequest',
        command: [],
        target: { ...NOWHERE, serviceAccount: 'ci' },
      },
    },
    { name: 'arguments of 20,000 characters', spec: { command: ['sh', 'x'.repeat(20_000)] } },
    {
      name: 'approvers of each policy',
      spec: { policies: [POLICY, { ...POLICY, approvers: ONCALL }] },
    },
  ])('is taken: $name', async ({ spec }) => {
    const outcome = await api.call('POST', `${REQUESTS}?dryRun=All&fieldValidation=Strict`, {
      body: requestNamed('dry', spec),
    })
    expect(outcome).toMatchObject({ code: 200 })
  })

  it('begins without a status, whatever its maker sends', async () => {
    const forged = { ...requestNamed('dry'), status: { decisions: [BO], conditions: [APPROVED] } }
    const outcome = await api.call('POST', `${REQUESTS}?dryRun=All`, { body: forged })
    expect(outcome.code).toBe(200)
    expect(outcome.body).not.toHaveProperty('status')
  })
})

async function find(selector: string): Promise<string> {
  const { body } = await api.call('GET', `${REQUESTS}?fieldSelector=${selector}`)
  return JSON.stringify(body?.['items'])
}

interface StatusRow {
  name: string
  before?: object
  after: object | null
  message: string
}

describe('the status of a request', () => {
  it.each<StatusRow>([
    {
      name: 'a decision taken back',
      before: { decisions: [BO, entry('cy')] },
      after: { decisions: [BO] },
      message: 'what was decided cannot be taken back',
    },
    {
      name: 'all decisions taken back',
      before: { decisions: [BO] },
      after: { decisions: null },
      message: 'what was decided cannot be taken back',
    },
    {
      name: 'the whole status taken back',
      before: { decisions: [BO] },
      after: null,
      message: 'what was decided cannot be taken back',
    },
    {
      name: 'a decision rewritten',
      before: { decisions: [BO] },
      after: { decisions: [entry('bo', { verdict: 'Deny' })] },
      message: 'a decision cannot be rewritten',
    },
    {
      name: 'a second entry of one person',
      before: { decisions: [BO] },
      after: { decisions: [BO, entry('bo', { verdict: 'Deny' })] },
      message: 'Duplicate value',
    },
    {
      name: 'a verdict of its own',
      after: { decisions: [entry('bo', { verdict: 'Maybe' })] },
      message: 'Unsupported value: "Maybe"',
    },
    {
      name: 'a condition removed',
      before: { conditions: [conditionOf('Denied')] },
      after: { conditions: [] },
      message: 'a condition of a request is final',
    },
    {
      name: 'all conditions removed',
      before: { conditions: [conditionOf('Denied')] },
      after: { conditions: null },
      message: 'a condition of a request is final',
    },
    {
      name: 'a condition with a new time',
      before: { conditions: [APPROVED] },
      after: {
        conditions: [conditionOf('Approved', { lastTransitionTime: '2027-01-01T00:00:00Z' })],
      },
      message: 'a condition of a request is final',
    },
    {
      name: 'a condition that does not hold',
      after: { conditions: [conditionOf('Approved', { status: 'False' })] },
      message: 'Unsupported value: "False"',
    },
    {
      name: 'a condition of its own',
      after: { conditions: [conditionOf('Escalated')] },
      message: 'Unsupported value: "Escalated"',
    },
    {
      name: 'both Approved and Denied',
      before: { conditions: [APPROVED] },
      after: { conditions: [APPROVED, conditionOf('Denied')] },
      message: 'a request is approved or denied, never both',
    },
    {
      name: 'Consumed without Approved',
      after: { conditions: [conditionOf('Consumed')] },
      message: 'only an approved request can be consumed',
    },
  ])('refuses $name', async ({ before, after, message }) => {
    const outcome = await writeStatus(api, await made(before), after)
    expect(outcome).toMatchObject({ code: 422, message: expect.stringContaining(message) })
  })

  it.each<Omit<StatusRow, 'message'>>([
    { name: 'a first decision', after: { decisions: [BO] } },
    {
      name: 'a further decision',
      before: { decisions: [BO] },
      after: { decisions: [BO, entry('cy')] },
    },
    {
      name: 'a conclusion',
      before: { decisions: [BO] },
      after: { decisions: [BO], conditions: [APPROVED] },
    },
    {
      name: 'an approval that was spent',
      before: { conditions: [APPROVED] },
      after: { conditions: [APPROVED, conditionOf('Consumed')] },
    },
    {
      name: 'an approval that ran out',
      before: { conditions: [APPROVED] },
      after: { conditions: [APPROVED, conditionOf('Expired')] },
    },
  ])('takes $name', async ({ before, after }) => {
    expect(await writeStatus(api, await made(before), after)).toMatchObject({ code: 200 })
  })
})

describe('kubectl get', () => {
  interface Table {
    columnDefinitions: { name: string; priority: number }[]
    rows: { cells: unknown[] }[]
  }
  async function table(name: string): Promise<Table> {
    const { body } = await api.call('GET', `${REQUESTS}/${name}`, {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    return body as unknown as Table
  }

  it('shows who, where, state and expiry', async () => {
    const name = await made({ decisions: [BO] })
    const { columnDefinitions, rows } = await table(name)
    const shown = columnDefinitions.map((column) => column.name)
    expect(shown.slice(0, 5)).toEqual(['Name', 'Requester', 'Target', 'State', 'Expires'])
    const wide = columnDefinitions.filter(({ priority }) => priority > 0)
    expect(wide.map((column) => column.name)).toEqual([
      'Operation',
      'Container',
      'Command',
      'Reason',
    ])
    expect(rows[0]?.cells.slice(0, 5)).toEqual([name, 'ana', 'web-0', null, '2026-11-22T10:30:00Z'])
  })

  it('shows the last condition as the state', async () => {
    const name = await made({ decisions: [BO], conditions: [APPROVED] })
    expect((await table(name)).rows[0]?.cells[3]).toBe('Approved')
    await writeStatus(api, name, {
      decisions: [BO],
      conditions: [APPROVED, conditionOf('Consumed')],
    })
    expect((await table(name)).rows[0]?.cells[3]).toBe('Consumed')
  })

  it('finds requests by requester and by pod', async () => {
    const name = await made()
    expect(await find('spec.requester.username%3Dana')).toContain(name)
    expect(await find('spec.requester.username%3Dbo')).toBe('[]')
    expect(await find('spec.target.pod%3Dweb-0')).toContain(name)
    expect(await find('spec.target.pod%3Dweb-1')).toBe('[]')
  })

  it('knows all kinds by short name and category', async () => {
    const { body } = await api.call('GET', '/apis/podgate.dev/v1alpha1')
    const resources = body?.['resources'] as {
      name: string
      shortNames?: string[]
      categories?: string[]
    }[]
    const main = resources.filter(({ name }) => !name.includes('/'))
    expect(main.map(({ name, shortNames }) => [name, shortNames?.join()])).toEqual(
      expect.arrayContaining([
        ['accesspolicies', 'apol'],
        ['clusteraccesspolicies', 'capol'],
        ['approvalrequests', 'apreq'],
      ]),
    )
    for (const { categories } of main) expect(categories).toEqual(['podgate'])
  })
})
