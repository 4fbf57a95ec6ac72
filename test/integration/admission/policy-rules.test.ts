/**
 * Every rule of our custom resources, against a real API server: what is refused, at which field,
 * and what passes. Without admission policies, so that only the definitions speak.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { installResources, namespaceNamed, startApi, type Api, type Outcome } from './harness.ts'

const GROUP = '/apis/podgate.dev/v1alpha1'
const KINDS = [
  { kind: 'AccessPolicy', path: `${GROUP}/namespaces/shop/accesspolicies` },
  { kind: 'ClusterAccessPolicy', path: `${GROUP}/clusteraccesspolicies` },
]

let api: Api

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
})

const SUBJECTS = [{ kind: 'Group', name: 'dev' }]
const APPROVERS = [{ kind: 'Group', name: 'oncall' }]
const MATCH = { operations: ['Exec'] }

/** As `kubectl apply --dry-run=server` does it: strictly, and leaving nothing behind. */
async function tryPolicy(kind: string, path: string, spec: object): Promise<Outcome> {
  return await api.call('POST', `${path}?dryRun=All&fieldValidation=Strict`, {
    body: {
      apiVersion: 'podgate.dev/v1alpha1',
      kind,
      metadata: { name: 'p' },
      spec: { subjects: SUBJECTS, match: MATCH, ...spec },
    },
  })
}

interface Refused {
  name: string
  spec: object
  field: string
  message?: string
}

const expression = (fields: object): object => ({
  match: { ...MATCH, podSelector: { matchExpressions: [{ key: 'app', ...fields }] } },
})
const expressionAt = 'spec.match.podSelector.matchExpressions[0]'
const approval = (fields: object): object => ({
  approval: { mode: 'Session', approvers: APPROVERS, ...fields },
})

const about = (...operations: string[]): { operations: string[] } => ({ operations })
const MASKING = { detectors: ['Email'] }

/** Of fields that belong to some operations only; the same for both kinds. */
const OPERATION_RULES: Refused[] = [
  ...['copy', 'debug', 'recording'].map((field) => ({
    name: `a Deny with ${field}`,
    spec: {
      effect: 'Deny',
      match: about('Copy', 'Debug'),
      copy: { maxBytes: '1Mi' },
      debug: { privileged: true },
      recording: { content: 'Full' },
    },
    field: `spec.${field}`,
    message: 'a Deny policy lets nothing through',
  })),
  {
    name: 'ports of a shell',
    spec: { match: { ...MATCH, ports: [80] } },
    field: 'spec.match.ports',
    message: 'ports is about PortForward and Proxy, which operations do not name',
  },
  {
    name: 'a port that is none',
    spec: { match: { ...about('PortForward'), ports: [65_536] } },
    field: 'spec.match.ports[0]',
  },
  {
    name: 'the port 0',
    spec: { match: { ...about('PortForward'), ports: [0] } },
    field: 'spec.match.ports[0]',
  },
  {
    name: 'services without Proxy',
    spec: { match: { ...about('PortForward'), services: ['web'] } },
    field: 'spec.match.services',
    message: 'services is about Proxy',
  },
  {
    name: 'service accounts without TokenRequest',
    spec: { match: { ...MATCH, serviceAccounts: ['ci'] } },
    field: 'spec.match.serviceAccounts',
    message: 'serviceAccounts is about TokenRequest',
  },
  {
    name: 'tokens of whatever service account',
    spec: { match: about('TokenRequest') },
    field: 'spec.match.serviceAccounts',
    message: 'name the service accounts that tokens may be minted for',
  },
  {
    name: 'services of pods with a label',
    spec: {
      match: {
        ...about('Proxy'),
        services: ['web'],
        podSelector: { matchLabels: { app: 'web' } },
      },
    },
    field: 'spec.match.podSelector',
    message: 'a podSelector makes the policy one about pods',
  },
  ...['PortForward', 'Proxy', 'TokenRequest'].map((operation) => ({
    name: `masking of ${operation}`,
    spec: { match: { ...about('Exec', operation), serviceAccounts: ['ci'] }, masking: MASKING },
    field: 'spec.masking',
    message: 'raw connections, foreign HTTP and tokens cannot be masked',
  })),
  {
    name: 'limits of copies where there are none',
    spec: { copy: { maxBytes: '1Mi' } },
    field: 'spec.copy',
    message: 'copy is about Copy',
  },
  {
    name: 'masked text without masking',
    spec: { match: about('Copy'), copy: { maskText: true } },
    field: 'spec.copy.maskText',
    message: 'maskText needs masking',
  },
  {
    name: 'a relative path',
    spec: { match: about('Copy'), copy: { paths: ['var/log/*'] } },
    field: 'spec.copy.paths[0]',
  },
  {
    name: 'a size in metric units',
    spec: { match: about('Copy'), copy: { maxBytes: '1MB' } },
    field: 'spec.copy.maxBytes',
  },
  {
    name: 'a third direction',
    spec: { match: about('Copy'), copy: { directions: ['Sideways'] } },
    field: 'spec.copy.directions[0]',
  },
  {
    name: 'limits of debugging where there is none',
    spec: { debug: { privileged: false } },
    field: 'spec.debug',
    message: 'debug is about Debug',
  },
  {
    name: 'a capability as the kernel writes it',
    spec: { match: about('Debug'), debug: { capabilities: ['CAP_NET_ADMIN'] } },
    field: 'spec.debug.capabilities[0]',
    message: 'a capability is written without CAP_',
  },
  {
    name: 'another content',
    spec: { recording: { content: 'None' } },
    field: 'spec.recording.content',
  },
]

