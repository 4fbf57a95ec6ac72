/** What `kubectl auth can-i` says of the policies. */
import { describe, expect, it } from '@jest/globals'

import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { explainDecision, explainInGeneral } from '../../../lib/policy/explain.ts'
import { accessPolicy, clusterAccessPolicy, ONCALL, request } from './fixtures.ts'

type Objects = Parameters<typeof request>[0]

const WEB = { podSelector: { matchLabels: { app: 'web' } } }
const EXEC: ['Exec'] = ['Exec']

function inGeneral(objects: Objects, changes: Partial<PolicyInput> = {}) {
  return explainInGeneral(request(objects, { pod: undefined, container: '', ...changes }))
}

describe('of pods in general', () => {
  it.each<{ name: string; objects: Objects; verdict: string; reason: string | RegExp }>([
    {
      name: 'no policy at all',
      objects: [],
      verdict: 'no',
      reason: /no policy allows ana \(groups: dev\) to exec into namespace shop/,
    },
    {
      name: 'one for every pod',
      objects: [accessPolicy('free')],
      verdict: 'yes',
      reason: 'AccessPolicy shop/free allows it',
    },
    {
      name: 'one for some pods, with approval',
      objects: [
        accessPolicy('web-shell', {
          match: { operations: EXEC, ...WEB, containers: ['main'] },
          approval: { mode: 'Session', approvers: ONCALL },
        }),
      ],
      verdict: 'approval',
      reason:
        'AccessPolicy shop/web-shell allows it for pods with app=web, containers main, with approval by group oncall',
    },
    {
      name: 'two, one of them free',
      objects: [
        accessPolicy('a', { approval: { mode: 'Session', approvers: ONCALL } }),
        accessPolicy('b', { match: { operations: EXEC, ...WEB } }),
      ],
      verdict: 'yes',
      reason:
        /shop\/a allows it, with approval by group oncall; .*shop\/b allows it for pods with app=web\. Where several match, all of their demands hold/,
    },
    {
      name: 'one that asks for a fresh sign-in',
      objects: [accessPolicy('p', { signIn: { maxAge: '15m', amr: ['otp'] } })],
      verdict: 'yes',
      reason:
        'AccessPolicy shop/p allows it, with a sign-in within the last 15m, with a sign-in made in a certain way',
    },
    {
      name: 'a Deny for every pod',
      objects: [accessPolicy('free'), clusterAccessPolicy('never', { effect: 'Deny' })],
      verdict: 'no',
      reason: /is denied by ClusterAccessPolicy never/,
    },
    {
      name: 'a Deny for some pods, which leaves the others',
      objects: [
        accessPolicy('free'),
        accessPolicy('not-web', { effect: 'Deny', match: { operations: EXEC, ...WEB } }),
      ],
      verdict: 'yes',
      reason: 'AccessPolicy shop/free allows it',
    },
    {
      name: 'one for other people',
      objects: [accessPolicy('theirs', { subjects: ONCALL })],
      verdict: 'no',
      reason: /no policy allows ana/,
    },
    {
      name: 'one that is not ready',
      objects: [accessPolicy('broken', { masking: { patterns: [{ name: 'x', pattern: '(' }] } })],
      verdict: 'no',
      reason: /matches but cannot be applied/,
    },
    {
      name: 'one of another namespace',
      objects: [accessPolicy('far', {}, 'other')],
      verdict: 'no',
      reason: /no policy allows ana/,
    },
  ])('$name', ({ objects, verdict, reason }) => {
    const told = inGeneral(objects)
    expect(told.verdict).toBe(verdict)
    if (typeof reason === 'string') expect(told.reason).toBe(reason)
    else expect(told.reason).toMatch(reason)
  })

  it('stays short, however many policies there are', () => {
    const objects = Array.from({ length: 50 }, (_, n) =>
      accessPolicy(`p${n}`, {
        match: { operations: EXEC, podSelector: { matchLabels: { app: 'x'.repeat(63) } } },
      }),
    )
    const { reason } = inGeneral(objects)
    expect(reason).toContain('and 47 more')
    expect(reason.length).toBeLessThan(800)
  })
})

describe('of one pod', () => {
  const told = (objects: Objects) => explainDecision(evaluate(request(objects)))

  it('is what would be decided, in words', () => {
    expect(told([accessPolicy('free')])).toEqual({
      verdict: 'yes',
      reason: 'allowed by AccessPolicy shop/free',
    })
    const approval = { mode: 'Session' as const, approvers: ONCALL }
    expect(told([accessPolicy('p', { approval })])).toEqual({
      verdict: 'approval',
      reason: 'allowed by AccessPolicy shop/p, with approval by group oncall',
    })
    expect(told([])).toMatchObject({ verdict: 'no', reason: expect.stringContaining('no policy') })
  })
})
