/** Requests that are about more than a container: ports, services, nodes, tokens, other people. */
import { describe, expect, it } from '@jest/globals'

import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, DEV, ONCALL, request } from './fixtures.ts'

type Match = ClusterAccessPolicy['spec']['match']

const NOWHERE: Partial<PolicyInput> = { pod: undefined, container: '' }
const FORWARD: Partial<PolicyInput> = { operation: 'PortForward', container: '' }
const POD_PROXY: Partial<PolicyInput> = { operation: 'Proxy', container: '', port: 80 }
const SERVICE: Partial<PolicyInput> = { ...NOWHERE, operation: 'Proxy', service: 'web', port: 80 }
const NODE: Partial<PolicyInput> = {
  ...NOWHERE,
  operation: 'Proxy',
  namespace: { name: '', labels: {} },
  node: 'node-1',
  port: 10_250,
}
const TOKEN: Partial<PolicyInput> = {
  ...NOWHERE,
  operation: 'TokenRequest',
  serviceAccount: 'ci',
}
const acting = (user: string, groups: string[] = []): Partial<PolicyInput> => ({
  ...NOWHERE,
  operation: 'Impersonate',
  namespace: { name: '', labels: {} },
  impersonate: { user, groups },
})

function allows(match: Match, changes: Partial<PolicyInput>): boolean {
  return evaluate(request([clusterAccessPolicy('p', { match })], changes)).kind === 'allow'
}

const EVERYTHING: Match = {
  operations: ['PortForward', 'Proxy', 'TokenRequest', 'Impersonate'],
  services: ['*'],
  nodes: ['*'],
  serviceAccounts: ['*'],
  impersonate: { users: ['*'], groups: ['*'] },
}

function denies(match: Match, changes: Partial<PolicyInput>): boolean {
  const objects = [
    clusterAccessPolicy('all', { match: EVERYTHING }),
    clusterAccessPolicy('pods', { match: { operations: ['PortForward', 'Proxy'] } }),
    clusterAccessPolicy('not', { effect: 'Deny', match }),
  ]
  expect(evaluate(request(objects.slice(0, 2), changes)).kind).toBe('allow')
  return evaluate(request(objects, changes)).kind === 'deny'
}

