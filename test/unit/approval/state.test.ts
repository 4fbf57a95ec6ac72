import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import type {
  ApprovalRequest,
  ApprovalRequestCondition,
} from '../../../lib/api/approval-request.generated.ts'
import { consumed, withConditions, withdrawn } from '../../../lib/approval/condition.ts'
import { judge, type RequestState } from '../../../lib/approval/state.ts'
import type { ApprovalDemand } from '../../../lib/policy/decision.ts'
import { condition, decision, DEMAND, MINUTE, NOW, pending, policyRef } from './fixtures.ts'

const BOTH: ApprovalDemand = {
  ...DEMAND,
  approvers: [
    ...DEMAND.approvers,
    { policy: policyRef('privacy'), subjects: [{ kind: 'User', name: 'dpo' }] },
  ],
}

interface Row {
  name: string
  request: ApprovalRequest
  minutes?: number
  state: RequestState
  writes?: ApprovalRequestCondition['type'][]
}

const APPROVED = condition('Approved', 2)
const yes = decision('bo')

describe('judge', () => {
  it.each<Row>([
    { name: 'waits while nobody has decided', request: pending(), state: 'Pending' },
    {
      name: 'approves by an approver',
      request: pending([yes]),
      state: 'Approved',
      writes: ['Approved'],
    },
    {
      name: 'denies by an approver',
      request: pending([decision('bo', 'Deny')]),
      state: 'Denied',
      writes: ['Denied'],
    },
    {
      name: 'denies when one approves and one denies',
      request: pending([yes, decision('cy', 'Deny')]),
      state: 'Denied',
      writes: ['Denied'],
    },
    {
      name: 'does not hear a denial by somebody who may not decide',
      request: pending([decision('mallory', 'Deny', { groups: ['dev'] })]),
      state: 'Pending',
    },
    {
      name: 'does not hear an approval by somebody who may not decide',
      request: pending([decision('mallory', 'Approve', { groups: ['dev'] })]),
      state: 'Pending',
    },
    {
      name: 'I9: does not let the requester approve',
      request: pending([decision('ana')]),
      state: 'Pending',
    },
    {
      name: 'I9: does not let the requester approve under another spelling',
      request: pending([decision('ANA')]),
      state: 'Pending',
    },
    {
      name: 'does not take an approver named like the group for the group',
      request: pending([decision('oncall', 'Approve', { groups: [] })]),
      state: 'Pending',
    },
    {
      name: 'waits for the approvers of every policy',
      request: pending([yes], [], BOTH),
      state: 'Pending',
    },
    {
      name: 'approves when the approvers of every policy agree',
      request: pending([yes, decision('dpo', 'Approve', { groups: [] })], [], BOTH),
      state: 'Approved',
      writes: ['Approved'],
    },
    {
      name: 'lets one person stand for several policies that name that person',
      request: pending([decision('dpo')], [], BOTH),
      state: 'Approved',
      writes: ['Approved'],
    },
    {
      name: 'denies by the approver of any policy',
      request: pending([yes, decision('dpo', 'Deny', { groups: [] })], [], BOTH),
      state: 'Denied',
      writes: ['Denied'],
    },
    {
      name: 'is pending until just before it lapses',
      request: pending(),
      minutes: 29.99,
      state: 'Pending',
    },
    {
      name: 'lapses on time',
      request: pending(),
      minutes: 30,
      state: 'Expired',
      writes: ['Expired'],
    },
    {
      name: 'lapses also when approved, but not seen by any gateway in time',
      request: pending([yes]),
      minutes: 31,
      state: 'Expired',
      writes: ['Expired'],
    },
    {
      name: 'keeps an approval that was written down',
      request: pending([yes], [APPROVED]),
      minutes: 31,
      state: 'Approved',
    },
    {
      name: 'ends an approval that was not used in time',
      request: pending([yes], [APPROVED]),
      minutes: 32,
      state: 'Expired',
      writes: ['Expired'],
    },
    {
      name: 'does not believe a condition that no decision stands behind',
      request: pending([], [APPROVED]),
      state: 'Pending',
    },
    {
      name: 'does not believe it when only the requester approved',
      request: pending([decision('ana')], [APPROVED]),
      state: 'Pending',
    },
    {
      name: 'does not let a condition from the future prolong an approval',
      request: pending([yes], [condition('Approved', 600)]),
      minutes: 61,
      state: 'Expired',
      writes: ['Expired'],
    },
    {
      name: 'counts a condition whose time cannot be read as long over',
      request: pending([yes], [{ ...APPROVED, lastTransitionTime: 'soon' }]),
      state: 'Expired',
      writes: ['Expired'],
    },
    {
      name: 'takes an approval back when a denial comes after it',
      request: pending([yes, decision('cy', 'Deny')], [APPROVED]),
      state: 'Revoked',
      writes: ['Revoked'],
    },
    {
      name: 'is over once consumed',
      request: pending([yes], [APPROVED, condition('Consumed', 3)]),
      state: 'Consumed',
    },
    {
      name: 'is over once withdrawn, also when somebody approves then',
      request: pending([yes], [condition('Revoked', 1)]),
      state: 'Revoked',
    },
    {
      name: 'is over once denied',
      request: pending([yes], [condition('Denied', 1)]),
      state: 'Denied',
    },
    {
      name: 'is over once expired',
      request: pending([yes], [condition('Expired', 1)]),
      state: 'Expired',
    },
  ])('$name', ({ request, minutes = 5, state, writes = [] }) => {
    const judgement = judge(request, NOW + minutes * MINUTE)
    expect(judgement.state).toBe(state)
    expect(judgement.newConditions.map(({ type }) => type)).toEqual(writes)
  })

  it('says who decided, with their reasons, and until when it holds', () => {
    const request = pending([decision('bo', 'Approve', { reason: 'INC-7' })])
    const judgement = judge(request, NOW + 5 * MINUTE)
    expect(judgement).toMatchObject({
      decidedBy: [{ approver: 'bo', reason: 'INC-7' }],
      untilMs: NOW + 35 * MINUTE,
      newConditions: [
        {
          type: 'Approved',
          status: 'True',
          reason: 'ApprovedByPerson',
          message: 'approved by bo: "INC-7"',
          lastTransitionTime: '2026-11-22T10:05:00Z',
        },
      ],
    })
  })

  it('goes by the policies of now where they are given', () => {
    const request = pending([yes])
    const others = {
      approvers: [{ subjects: [{ kind: 'User' as const, name: 'dpo' }] }],
      validForMs: 1,
    }
    expect(judge(request, NOW, others).state).toBe('Pending')
    const shorter = { ...DEMAND, validForMs: MINUTE }
    expect(judge(request, NOW, shorter).untilMs).toBe(NOW + MINUTE)
    const longer = { ...DEMAND, validForMs: 600 * MINUTE }
    expect(judge(request, NOW, longer).untilMs).toBe(NOW + 30 * MINUTE)
  })

  it('never approves where no policy names approvers', () => {
    expect(judge(pending([yes]), NOW, { approvers: [], validForMs: MINUTE }).state).toBe('Pending')
  })

  it('comes to the same state again once its conditions are written, and has no more to write', () => {
    const person = fc.constantFrom('ana', 'bo', 'cy', 'dpo')
    const groups = fc.constantFrom<string[]>([], ['oncall'], ['dev'])
    const verdict = fc.constantFrom('Approve' as const, 'Deny' as const)
    const decisions = fc.uniqueArray(fc.record({ person, groups, verdict }), {
      maxLength: 4,
      selector: (one) => one.person,
    })
    fc.assert(
      fc.property(decisions, fc.integer({ min: 0, max: 90 }), (made, minutes) => {
        const nowMs = NOW + minutes * MINUTE
        const entries = made.map((one) => decision(one.person, one.verdict, { groups: one.groups }))
        const request = pending(entries, [], BOTH)
        const first = judge(request, nowMs)
        const second = judge(withConditions(request, first.newConditions), nowMs)
        expect(second.state).toBe(first.state)
        expect(second.newConditions).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('withConditions', () => {
  it('adds, and keeps what is there as it is', () => {
    const request = pending([yes], [APPROVED])
    const next = withConditions(request, [condition('Approved', 9), consumed(request, 's-1', NOW)])
    expect(next.status?.conditions?.map(({ type }) => type)).toEqual(['Approved', 'Consumed'])
    expect(next.status?.conditions?.[0]).toBe(APPROVED)
    expect(next.status?.decisions).toEqual([yes])
    expect(judge(next, NOW + 3 * MINUTE).state).toBe('Consumed')
  })

  it('withdraws on behalf of the requester', () => {
    const request = pending()
    expect(judge(withConditions(request, [withdrawn(request, NOW)]), NOW).state).toBe('Revoked')
  })
})
