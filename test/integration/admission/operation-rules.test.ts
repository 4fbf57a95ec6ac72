/** The rules about single operations: what belongs to which, and what does not go together. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { installResources, namespaceNamed, startApi, type Api } from './harness.ts'
import { APPROVERS, GROUP, KINDS, MATCH, tryPolicy, type Refused } from './policies.ts'

let api: Api

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
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
  it.each(OPERATION_RULES)('refuses $name', async ({ spec, field, message = '' }) => {
    const outcome = await tryPolicy(api, kind, path, spec)
    expect(outcome.code).toBe(422)
    const causes = outcome.status?.details?.causes ?? []
    expect(causes.map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
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
    expect(await tryPolicy(api, kind, path, spec)).toMatchObject({ code: 200 })
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
    expect(await tryPolicy(api, 'ClusterAccessPolicy', cluster, { match })).toMatchObject({
      code: 200,
    })
    const path = `${GROUP}/namespaces/shop/accesspolicies`
    const { code } = await tryPolicy(api, 'AccessPolicy', path, { match })
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
    const outcome = await tryPolicy(api, 'ClusterAccessPolicy', cluster, spec)
    expect(outcome.code).toBe(422)
    expect((outcome.status?.details?.causes ?? []).map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
  })
})
