import { describe, expect, it } from '@jest/globals'

import { requestDigest } from '../../../lib/approval/binding.ts'
import { createRequest } from '../../../lib/approval/request.ts'
import { at, binding, DEMAND, MINUTE, NOW, policyRef } from './fixtures.ts'

describe('createRequest', () => {
  it('stands in the namespace of the pod and says everything that is asked', () => {
    const asked = binding()
    expect(createRequest('apreq-x', asked, DEMAND, NOW)).toEqual({
      apiVersion: 'podgate.dev/v1alpha1',
      kind: 'ApprovalRequest',
      metadata: { name: 'apreq-x', namespace: 'shop' },
      spec: {
        ...asked,
        policies: [{ ...policyRef('base'), approvers: [{ kind: 'Group', name: 'oncall' }] }],
        approvers: [{ kind: 'Group', name: 'oncall' }],
        digest: requestDigest(asked),
        expiresAt: at(30),
        validFor: '30m',
      },
    })
  })

  it('lapses no sooner than a terminal that waits', () => {
    const patient = { ...DEMAND, waitMs: 60 * MINUTE }
    expect(createRequest('a', binding(), patient, NOW).spec.expiresAt).toBe(at(60))
  })

  it('carries no command for Attach, and no uid where there is none', () => {
    const { spec } = createRequest(
      'a',
      binding({ operation: 'Attach', command: [], requester: { username: 'ana', groups: [] } }),
      DEMAND,
      NOW,
    )
    expect(Object.keys(spec)).not.toContain('command')
    expect(Object.keys(spec.requester)).toEqual(['username', 'groups'])
  })

  it('names each approver once, and each policy with its own', () => {
    const two = {
      ...DEMAND,
      approvers: [
        ...DEMAND.approvers,
        {
          policy: policyRef('web'),
          subjects: [
            { kind: 'Group' as const, name: 'oncall' },
            { kind: 'User' as const, name: 'cy' },
          ],
        },
      ],
    }
    const policies = [policyRef('base'), policyRef('free'), policyRef('web')]
    const { spec } = createRequest('a', binding({ policies }), two, NOW)
    expect(spec.approvers).toEqual([
      { kind: 'Group', name: 'oncall' },
      { kind: 'User', name: 'cy' },
    ])
    expect(spec.policies.map(({ approvers }) => approvers?.length)).toEqual([1, undefined, 2])
  })
})