describe('what a policy is about beyond containers', () => {
  it.each<{ name: string; match: Match; changes: Partial<PolicyInput>; matches: boolean }>([
    {
      name: 'every port when none is named',
      match: { operations: ['PortForward'] },
      changes: { ...FORWARD, port: 5432 },
      matches: true,
    },
    {
      name: 'a port among those named',
      match: { operations: ['PortForward'], ports: [80, 5432] },
      changes: { ...FORWARD, port: 5432 },
      matches: true,
    },
    {
      name: 'no other port',
      match: { operations: ['PortForward'], ports: [80, 5432] },
      changes: { ...FORWARD, port: 5433 },
      matches: false,
    },
    {
      name: 'ports of pods with a label',
      match: { operations: ['PortForward'], podSelector: { matchLabels: { app: 'web' } } },
      changes: { ...FORWARD, port: 80 },
      matches: true,
    },
    {
      name: 'no ports of other pods',
      match: { operations: ['PortForward'], podSelector: { matchLabels: { app: 'db' } } },
      changes: { ...FORWARD, port: 80 },
      matches: false,
    },
    {
      name: 'a whole pod, whichever containers are named',
      match: { operations: ['PortForward'], containers: ['side'] },
      changes: { ...FORWARD, port: 80 },
      matches: true,
    },
    {
      name: 'the proxy of pods',
      match: { operations: ['Proxy'] },
      changes: POD_PROXY,
      matches: true,
    },
    {
      name: 'the proxy of pods on a port',
      match: { operations: ['Proxy'], ports: [80] },
      changes: POD_PROXY,
      matches: true,
    },
    {
      name: 'not the proxy of pods on another port',
      match: { operations: ['Proxy'], ports: [8080] },
      changes: POD_PROXY,
      matches: false,
    },
    {
      name: 'not the proxy of pods where services are named',
      match: { operations: ['Proxy'], services: ['web'] },
      changes: POD_PROXY,
      matches: false,
    },
    {
      name: 'not the proxy of pods where nodes are named',
      match: { operations: ['Proxy'], nodes: ['*'] },
      changes: POD_PROXY,
      matches: false,
    },
    {
      name: 'a service that is named',
      match: { operations: ['Proxy'], services: ['w*'] },
      changes: SERVICE,
      matches: true,
    },
    {
      name: 'no service that is not named',
      match: { operations: ['Proxy'], services: ['db'] },
      changes: SERVICE,
      matches: false,
    },
    {
      name: 'no service by a policy that names none',
      match: { operations: ['Proxy'] },
      changes: SERVICE,
      matches: false,
    },
    {
      name: 'no service by a policy that is about pods',
      match: {
        operations: ['Proxy'],
        services: ['*'],
        podSelector: { matchLabels: { app: 'web' } },
      },
      changes: SERVICE,
      matches: false,
    },
    {
      name: 'no service by a demand on pods that pods without labels meet',
      match: {
        operations: ['Proxy'],
        services: ['*'],
        podSelector: { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] },
      },
      changes: SERVICE,
      matches: false,
    },
    {
      name: 'a service by a policy with an empty podSelector',
      match: { operations: ['Proxy'], services: ['*'], podSelector: {} },
      changes: SERVICE,
      matches: true,
    },
    {
      name: 'a service of a namespace by its labels',
      match: {
        operations: ['Proxy'],
        services: ['*'],
        namespaceSelector: { matchLabels: { env: 'prod' } },
      },
      changes: SERVICE,
      matches: true,
    },
    {
      name: 'no service on another port',
      match: { operations: ['Proxy'], services: ['*'], ports: [443] },
      changes: SERVICE,
      matches: false,
    },
    {
      name: 'a node that is named',
      match: { operations: ['Proxy'], nodes: ['node-?'] },
      changes: NODE,
      matches: true,
    },
    {
      name: 'no node by services of the same name',
      match: { operations: ['Proxy'], services: ['*'] },
      changes: NODE,
      matches: false,
    },
    {
      name: 'no node by a policy that names none',
      match: { operations: ['Proxy'] },
      changes: NODE,
      matches: false,
    },
    {
      name: 'no node by a policy of some namespaces',
      match: {
        operations: ['Proxy'],
        nodes: ['*'],
        namespaceSelector: { matchLabels: { env: 'prod' } },
      },
      changes: NODE,
      matches: false,
    },
    {
      name: 'no node by a demand on namespaces that one without labels meets',
      match: {
        operations: ['Proxy'],
        nodes: ['*'],
        namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] },
      },
      changes: NODE,
      matches: false,
    },
    {
      name: 'tokens of a service account that is named',
      match: { operations: ['TokenRequest'], serviceAccounts: ['ci*'] },
      changes: TOKEN,
      matches: true,
    },
    {
      name: 'no tokens of another',
      match: { operations: ['TokenRequest'], serviceAccounts: ['build'] },
      changes: TOKEN,
      matches: false,
    },
    {
      name: 'a person that is named',
      match: { operations: ['Impersonate'], impersonate: { users: ['bo', 'ci-*'] } },
      changes: acting('ci-1'),
      matches: true,
    },
    {
      name: 'no other person',
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'] } },
      changes: acting('root'),
      matches: false,
    },
    {
      name: 'all groups that are asked for',
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'], groups: ['a', 'b*'] } },
      changes: acting('bo', ['a', 'b1', 'b2']),
      matches: true,
    },
    {
      name: 'no groups at all are asked for',
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'], groups: ['a'] } },
      changes: acting('bo'),
      matches: true,
    },
  ])('$name', ({ match, changes, matches }) => {
    expect(allows(match, changes)).toBe(matches)
  })

  it.each([
    {
      name: 'one group of several',
      groups: ['a', 'system:masters'],
      impersonate: { users: ['*'], groups: ['a'] },
    },
    { name: 'a group where none is named', groups: ['a'], impersonate: { users: ['*'] } },
  ])('does not allow $name', ({ groups, impersonate }) => {
    expect(allows({ operations: ['Impersonate'], impersonate }, acting('bo', groups))).toBe(false)
  })

  it.each<{ name: string; match: Match; changes: Partial<PolicyInput>; refused: boolean }>([
    {
      name: 'one group of several',
      match: {
        operations: ['Impersonate'],
        impersonate: { users: ['*'], groups: ['system:masters'] },
      },
      changes: acting('bo', ['a', 'system:masters']),
      refused: true,
    },
    {
      name: 'a person in whatever groups',
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'] } },
      changes: acting('bo', ['a']),
      refused: true,
    },
    {
      name: 'not a person in other groups',
      match: { operations: ['Impersonate'], impersonate: { users: ['*'], groups: ['b'] } },
      changes: acting('bo', ['a']),
      refused: false,
    },
    {
      name: 'a port that has a name, where it denies some port',
      match: { operations: ['Proxy'], services: ['*'], ports: [9999] },
      changes: { ...NOWHERE, operation: 'Proxy', service: 'web' },
      refused: true,
    },
    {
      name: 'not the proxy of services, when it names none',
      match: { operations: ['Proxy'] },
      changes: SERVICE,
      refused: false,
    },
    {
      name: 'the proxy of nodes',
      match: { operations: ['Proxy'], nodes: ['*'] },
      changes: NODE,
      refused: true,
    },
    {
      name: 'a port',
      match: { operations: ['PortForward'], ports: [22] },
      changes: { ...FORWARD, port: 22 },
      refused: true,
    },
    {
      name: 'not another port',
      match: { operations: ['PortForward'], ports: [22] },
      changes: { ...FORWARD, port: 23 },
      refused: false,
    },
  ])('denies $name', ({ match, changes, refused }) => {
    expect(denies(match, changes)).toBe(refused)
  })

  it('does not allow a port that has a name where only some ports are allowed', () => {
    const named = { ...NOWHERE, operation: 'Proxy' as const, service: 'web' }
    expect(allows({ operations: ['Proxy'], services: ['*'], ports: [80] }, named)).toBe(false)
    expect(allows({ operations: ['Proxy'], services: ['*'] }, named)).toBe(true)
  })

  it('is never in no namespace for an AccessPolicy', () => {
    const policy = accessPolicy('p', { match: { operations: ['Proxy'] } }, '')
    Object.assign(policy.spec.match, { nodes: ['*'] })
    expect(evaluate(request([policy], NODE)).kind).toBe('deny')
  })
})

