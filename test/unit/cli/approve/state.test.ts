import { describe, expect, it } from '@jest/globals'

import { selectWaiting } from '../../../../lib/cli/approve/list.ts'
import {
  isApprovalRequest,
  openDemandsOf,
  standingOf,
  stateOf,
} from '../../../../lib/cli/approve/state.ts'
import { buildRequest, condition, CY, decision, NOW, ONCALL } from './requests.ts'

const bo = { username: 'bo', groups: ['oncall', 'system:authenticated'] }
const SECURITY = { kind: 'Group', name: 'security' } as const

describe('standingOf says whether a person may decide', () => {
  it.each([
    {
      name: 'a member of an approving group may',
      request: buildRequest(),
      person: bo,
      want: 'mayDecide',
    },
    {
      name: 'an approver by name may',
      request: buildRequest({ demands: [[CY]] }),
      person: { username: 'cy', groups: [] },
      want: 'mayDecide',
    },
    {
      name: 'a group of the same name as an approving user may not',
      request: buildRequest({ demands: [[CY]] }),
      person: { username: 'bo', groups: ['cy'] },
      want: 'notApprover',
    },
    {
      name: 'a user of the same name as an approving group may not',
      request: buildRequest(),
      person: { username: 'oncall', groups: [] },
      want: 'notApprover',
    },
    {
      name: 'an approver of one of several policies may',
      request: buildRequest({ demands: [[SECURITY], [ONCALL]] }),
      person: bo,
      want: 'mayDecide',
    },
    {
      name: 'the requester may not, though an approver',
      request: buildRequest({ requester: 'bo' }),
      person: bo,
      want: 'own',
    },
    {
      name: 'nor in other capitals',
      request: buildRequest({ requester: 'Bo' }),
      person: bo,
      want: 'own',
    },
    {
      name: 'not twice',
      request: buildRequest({ decisions: [decision('bo', 'Approve')] }),
      person: bo,
      want: 'decided',
    },
    {
      name: 'after another has decided, still',
      request: buildRequest({
        demands: [[ONCALL], [CY]],
        decisions: [decision('cy', 'Approve', [])],
      }),
      person: bo,
      want: 'mayDecide',
    },
    {
      name: 'not at the moment it lapses',
      request: buildRequest({ expiresInMs: 0 }),
      person: bo,
      want: 'lapsed',
    },
    {
      name: 'until the millisecond before',
      request: buildRequest({ expiresInMs: 1 }),
      person: bo,
      want: 'mayDecide',
    },
    ...(['Approved', 'Denied', 'Expired', 'Revoked', 'Consumed'] as const).map((type) => ({
      name: `not once it is ${type}`,
      request: buildRequest({ conditions: [condition(type)] }),
      person: bo,
      want: 'settled',
    })),
  ])('$name', ({ request, person, want }) => {
    expect(standingOf(request, person, NOW).kind).toBe(want)
  })
})

describe('stateOf tells the last thing that became of a request', () => {
  it.each([
    { conditions: [], want: 'Pending' },
    { conditions: ['Approved'], want: 'Approved' },
    { conditions: ['Approved', 'Consumed'], want: 'Consumed' },
    { conditions: ['Consumed', 'Approved'], want: 'Consumed' },
    { conditions: ['Approved', 'Revoked'], want: 'Revoked' },
    { conditions: ['Approved', 'Expired'], want: 'Expired' },
    { conditions: ['Denied'], want: 'Denied' },
  ] as const)('$conditions is $want', ({ conditions, want }) => {
    const request = buildRequest({ conditions: conditions.map((type) => condition(type)) })
    expect(stateOf(request, NOW)).toBe(want)
  })

  it('is Expired when the time has run out, also before the gateway says so', () => {
    expect(stateOf(buildRequest({ expiresInMs: -1 }), NOW)).toBe('Expired')
  })
})

describe('openDemandsOf tells who still has to agree', () => {
  it.each([
    { name: 'everybody at first', decisions: [], want: [[ONCALL], [CY]] },
    { name: 'not the group that did', decisions: [decision('bo', 'Approve')], want: [[CY]] },
    { name: 'the group that denied', decisions: [decision('bo', 'Deny')], want: [[ONCALL], [CY]] },
    {
      name: 'nobody, when one person stands for both',
      decisions: [decision('cy', 'Approve', ['oncall'])],
      want: [],
    },
  ])('$name', ({ decisions, want }) => {
    expect(openDemandsOf(buildRequest({ demands: [[ONCALL], [CY]], decisions }))).toEqual(want)
  })
})

describe('selectWaiting', () => {
  it('keeps what the person may decide, the one that lapses first on top', () => {
    const requests = [
      buildRequest({ name: 'later', expiresInMs: 60_000 }),
      buildRequest({ name: 'mine', requester: 'bo' }),
      buildRequest({ name: 'sooner', expiresInMs: 30_000 }),
      buildRequest({ name: 'lapsed', expiresInMs: -1 }),
      buildRequest({ name: 'for-others', demands: [[CY]] }),
      buildRequest({ name: 'done', conditions: [condition('Approved')] }),
    ]
    expect(selectWaiting(requests, bo, NOW).map(({ metadata }) => metadata.name)).toEqual([
      'sooner',
      'later',
    ])
  })
})

describe('isApprovalRequest', () => {
  it.each([
    { name: 'a request', value: buildRequest(), want: true },
    {
      name: 'a bookmark',
      value: { kind: 'ApprovalRequest', metadata: { resourceVersion: '7' } },
      want: false,
    },
    { name: 'a Status', value: { kind: 'Status', status: 'Failure' }, want: false },
    { name: 'null', value: null, want: false },
    { name: 'a list', value: [buildRequest()], want: false },
  ])('$name: $want', ({ value, want }) => {
    expect(isApprovalRequest(value)).toBe(want)
  })
})
