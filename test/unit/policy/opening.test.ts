/** A port-forward is opened before anybody knows for which ports. */
import { describe, expect, it } from '@jest/globals'

import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import { evaluate } from '../../../lib/policy/evaluate.ts'
import { clusterAccessPolicy, DEV, ONCALL, request } from './fixtures.ts'
import { FORWARD, type Match } from './requests.ts'

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

  it('says which sign-in would open a port, rather than what would open none', () => {
    const policies = [
      clusterAccessPolicy('all', ports(80, 5432)),
      clusterAccessPolicy('no', { effect: 'Deny', ...ports(80) }),
      clusterAccessPolicy('fresh', { ...ports(5432), signIn: { maxAge: '15m' } }),
    ]
    expect(evaluate(request(policies, FORWARD))).toMatchObject({ kind: 'deny', id: 1060 })
    const open = [...policies, clusterAccessPolicy('web', ports(8080))]
    expect(evaluate(request(open, FORWARD)).kind).toBe('allow')
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
