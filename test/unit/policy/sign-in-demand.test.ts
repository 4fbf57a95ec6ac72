/** What a policy may demand of how somebody signed in. */
import { describe, expect, it } from '@jest/globals'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import { evaluate } from '../../../lib/policy/evaluate.ts'
import type { SignInFacts } from '../../../lib/policy/sign-in-demand.ts'
import { accessPolicy, compile, ONCALL, request } from './fixtures.ts'

type Demand = AccessPolicy['spec']['signIn']

const NOW = 1_800_000_000_000
const MINUTE = 60_000
const FRESH: SignInFacts = { at: NOW, acr: 'mfa', amr: ['pwd', 'otp'] }

function decide(demands: Demand[], facts: SignInFacts | undefined, now: number | undefined = NOW) {
  const policies = demands.map((signIn, n) =>
    accessPolicy(`p${n}`, signIn === undefined ? {} : { signIn }),
  )
  const user = {
    username: 'ana',
    groups: ['dev'],
    ...(facts === undefined ? {} : { signIn: facts }),
  }
  return evaluate(request(policies, { user, ...(now === undefined ? {} : { now }) }))
}

describe('a demand on the sign-in', () => {
  it.each<{ name: string; demands: Demand[]; facts?: SignInFacts | undefined; says?: string }>([
    { name: 'nothing is demanded, nothing is known', demands: [undefined], facts: { amr: [] } },
    {
      name: 'young enough',
      demands: [{ maxAge: '15m' }],
      facts: { ...FRESH, at: NOW - 15 * MINUTE },
    },
    {
      name: 'too old, by a moment',
      demands: [{ maxAge: '15m' }],
      facts: { ...FRESH, at: NOW - 15 * MINUTE - 1 },
      says: 'AccessPolicy shop/p0: it asks for a sign-in within the last 15m, and yours is 15m1s old. Run: kubectl podgate login --fresh; then run the same command again',
    },
    {
      name: 'of a time nobody knows',
      demands: [{ maxAge: '15m' }],
      facts: { amr: [] },
      says: 'your provider does not say when yours was (auth_time)',
    },
    {
      name: 'of a clock that is ahead',
      demands: [{ maxAge: '15m' }],
      facts: { ...FRESH, at: NOW + MINUTE },
    },
    {
      name: 'of a time that has not come, which would be fresh for ever',
      demands: [{ maxAge: '24h' }],
      facts: { ...FRESH, at: NOW + 6 * MINUTE },
      says: 'yours is said to be in the future (auth_time)',
    },
    { name: 'one of the classes', demands: [{ acr: ['hw', 'mfa'] }], facts: FRESH },
    {
      name: 'another class',
      demands: [{ acr: ['hw'] }],
      facts: FRESH,
      says: 'a sign-in of the class hw, and yours is of mfa. Run: kubectl podgate login --fresh --acr hw',
    },
    {
      name: 'of no class',
      demands: [{ acr: ['hw'] }],
      facts: { amr: [] },
      says: 'yours is of none',
    },
    { name: 'all of the methods', demands: [{ amr: ['otp'] }], facts: FRESH },
    {
      name: 'a method short',
      demands: [{ amr: ['otp', 'hwk'] }],
      facts: FRESH,
      says: 'a sign-in with hwk, which yours was without',
    },
    {
      name: 'every demand of every policy',
      demands: [{ maxAge: '15m' }, undefined, { amr: ['hwk'] }],
      facts: FRESH,
      says: 'AccessPolicy shop/p2: it asks for a sign-in with hwk',
    },
    {
      name: 'the strictest of two',
      demands: [{ maxAge: '8h' }, { maxAge: '5m' }],
      facts: { ...FRESH, at: NOW - 6 * MINUTE },
      says: 'AccessPolicy shop/p1',
    },
    {
      name: 'of several ages only the smallest is told',
      demands: [{ maxAge: '8h' }, { maxAge: '5m' }],
      facts: { ...FRESH, at: NOW - 24 * 60 * MINUTE },
      says: 'by AccessPolicy shop/p1: it asks for a sign-in within the last 5m, and yours is 24h old. Run',
    },
    {
      name: 'all of one sign-in at once',
      demands: [{ maxAge: '15m', acr: ['hw'] }, { amr: ['hwk'] }],
      facts: { amr: [] },
      says:
        'by AccessPolicy shop/p0: it asks for a sign-in within the last 15m, and your provider does not say when yours was (auth_time); ' +
        'and for a sign-in of the class hw, and yours is of none; ' +
        'nor by AccessPolicy shop/p1: it asks for a sign-in with hwk, which yours was without. ' +
        'Run: kubectl podgate login --fresh --acr hw; then run the same command again',
    },
    {
      name: 'a class that all policies take, and not the first of one',
      demands: [{ acr: ['mfa', 'hw'] }, { acr: ['hw', 'card'] }],
      facts: FRESH,
      says: 'Run: kubectl podgate login --fresh --acr hw; then',
    },
    {
      name: 'classes that no sign-in is of',
      demands: [{ acr: ['mfa'] }, { acr: ['hw'] }],
      facts: FRESH,
      says: 'No sign-in is of both classes; ask the authors of these policies',
    },
    {
      name: 'a class that would be a command in the shell of who pastes it',
      demands: [{ acr: ["';$(id)#"] }],
      facts: FRESH,
      says: String.raw`--acr ''\'';$(id)#'; then run the same command again`,
    },
    {
      name: 'of somebody of whom nothing is known',
      demands: [{ amr: ['pwd'] }],
      facts: undefined,
      says: 'a sign-in with pwd',
    },
  ])('$name', ({ demands, facts, says }) => {
    const decision = decide(demands, facts)
    if (says === undefined) expect(decision.kind).toBe('allow')
    else
      expect(decision).toMatchObject({
        kind: 'deny',
        id: 1060,
        message: expect.stringContaining(says),
      })
  })

  it('is not met when nobody says what time it is', () => {
    const user = { username: 'ana', groups: ['dev'], signIn: FRESH }
    const policies = [accessPolicy('p', { signIn: { maxAge: '24h' } })]
    expect(evaluate(request(policies, { user }))).toMatchObject({ kind: 'deny', id: 1060 })
  })

  it('of a policy for other people is not asked of these', () => {
    const policies = [
      accessPolicy('mine'),
      accessPolicy('theirs', { subjects: ONCALL, signIn: { amr: ['hwk'] } }),
    ]
    expect(evaluate(request(policies)).kind).toBe('allow')
  })

  it('comes before an approval: nobody is asked in vain', () => {
    const policies = [
      accessPolicy('p', {
        signIn: { amr: ['hwk'] },
        approval: { mode: 'Session', approvers: ONCALL },
      }),
    ]
    expect(evaluate(request(policies))).toMatchObject({ kind: 'deny', id: 1060 })
  })

  it('that cannot be read makes the policy one that is not ready', () => {
    const { errors } = compile(accessPolicy('p', { signIn: { maxAge: 'soon' } }))
    expect(errors).toEqual([
      { field: 'spec.signIn.maxAge', message: 'is not a duration such as 15m' },
    ])
  })
})
