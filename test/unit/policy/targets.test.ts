/** What a policy is about beyond containers: ports, services, nodes, tokens, other people. */
import { describe, expect, it } from '@jest/globals'

import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, request } from './fixtures.ts'
import {
  acting,
  FORWARD,
  NODE,
  NOWHERE,
  POD_PROXY,
  SERVICE,
  TOKEN,
  type Match,
} from './requests.ts'

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