describe.each(KINDS)('$kind', ({ kind, path }) => {
  it.each<Refused>([
    {
      name: 'a Deny that demands approval',
      spec: { effect: 'Deny', approval: { mode: 'Session', approvers: APPROVERS } },
      field: 'spec.approval',
      message: 'a Deny policy lets nothing through, so it cannot demand approval',
    },
    {
      name: 'a Deny that masks',
      spec: { effect: 'Deny', masking: { detectors: ['Email'] } },
      field: 'spec.masking',
      message: 'a Deny policy lets nothing through, so it has nothing to mask',
    },
    { name: 'another effect', spec: { effect: 'Audit' }, field: 'spec.effect' },
    { name: 'no subjects', spec: { subjects: [] }, field: 'spec.subjects' },
    {
      name: 'a kind of subject that is not there yet',
      spec: { subjects: [{ kind: 'ServiceAccount', name: 'x' }] },
      field: 'spec.subjects[0].kind',
    },
    {
      name: 'the same subject twice',
      spec: { subjects: [...SUBJECTS, ...SUBJECTS] },
      field: 'spec.subjects[1]',
    },
    {
      name: 'a subject without a name',
      spec: { subjects: [{ kind: 'User', name: '' }] },
      field: 'spec.subjects[0].name',
    },
    { name: 'no operations', spec: { match: {} }, field: 'spec.match.operations' },
    {
      name: 'an empty list of operations',
      spec: { match: { operations: [] } },
      field: 'spec.match.operations',
    },
    {
      name: 'an operation that is not there yet',
      spec: { match: { operations: ['Cordon'] } },
      field: 'spec.match.operations[0]',
    },
    {
      name: 'a container no container can be called',
      spec: { match: { ...MATCH, containers: ['Main'] } },
      field: 'spec.match.containers[0]',
    },
    {
      name: 'a label key that no label can have',
      spec: { match: { ...MATCH, podSelector: { matchLabels: { 'a b': 'c' } } } },
      field: 'spec.match.podSelector.matchLabels',
      message: 'a label key is a name of at most 63 characters',
    },
    {
      name: 'a label value that no label can have',
      spec: { match: { ...MATCH, podSelector: { matchLabels: { a: 'b c' } } } },
      field: 'spec.match.podSelector.matchLabels.a',
    },
    {
      name: 'In without values',
      spec: expression({ operator: 'In' }),
      field: `${expressionAt}.values`,
      message: 'In and NotIn need at least one value',
    },
    {
      name: 'NotIn with an empty list',
      spec: expression({ operator: 'NotIn', values: [] }),
      field: `${expressionAt}.values`,
      message: 'In and NotIn need at least one value',
    },
    {
      name: 'Exists with values',
      spec: expression({ operator: 'Exists', values: ['a'] }),
      field: `${expressionAt}.values`,
      message: 'Exists and DoesNotExist take no values',
    },
    {
      name: 'DoesNotExist with values',
      spec: expression({ operator: 'DoesNotExist', values: ['a'] }),
      field: `${expressionAt}.values`,
      message: 'Exists and DoesNotExist take no values',
    },
    {
      name: 'an operator no selector has',
      spec: expression({ operator: 'Gt', values: ['1'] }),
      field: `${expressionAt}.operator`,
    },
    {
      name: 'approval by nobody',
      spec: { approval: { mode: 'Session' } },
      field: 'spec.approval.approvers',
      message: 'name who may approve',
    },
    {
      name: 'approvers who are never asked',
      spec: { approval: { mode: 'Never', approvers: APPROVERS } },
      field: 'spec.approval.approvers',
      message: 'with mode Never nobody is asked',
    },
    { name: 'approval without a mode', spec: { approval: {} }, field: 'spec.approval.mode' },
    {
      name: 'approval of each command, which is not there yet',
      spec: approval({ mode: 'Command' }),
      field: 'spec.approval.mode',
    },
    {
      name: 'a wait of no time',
      spec: approval({ wait: '0s' }),
      field: 'spec.approval.wait',
      message: 'wait is between 1s and 1h',
    },
    {
      name: 'a wait of more than an hour',
      spec: approval({ wait: '61m' }),
      field: 'spec.approval.wait',
      message: 'wait is between 1s and 1h',
    },
    { name: 'a wait without a unit', spec: approval({ wait: '5' }), field: 'spec.approval.wait' },
    {
      name: 'an approval that holds for no time',
      spec: approval({ validFor: '0m' }),
      field: 'spec.approval.validFor',
      message: 'validFor is between 1s and 24h',
    },
    {
      name: 'an approval that holds for more than a day',
      spec: approval({ validFor: '24h1s' }),
      field: 'spec.approval.validFor',
      message: 'validFor is between 1s and 24h',
    },
    {
      name: 'an approval that holds for ever',
      spec: approval({ validFor: '999999999999h' }),
      field: 'spec.approval.validFor',
    },
    {
      name: 'masking of nothing',
      spec: { masking: {} },
      field: 'spec.masking',
      message: 'name at least one detector or pattern',
    },
    {
      name: 'a detector that is not there yet',
      spec: { masking: { detectors: ['Jwt'] } },
      field: 'spec.masking.detectors[0]',
    },
    {
      name: 'a way of masking that is not there yet',
      spec: { masking: { detectors: ['Email'], mode: 'Label' } },
      field: 'spec.masking.mode',
    },
    {
      name: 'two patterns of one name',
      spec: {
        masking: {
          patterns: [
            { name: 'a', pattern: 'x' },
            { name: 'a', pattern: 'y' },
          ],
        },
      },
      field: 'spec.masking.patterns[1]',
    },
    {
      name: 'a pattern without a name',
      spec: { masking: { patterns: [{ pattern: 'x' }] } },
      field: 'spec.masking.patterns[0].name',
    },
    ...OPERATION_RULES,
  ])('refuses $name', async ({ spec, field, message = '' }) => {
    const outcome = await tryPolicy(kind, path, spec)
    expect(outcome.code).toBe(422)
    const causes = outcome.status?.details?.causes ?? []
    expect(causes.map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
  })

  it.each([
    { name: 'guard', spec: { guard: [] }, field: 'spec.guard' },
    {
      name: 'recording.keep',
      spec: { recording: { content: 'Full', keep: '1d' } },
      field: 'spec.recording.keep',
    },
    { name: 'session', spec: { session: {} }, field: 'spec.session' },
    {
      name: 'match.conditions',
      spec: { match: { ...MATCH, conditions: [] } },
      field: 'spec.match.conditions',
    },
    { name: 'approval.required', spec: approval({ required: 2 }), field: 'spec.approval.required' },
    { name: 'approval.maxUses', spec: approval({ maxUses: 2 }), field: 'spec.approval.maxUses' },
  ])('does not swallow $name, which it does not know', async ({ spec, field }) => {
    const outcome = await tryPolicy(kind, path, spec)
    expect(outcome).toMatchObject({
      code: 400,
      message: expect.stringContaining(`unknown field "${field}"`),
    })
  })

  it('fills in what is left out', async () => {
    const { body } = await tryPolicy(kind, path, {
      approval: { mode: 'Session', approvers: APPROVERS },
      masking: { detectors: ['Email'] },
    })
    expect(body?.['spec']).toEqual({
      effect: 'Allow',
      subjects: SUBJECTS,
      match: MATCH,
      approval: { mode: 'Session', approvers: APPROVERS, wait: '5m', validFor: '30m' },
      masking: { detectors: ['Email'], mode: 'Redact' },
    })
  })

  it('takes everything that it knows', async () => {
    const outcome = await tryPolicy(kind, path, {
      effect: 'Allow',
      subjects: [...SUBJECTS, { kind: 'User', name: 'ana@corp' }],
      match: {
        operations: ['Exec', 'Attach'],
        podSelector: {
          matchLabels: { 'app.kubernetes.io/name': 'web', tier: '' },
          matchExpressions: [
            { key: 'a', operator: 'In', values: ['x', 'y'] },
            { key: 'b', operator: 'NotIn', values: ['z'] },
            { key: 'c', operator: 'Exists' },
            { key: 'd.io/e', operator: 'DoesNotExist' },
          ],
        },
        containers: ['main', 'side-*', 'db-?'],
      },
      approval: { mode: 'Session', approvers: APPROVERS, wait: '1h', validFor: '24h' },
      masking: {
        detectors: ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress'],
        patterns: [{ name: 'customer-no', pattern: 'CUST-[0-9]{6}' }],
        mode: 'Redact',
      },
    })
    expect(outcome).toMatchObject({ code: 200 })
  })

  it.each<{ name: string; spec: object }>([
    {
      name: 'ports, services and service accounts with what they belong to',
      spec: {
        match: {
          ...about('PortForward', 'Proxy', 'TokenRequest'),
          ports: [80, 65_535],
          services: ['web', 'db-*'],
          serviceAccounts: ['ci', 'build.*'],
          podSelector: {},
        },
        recording: { content: 'Full' },
      },
    },
    {
      name: 'every limit',
      spec: {
        match: about('Exec', 'Attach', 'Logs', 'Copy', 'Debug'),
        masking: MASKING,
        approval: { mode: 'Session', approvers: APPROVERS },
        copy: {
          directions: ['Download'],
          paths: ['/var/log/*', '/tmp/?'],
          maxBytes: '100Mi',
          maskText: true,
        },
        debug: { images: ['busybox:*'], capabilities: ['SYS_PTRACE', 'ALL'], privileged: true },
        recording: { content: 'Digest' },
      },
    },
    {
      name: 'approval of tokens',
      spec: {
        match: { ...about('TokenRequest'), serviceAccounts: ['ci'] },
        approval: { mode: 'Session', approvers: APPROVERS },
      },
    },
    {
      name: 'a debug container without any capability',
      spec: { match: about('Debug'), debug: { capabilities: [] } },
    },
    {
      name: 'a Deny of ports',
      spec: { effect: 'Deny', match: { ...about('PortForward'), ports: [5432] } },
    },
  ])('takes $name', async ({ spec }) => {
    expect(await tryPolicy(kind, path, spec)).toMatchObject({ code: 200 })
  })

  it('takes a plain Deny and a plain Never', async () => {
    expect(await tryPolicy(kind, path, { effect: 'Deny' })).toMatchObject({ code: 200 })
    expect(await tryPolicy(kind, path, { approval: { mode: 'Never' } })).toMatchObject({
      code: 200,
    })
  })
})

describe('namespaceSelector', () => {
  const spec = { match: { ...MATCH, namespaceSelector: { matchLabels: { env: 'prod' } } } }
  it('selects namespaces for a ClusterAccessPolicy', async () => {
    expect(
      await tryPolicy('ClusterAccessPolicy', `${GROUP}/clusteraccesspolicies`, spec),
    ).toMatchObject({
      code: 200,
    })
  })

  it('follows the same rules as podSelector', async () => {
    const outcome = await tryPolicy('ClusterAccessPolicy', `${GROUP}/clusteraccesspolicies`, {
      match: { ...MATCH, namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
    })
    expect(outcome.status?.details?.causes?.[0]).toMatchObject({
      field: 'spec.match.namespaceSelector.matchExpressions[0].values',
    })
  })

  it('is not known to an AccessPolicy, which is about its own namespace', async () => {
    const path = `${GROUP}/namespaces/shop/accesspolicies`
    expect(await tryPolicy('AccessPolicy', path, spec)).toMatchObject({
      code: 400,
      message: expect.stringContaining('unknown field "spec.match.namespaceSelector"'),
    })
  })
})

describe('nodes and other people', () => {
  const cluster = `${GROUP}/clusteraccesspolicies`
  const NODES = { ...about('Proxy'), nodes: ['node-*'] }
  const PEOPLE = { ...about('Impersonate'), impersonate: { users: ['ci'], groups: ['ci-*'] } }

  it.each([
    { name: 'nodes', match: NODES },
    { name: 'people', match: PEOPLE },
  ])('are for a ClusterAccessPolicy: $name', async ({ match }) => {
    expect(await tryPolicy('ClusterAccessPolicy', cluster, { match })).toMatchObject({ code: 200 })
    const path = `${GROUP}/namespaces/shop/accesspolicies`
    const { code } = await tryPolicy('AccessPolicy', path, { match })
    expect([400, 422]).toContain(code)
  })

  const elsewhere = { namespaceSelector: { matchLabels: { env: 'prod' } } }
  it.each<Refused>([
    {
      name: 'nodes without Proxy',
      spec: { match: { ...MATCH, nodes: ['node-1'] } },
      field: 'spec.match.nodes',
      message: 'nodes is about Proxy',
    },
    {
      name: 'acting as nobody',
      spec: { match: about('Impersonate') },
      field: 'spec.match.impersonate',
      message: 'name the users to act as',
    },
    {
      name: 'people without Impersonate',
      spec: { match: { ...MATCH, impersonate: { users: ['ci'] } } },
      field: 'spec.match.impersonate',
      message: 'impersonate is about Impersonate',
    },
    {
      name: 'groups alone',
      spec: { match: { ...about('Impersonate'), impersonate: { groups: ['ci'] } } },
      field: 'spec.match.impersonate.users',
    },
    {
      name: 'nodes of a namespace',
      spec: { match: { ...NODES, ...elsewhere } },
      field: 'spec.match.namespaceSelector',
      message: 'nodes and people are in no namespace',
    },
    {
      name: 'people of a namespace',
      spec: { match: { ...PEOPLE, ...elsewhere } },
      field: 'spec.match.namespaceSelector',
      message: 'nodes and people are in no namespace',
    },
    {
      name: 'approval of acting as others',
      spec: { match: PEOPLE, approval: { mode: 'Session', approvers: APPROVERS } },
      field: 'spec.approval',
      message: 'acting as somebody else cannot wait for approval',
    },
    {
      name: 'masking of acting as others',
      spec: { match: PEOPLE, masking: MASKING },
      field: 'spec.masking',
      message: 'cannot be masked',
    },
  ])('refuses $name', async ({ spec, field, message = '' }) => {
    const outcome = await tryPolicy('ClusterAccessPolicy', cluster, spec)
    expect(outcome.code).toBe(422)
    expect((outcome.status?.details?.causes ?? []).map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
  })
})