const session = (subjects: typeof DEV): object => ({
  approval: { mode: 'Session', approvers: subjects, wait: '5m', validFor: '30m' },
})
const ports = (...named: number[]): { match: Match } => ({
  match: { operations: ['PortForward'], ...(named.length === 0 ? {} : { ports: named }) },
})

describe('opening a port-forward', () => {
  it.each<{ name: string; policies: ClusterAccessPolicy[]; kind: string; names?: string[] }>([
    {
      name: 'is allowed where every port is',
      policies: [clusterAccessPolicy('a', ports())],
      kind: 'allow',
      names: ['a'],
    },
    {
      name: 'is allowed where one port is',
      policies: [clusterAccessPolicy('a', ports(80))],
      kind: 'allow',
      names: ['a'],
    },
    {
      name: 'is allowed where a port is left beside those denied',
      policies: [
        clusterAccessPolicy('a', ports()),
        clusterAccessPolicy('d', { effect: 'Deny', ...ports(22) }),
      ],
      kind: 'allow',
      names: ['a'],
    },
    {
      name: 'is refused where every port is denied',
      policies: [
        clusterAccessPolicy('a', ports(80)),
        clusterAccessPolicy('d', { effect: 'Deny', ...ports() }),
      ],
      kind: 'deny',
    },
    {
      name: 'is refused where exactly the ports allowed are denied',
      policies: [
        clusterAccessPolicy('a', ports(80, 81)),
        clusterAccessPolicy('d', { effect: 'Deny', ...ports(80) }),
        clusterAccessPolicy('e', { effect: 'Deny', ...ports(81) }),
      ],
      kind: 'deny',
    },
    {
      name: 'is allowed where one port needs no approval',
      policies: [
        clusterAccessPolicy('a', ports(80)),
        clusterAccessPolicy('held', { ...ports(5432), ...session(ONCALL) }),
      ],
      kind: 'allow',
      names: ['a'],
    },
    {
      name: 'is allowed where only listed ports need approval',
      policies: [
        clusterAccessPolicy('a', ports()),
        clusterAccessPolicy('held', { ...ports(5432), ...session(ONCALL) }),
      ],
      kind: 'allow',
      names: ['a'],
    },
    {
      name: 'needs approval where every port does',
      policies: [
        clusterAccessPolicy('a', ports(80)),
        clusterAccessPolicy('held', { ...ports(), ...session(ONCALL) }),
      ],
      kind: 'requireApproval',
      names: ['a', 'held'],
    },
    {
      name: 'needs the approval of all that ask for one',
      policies: [
        clusterAccessPolicy('h1', { ...ports(80), ...session(ONCALL) }),
        clusterAccessPolicy('h2', { ...ports(81), ...session(DEV) }),
        clusterAccessPolicy('no', { effect: 'Deny', ...ports(82) }),
      ],
      kind: 'requireApproval',
      names: ['h1', 'h2'],
    },
    { name: 'is refused where nothing is said', policies: [], kind: 'deny' },
  ])('$name', ({ policies, kind, names = [] }) => {
    const decision = evaluate(request(policies, FORWARD))
    expect(decision.kind).toBe(kind)
    if (decision.kind === 'deny') return
    expect(decision.policies.map(({ name }) => name)).toEqual(names)
  })

  it('merges the demands of all ports that need approval', () => {
    const decision = evaluate(
      request(
        [
          clusterAccessPolicy('h1', { ...ports(80), ...session(ONCALL) }),
          clusterAccessPolicy('h2', {
            ...ports(81),
            approval: { mode: 'Session', approvers: DEV, wait: '1m', validFor: '1h' },
          }),
        ],
        FORWARD,
      ),
    )
    expect(decision).toMatchObject({
      approval: {
        approvers: [{ subjects: ONCALL }, { subjects: DEV }],
        waitMs: 60_000,
        validForMs: 1_800_000,
      },
    })
  })

  it('keeps all where any port that may be used is kept whole', () => {
    const full = { recording: { content: 'Full' as const } }
    const decision = evaluate(
      request(
        [
          clusterAccessPolicy('a', ports(80)),
          clusterAccessPolicy('b', { ...ports(5432), ...full, ...session(ONCALL) }),
        ],
        FORWARD,
      ),
    )
    expect(decision).toMatchObject({ kind: 'allow', obligations: { content: 'Full' } })
  })

  it('names the policy that denies rather than none', () => {
    const decision = evaluate(
      request(
        [
          clusterAccessPolicy('a', ports(80)),
          clusterAccessPolicy('d', { effect: 'Deny', ...ports(80) }),
        ],
        FORWARD,
      ),
    )
    expect(decision).toMatchObject({ id: 1001, policy: { name: 'd' } })
  })

  it('is as exact as one connection once the port is known', () => {
    const policies = [
      clusterAccessPolicy('a', ports(80)),
      clusterAccessPolicy('held', { ...ports(5432), ...session(ONCALL) }),
    ]
    const kinds = [80, 5432, 22].map(
      (port) => evaluate(request(policies, { ...FORWARD, port })).kind,
    )
    expect(kinds).toEqual(['allow', 'requireApproval', 'deny'])
  })

  it('finds a port nobody lists, however many are listed', () => {
    const policies = Array.from({ length: 20 }, (_, n) =>
      clusterAccessPolicy(`d${n}`, {
        effect: 'Deny',
        ...ports(...Array.from({ length: 64 }, (_unused, m) => n * 64 + m + 1)),
      }),
    )
    const open = clusterAccessPolicy('a', ports())
    expect(evaluate(request([...policies, open], FORWARD)).kind).toBe('allow')
  })
})

