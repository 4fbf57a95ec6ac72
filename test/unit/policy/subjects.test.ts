/** Whom a policy is about: people, groups, and service accounts of the cluster. */
import { describe, expect, it } from '@jest/globals'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import { evaluate } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, compile, ONCALL, request } from './fixtures.ts'

type Subjects = AccessPolicy['spec']['subjects']

const DEPLOYER = 'system:serviceaccount:ci:deployer'
const IN_CI: Subjects = [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }]
const AT_HOME: Subjects = [{ kind: 'ServiceAccount', name: 'deployer' }]

function allows(
  subjects: Subjects,
  username: string,
  make: typeof accessPolicy | typeof clusterAccessPolicy = clusterAccessPolicy,
): boolean {
  const user = { username, groups: ['system:serviceaccounts'] }
  return evaluate(request([make('p', { subjects })], { user })).kind === 'allow'
}

describe('a subject of kind ServiceAccount', () => {
  it.each<[string, Subjects, string, boolean]>([
    ['is the account of that namespace and name', IN_CI, DEPLOYER, true],
    ['is no account of another namespace', IN_CI, 'system:serviceaccount:shop:deployer', false],
    ['is no other account of the namespace', IN_CI, 'system:serviceaccount:ci:builder', false],
    ['is no person of that name', IN_CI, 'deployer', false],
    ['is no person of that name with the namespace', IN_CI, 'ci:deployer', false],
    [
      'has no wildcards',
      [{ kind: 'ServiceAccount', namespace: '*', name: '*' }] as Subjects,
      DEPLOYER,
      false,
    ],
    ['may also be written as a user', [{ kind: 'User', name: DEPLOYER }], DEPLOYER, true],
    [
      'may also be one of a group',
      [{ kind: 'Group', name: 'system:serviceaccounts' }],
      DEPLOYER,
      true,
    ],
  ])('%s', (_name, subjects, username, allowed) => {
    expect(allows(subjects, username)).toBe(allowed)
  })

  it.each([
    ['of the namespace of its policy', 'system:serviceaccount:shop:deployer', true],
    ['of no other', DEPLOYER, false],
    ['of none that is called undefined', 'system:serviceaccount:undefined:deployer', false],
  ])('without a namespace is %s', (_name, username, allowed) => {
    expect(allows(AT_HOME, username, accessPolicy)).toBe(allowed)
  })

  it('is denied as it is allowed', () => {
    const policies = [
      clusterAccessPolicy('all', { subjects: [{ kind: 'Group', name: 'system:authenticated' }] }),
      clusterAccessPolicy('not-this', { effect: 'Deny', subjects: IN_CI }),
    ]
    const user = { username: DEPLOYER, groups: [] }
    expect(evaluate(request(policies, { user }))).toMatchObject({
      id: 1001,
      message: expect.stringContaining('which is about service account ci/deployer'),
    })
    expect(evaluate(request(policies)).kind).toBe('allow')
  })

  it.each<[string, Subjects[number], string]>([
    ['of no namespace', { kind: 'ServiceAccount', name: 'deployer' }, 'spec.subjects[0].namespace'],
    [
      'whose namespace takes a colon along',
      { kind: 'ServiceAccount', namespace: 'ci:deployer', name: 'x' },
      'spec.subjects[0].namespace',
    ],
    [
      'whose name takes a colon along',
      { kind: 'ServiceAccount', namespace: 'ci', name: 'x:y' },
      'spec.subjects[0].name',
    ],
    ['of another kind', { kind: 'Robot' as 'User', name: 'x' }, 'spec.subjects[0].kind'],
  ])('%s breaks its policy, which refuses what it matches', (_name, subject, field) => {
    const policy = clusterAccessPolicy('p', { subjects: [subject] })
    expect(compile(policy).errors.map((error) => error.field)).toEqual([field])
    expect(evaluate(request([clusterAccessPolicy('whole'), policy]))).toMatchObject({ id: 1003 })
  })
})

describe('approvers', () => {
  it.each<[string, { kind: 'User' | 'Group'; name: string }]>([
    ['of kind ServiceAccount', { kind: 'ServiceAccount' as 'User', name: 'deployer' }],
    ['that are a service account by its user name', { kind: 'User', name: DEPLOYER }],
    ['that are all service accounts', { kind: 'Group', name: 'system:serviceaccounts' }],
    ['that are those of a namespace', { kind: 'Group', name: 'system:serviceaccounts:ci' }],
  ])('%s break their policy', (_name, approver) => {
    const approvers = [...ONCALL, approver]
    const policy = accessPolicy('p', { approval: { mode: 'Session', approvers } })
    expect(compile(policy).errors).toHaveLength(1)
    expect(evaluate(request([policy]))).toMatchObject({
      id: 1003,
      message: expect.stringContaining('spec.approval.approvers[1]'),
    })
  })
})
