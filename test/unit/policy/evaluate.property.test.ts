import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import type { SignInFacts } from '../../../lib/policy/sign-in-demand.ts'
import { compile } from './fixtures.ts'
import { appliesToAnyPort, counting, verdict } from './plain-rules.ts'
import { hasPod, isNowhere, isProxy, policy, world, type Policy, type World } from './worlds.ts'

const NOW = 1_800_000_000_000

function signInOf({ signIn: { minutes, ...rest } }: World['user']): SignInFacts {
  return { ...rest, ...(minutes === undefined ? {} : { at: NOW - minutes * 60_000 }) }
}

function inputOf(given: World, policies: Policy[] = given.policies): PolicyInput {
  const { operation, target: found, pod, container, namespace, port, ...rest } = given
  return {
    user: { ...rest.user, signIn: signInOf(rest.user) },
    now: NOW,
    operation,
    namespace: isNowhere(given) ? { name: '', labels: {} } : namespace,
    pod: hasPod(given) ? pod : undefined,
    container: hasPod(given) ? container : '',
    ...(port === undefined ? {} : { port }),
    ...(isProxy(given) ? found : {}),
    ...(operation === 'TokenRequest' ? { serviceAccount: rest.serviceAccount } : {}),
    ...(operation === 'Impersonate' ? { impersonate: rest.impersonate } : {}),
    ...(operation === 'Debug' ? { debug: rest.debug } : {}),
    policies: policies.map(compile),
  }
}

describe('evaluate', () => {
  it('comes to the verdict of the plain rules', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(world, (given) => {
        const { kind } = evaluate(inputOf(given))
        seen.add(kind)
        expect(kind).toBe(verdict(given))
      }),
      { numRuns: 3_000 },
    )
    expect([...seen].toSorted()).toEqual(['allow', 'deny', 'requireApproval'])
  })

  it('collects every demand of every policy that applies, and no other', () => {
    fc.assert(
      fc.property(world, (given) => {
        const decision = evaluate(inputOf(given))
        if (decision.kind === 'deny') return
        const applying = counting(given)
        expect(new Set(decision.policies.map(({ name }) => name))).toEqual(
          new Set(applying.map(({ metadata }) => metadata.name)),
        )
        const masks = applying.flatMap(({ spec }) => spec.masking ?? [])
        const { masking: merged } = decision.obligations
        expect(new Set(merged?.detectors)).toEqual(new Set(masks.flatMap((m) => m.detectors ?? [])))
        expect(new Set(merged?.patterns.map(({ pattern }) => pattern))).toEqual(
          new Set(masks.flatMap((m) => m.patterns ?? []).map(({ pattern }) => pattern)),
        )
        const patternNames = merged?.patterns.map(({ name }) => name) ?? []
        expect(new Set(patternNames).size).toBe(patternNames.length)
        const said = new Set(
          given.policies
            .filter((object) =>
              given.operation === 'PortForward' && given.port === undefined
                ? object.spec.effect !== 'Deny' && appliesToAnyPort(object, given)
                : applying.includes(object),
            )
            .map(({ spec }) => spec.recording?.content),
        )
        const usual = ['Exec', 'Attach', 'Debug'].includes(given.operation) ? 'Full' : 'Digest'
        const strictest = said.has('Full') ? 'Full' : said.has('Digest') ? 'Digest' : usual
        expect(decision.obligations.content).toBe(strictest)
        const asking = applying.filter(({ spec }) => spec.approval?.mode === 'Session')
        expect(decision.kind === 'requireApproval' ? decision.approval.approvers.length : 0).toBe(
          asking.length,
        )
      }),
      { numRuns: 1_000 },
    )
  })

  it('does not depend on the order of policies', () => {
    fc.assert(
      fc.property(world, (given) => {
        expect(evaluate(inputOf(given, given.policies.toReversed()))).toEqual(
          evaluate(inputOf(given)),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('never gets looser by a policy that demands or denies, once something allows', () => {
    const rank = { allow: 0, requireApproval: 1, deny: 2 }
    fc.assert(
      fc.property(world, policy, (given, make) => {
        // A further port may open a port-forward; its connections are decided one by one.
        fc.pre(given.operation !== 'PortForward' || given.port !== undefined)
        const before = evaluate(inputOf(given))
        fc.pre(before.kind !== 'deny')
        const after = evaluate(inputOf(given, [...given.policies, make('extra')]))
        expect(rank[after.kind]).toBeGreaterThanOrEqual(rank[before.kind])
        if (after.kind !== 'deny') {
          const still = new Set(after.obligations.masking?.detectors)
          for (const detector of before.obligations.masking?.detectors ?? []) {
            expect(still.has(detector)).toBe(true)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
