import { describe, expect, it } from '@jest/globals'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { Subject } from '../../../lib/policy/decision.ts'
import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, DEV, ONCALL, request } from './fixtures.ts'

const BROKEN: AccessPolicy['spec']['masking'] = { patterns: [{ name: 'no', pattern: 'a(' }] }
const OPERATIONS: ('Exec' | 'Attach')[] = ['Exec', 'Attach']

function withMatch(match: object): PolicyInput {
  return request([accessPolicy('p', { match: { operations: OPERATIONS, ...match } })])
}

function withSubject(kind: 'User' | 'Group', name: string): PolicyInput {
  return request([accessPolicy('p', { subjects: [{ kind, name }] })])
}

function inCluster(namespaceSelector: object): PolicyInput {
  return request([
    clusterAccessPolicy('p', { match: { operations: OPERATIONS, namespaceSelector } }),
  ])
}

function session(
  approvers: Subject[],
  wait: string,
  validFor: string,
): Partial<AccessPolicy['spec']> {
  return { approval: { mode: 'Session', approvers, wait, validFor } }
}

describe('who and what a policy is about', () => {
  it.each<{ name: string; input: PolicyInput; allowed: boolean }>([
    { name: 'I1: nothing at all is refused', input: request([]), allowed: false },
    { name: 'a group of the user is allowed', input: withSubject('Group', 'dev'), allowed: true },
    { name: 'another group is not', input: withSubject('Group', 'ops'), allowed: false },
    { name: 'the user is allowed', input: withSubject('User', 'ana'), allowed: true },
    { name: 'a user is not taken for a group', input: withSubject('Group', 'ana'), allowed: false },
    { name: 'a group is not taken for a user', input: withSubject('User', 'dev'), allowed: false },
    { name: 'names are not wildcards', input: withSubject('Group', 'de*'), allowed: false },
    { name: 'names keep their case', input: withSubject('User', 'Ana'), allowed: false },
    {
      name: 'system:authenticated is everybody',
      input: withSubject('Group', 'system:authenticated'),
      allowed: true,
    },
    {
      name: 'another operation is not allowed',
      input: withMatch({ operations: ['Attach'] }),
      allowed: false,
    },
    {
      name: 'the pod of a selector is allowed',
      input: withMatch({ podSelector: { matchLabels: { app: 'web' } } }),
      allowed: true,
    },
    {
      name: 'another pod is not',
      input: withMatch({ podSelector: { matchLabels: { app: 'db' } } }),
      allowed: false,
    },
    { name: 'a container by glob', input: withMatch({ containers: ['x', 'ma*'] }), allowed: true },
    { name: 'not another container', input: withMatch({ containers: ['side*'] }), allowed: false },
    {
      name: 'a policy of another namespace does not count',
      input: request([accessPolicy('p', {}, 'billing')]),
      allowed: false,
    },
    {
      name: 'a namespace by its labels',
      input: inCluster({ matchLabels: { env: 'prod' } }),
      allowed: true,
    },
    {
      name: 'not another namespace',
      input: inCluster({ matchLabels: { env: 'dev' } }),
      allowed: false,
    },
  ])('$name', ({ input, allowed }) => {
    expect(evaluate(input).kind).toBe(allowed ? 'allow' : 'deny')
  })
})

describe('deny', () => {
  it('wins over every allow', () => {
    const decision = evaluate(
      request([
        accessPolicy('a'),
        accessPolicy('no-shells', { effect: 'Deny' }),
        clusterAccessPolicy('c'),
      ]),
    )
    expect(decision).toMatchObject({ kind: 'deny', id: 1001, policy: { name: 'no-shells' } })
  })

  it('does not reach what it does not match', () => {
    const deny = accessPolicy('n', { effect: 'Deny', subjects: [{ kind: 'User', name: 'bo' }] })
    expect(evaluate(request([accessPolicy('a'), deny])).kind).toBe('allow')
  })

  it('reaches everybody by system:authenticated, whether or not the gateway lists that group', () => {
    const everybody = clusterAccessPolicy('closed', {
      effect: 'Deny',
      subjects: [{ kind: 'Group', name: 'system:authenticated' }],
    })
    expect(evaluate(request([accessPolicy('a'), everybody])).kind).toBe('deny')
  })
})

describe('a policy that does not compile', () => {
  it('refuses what it matches, also where another policy allows it', () => {
    const decision = evaluate(
      request([accessPolicy('whole'), accessPolicy('broken', { masking: BROKEN })]),
    )
    expect(decision).toMatchObject({ kind: 'deny', id: 1003, policy: { name: 'broken' } })
  })

  it('leaves alone what it does not match', () => {
    const broken = accessPolicy('broken', { masking: BROKEN, subjects: ONCALL })
    expect(evaluate(request([accessPolicy('whole'), broken])).kind).toBe('allow')
  })

  it('selects every pod when its selector cannot be read', () => {
    const deny = accessPolicy('deny', {
      effect: 'Deny',
      match: {
        operations: OPERATIONS,
        podSelector: { matchExpressions: [{ key: 'app', operator: 'In' }] },
      },
    })
    expect(evaluate(request([accessPolicy('whole'), deny])).kind).toBe('deny')
  })

  it('refuses everybody when nothing of it can be read', () => {
    const nothing = accessPolicy('nothing')
    Object.assign(nothing, { spec: 'what' })
    expect(evaluate(request([accessPolicy('whole'), nothing]))).toMatchObject({ id: 1003 })
  })

  it('means everybody by a kind of subject it does not know', () => {
    const later = accessPolicy('later', { effect: 'Deny' })
    Object.assign(later.spec, { subjects: [{ kind: 'Robot', name: 'ci' }] })
    expect(evaluate(request([accessPolicy('whole'), later]))).toMatchObject({ id: 1003 })
  })
})