describe('what a refusal calls it', () => {
  it.each<{ changes: Partial<PolicyInput>; want: string }>([
    { changes: { operation: 'Exec' }, want: 'exec into shop/web-0 (container main)' },
    { changes: { operation: 'Attach' }, want: 'attach to shop/web-0 (container main)' },
    { changes: FORWARD, want: 'forward ports of shop/web-0,' },
    { changes: { ...FORWARD, port: 22 }, want: 'forward port 22 of shop/web-0,' },
    { changes: { operation: 'Logs' }, want: 'read logs of shop/web-0 (container main)' },
    { changes: { operation: 'Copy' }, want: 'copy files from or to shop/web-0 (container main)' },
    { changes: { operation: 'Debug' }, want: 'debug shop/web-0 (container main)' },
    { changes: POD_PROXY, want: 'use the proxy of pod shop/web-0 port 80,' },
    { changes: SERVICE, want: 'use the proxy of service shop/web port 80,' },
    { changes: NODE, want: 'use the proxy of node node-1 port 10250,' },
    { changes: TOKEN, want: 'mint tokens for service account shop/ci,' },
    { changes: acting('bo'), want: 'act as bo,' },
    { changes: acting('bo', ['x', 'y']), want: 'act as bo (groups: x, y),' },
  ])('$want', ({ changes, want }) => {
    expect(evaluate(request([], changes))).toMatchObject({
      id: 1002,
      message: expect.stringContaining(`no policy allows ana (groups: dev) to ${want}`),
    })
  })

  it.each<{ match: Match; changes: Partial<PolicyInput>; want: string }>([
    {
      match: { operations: ['PortForward'], ports: [80, 443] },
      changes: { ...FORWARD, port: 22 },
      want: 'is about the ports 80, 443 only',
    },
    {
      match: { operations: ['Proxy'], services: ['web'] },
      changes: POD_PROXY,
      want: 'is about the proxy of services or nodes',
    },
    {
      match: { operations: ['Proxy'] },
      changes: SERVICE,
      want: 'names no services',
    },
    {
      match: { operations: ['Proxy'], services: ['db'] },
      changes: SERVICE,
      want: 'is about the services db only',
    },
    { match: { operations: ['Proxy'] }, changes: NODE, want: 'names no nodes' },
    {
      match: {
        operations: ['Proxy'],
        services: ['*'],
        podSelector: { matchLabels: { a: 'b' } },
      },
      changes: SERVICE,
      want: 'is about pods only',
    },
    {
      match: { operations: ['TokenRequest'], serviceAccounts: ['build'] },
      changes: TOKEN,
      want: 'is about the service accounts build only',
    },
    {
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'] } },
      changes: acting('root'),
      want: 'is about acting as bo without groups only',
    },
    {
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'], groups: ['a'] } },
      changes: acting('bo', ['b']),
      want: 'is about acting as bo in groups a only',
    },
  ])('and why the nearest policy does not apply: $want', ({ match, changes, want }) => {
    const { message } = evaluate(request([clusterAccessPolicy('p', { match })], changes)) as {
      message: string
    }
    expect(message).toContain(`ClusterAccessPolicy p comes closest, but ${want}.`)
  })

  it('points to the policies of the cluster where there is no namespace', () => {
    expect(evaluate(request([], NODE))).toMatchObject({
      message: expect.stringContaining('See what is allowed: kubectl get capol'),
    })
  })

  it('stays short with names of any length', () => {
    const groups = Array.from({ length: 100 }, (_, n) => `${n}`.repeat(400))
    const { message } = evaluate(request([], acting('u'.repeat(5_000), groups))) as {
      message: string
    }
    expect(message.length).toBeLessThan(900)
  })
})