describe('several policies that allow', () => {
  it('demand approval when one of them does', () => {
    const decision = evaluate(
      request([accessPolicy('free'), clusterAccessPolicy('held', session(ONCALL, '5m', '30m'))]),
    )
    expect(decision).toMatchObject({
      kind: 'requireApproval',
      policies: [{ name: 'free' }, { name: 'held' }],
      approval: {
        approvers: [{ policy: { name: 'held' }, subjects: ONCALL }],
        waitMs: 300_000,
        validForMs: 1_800_000,
      },
    })
  })

  it('each ask their own approvers, within the shortest times', () => {
    const decision = evaluate(
      request([
        accessPolicy('a', session(ONCALL, '5m', '10m')),
        clusterAccessPolicy('c', session(DEV, '1m', '30m')),
      ]),
    )
    expect(decision).toMatchObject({
      approval: {
        approvers: [{ subjects: ONCALL }, { subjects: DEV }],
        waitMs: 60_000,
        validForMs: 600_000,
      },
    })
  })

  it('take 5m and 30m where a policy names no times', () => {
    const decision = evaluate(
      request([accessPolicy('a', { approval: { mode: 'Session', approvers: ONCALL } })]),
    )
    expect(decision).toMatchObject({ approval: { waitMs: 300_000, validForMs: 1_800_000 } })
  })

  it('ask nobody when all say Never', () => {
    expect(evaluate(request([accessPolicy('a', { approval: { mode: 'Never' } })])).kind).toBe(
      'allow',
    )
  })

  it('mask what any of them masks', () => {
    const decision = evaluate(
      request([
        accessPolicy('a', {
          masking: { detectors: ['Email', 'Iban'], patterns: [{ name: 'no', pattern: 'A[0-9]+' }] },
        }),
        clusterAccessPolicy('b', {
          masking: {
            detectors: ['Email', 'Phone'],
            patterns: [{ name: 'no', pattern: 'B[0-9]+' }],
          },
        }),
        clusterAccessPolicy('c', { masking: { patterns: [{ name: 'no', pattern: 'A[0-9]+' }] } }),
      ]),
    )
    expect(decision).toMatchObject({
      kind: 'allow',
      obligations: {
        masking: {
          detectors: ['Email', 'Iban', 'Phone'],
          patterns: [
            { name: 'no', pattern: 'A[0-9]+' },
            { name: 'no-2', pattern: 'B[0-9]+' },
          ],
          mode: 'Redact',
        },
      },
    })
  })

  it('mask nothing when none masks', () => {
    expect(evaluate(request([accessPolicy('a')]))).toMatchObject({
      obligations: { masking: undefined },
    })
  })
})

describe('what a refusal says', () => {
  it.each([
    {
      name: 'which policy denies, and how to read it',
      policies: [accessPolicy('no-shells', { effect: 'Deny' })],
      want:
        'exec into shop/web-0 (container main) is denied by AccessPolicy shop/no-shells, ' +
        'which is about group dev. Read it: kubectl describe apol no-shells -n shop',
    },
    {
      name: 'that no policy allows it, and how to see what is allowed',
      policies: [],
      want:
        'no policy allows ana (groups: dev) to exec into shop/web-0 (container main), and what ' +
        'no policy allows is denied. See what is allowed: kubectl get apol -n shop',
    },
    {
      name: 'what keeps the nearest policy from allowing it',
      policies: [
        accessPolicy('b', { match: { operations: ['Attach'] } }),
        accessPolicy('a', { match: { operations: OPERATIONS, containers: ['log*'] } }),
      ],
      want:
        'no policy allows ana (groups: dev) to exec into shop/web-0 (container main), and what ' +
        'no policy allows is denied. AccessPolicy shop/a comes closest, but is about the ' +
        'containers log* only. See what is allowed: kubectl get apol -n shop',
    },
    {
      name: 'which field of a policy has to be mended',
      policies: [clusterAccessPolicy('base', { masking: BROKEN })],
      want:
        'exec into shop/web-0 (container main) is refused, because ClusterAccessPolicy base ' +
        'matches but cannot be applied (spec.masking.patterns[0].pattern missing )). Its author ' +
        'has to mend it: kubectl describe capol base',
    },
  ])('$name', ({ policies, want }) => {
    expect(evaluate(request(policies))).toMatchObject({ kind: 'deny', message: want })
  })

  it('lists only a few of many groups', () => {
    const groups = Array.from({ length: 200 }, (_, n) => `group-${n}`)
    const decision = evaluate(request([], { user: { username: 'ana', groups } }))
    expect(decision).toMatchObject({
      message: expect.stringContaining('group-4 and 195 more'),
    })
  })
})
