import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, compile } from './fixtures.ts'

type Policy = AccessPolicy | ClusterAccessPolicy
type Person = { username: string; groups: readonly string[] }

const names = fc.constantFrom('a', 'b', 'c')
const labels = fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('1', '2'))
const subjects = fc.array(
  fc.record({ kind: fc.constantFrom('User' as const, 'Group' as const), name: names }),
  { minLength: 1, maxLength: 2 },
)
const selector = fc.record(
  {
    matchLabels: labels,
    matchExpressions: fc.array(
      fc.oneof(
        fc.record({
          key: fc.constantFrom('k', 'l'),
          operator: fc.constantFrom('In' as const, 'NotIn' as const),
          values: fc.array(fc.constantFrom('1', '2'), { minLength: 1, maxLength: 2 }),
        }),
        fc.record({
          key: fc.constantFrom('k', 'l'),
          operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
        }),
      ),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
)
const operations = fc.constantFrom<('Exec' | 'Attach')[]>(['Exec'], ['Attach'], ['Exec', 'Attach'])
const approval = fc.oneof(
  fc.constant({ mode: 'Never' as const }),
  fc.record({
    mode: fc.constant('Session' as const),
    approvers: subjects,
    wait: fc.constantFrom('1m', '5m'),
    validFor: fc.constantFrom('10m', '1h'),
  }),
)
const masking = fc.record({
  detectors: fc.uniqueArray(fc.constantFrom('Email' as const, 'Iban' as const), { minLength: 1 }),
  patterns: fc.uniqueArray(
    fc.record({ name: names, pattern: fc.constantFrom('x', 'y', 'broken(') }),
    { maxLength: 2, selector: ({ name }) => name },
  ),
})
const demands = fc.record({ approval, masking }, { requiredKeys: [] })
const containers = fc.constantFrom<string[]>(['*'], ['main'], ['m*', 'z'], ['side?'])

const policy: fc.Arbitrary<(name: string) => Policy> = fc
  .record({
    cluster: fc.boolean(),
    namespace: fc.constantFrom('shop', 'bank'),
    deny: fc.integer({ min: 0, max: 3 }),
    subjects,
    operations,
    pods: fc.option(selector, { nil: undefined }),
    namespaces: fc.option(selector, { nil: undefined }),
    containers: fc.option(containers, { nil: undefined }),
    demands,
  })
  .map((given) => (name: string) => {
    const match = {
      operations: given.operations,
      ...(given.pods === undefined ? {} : { podSelector: given.pods }),
      ...(given.containers === undefined ? {} : { containers: given.containers }),
    }
    const effect = given.deny === 0 ? ('Deny' as const) : ('Allow' as const)
    const spec = { effect, subjects: given.subjects, ...(given.deny === 0 ? {} : given.demands) }
    if (!given.cluster) return accessPolicy(name, { ...spec, match }, given.namespace)
    const where = given.namespaces === undefined ? {} : { namespaceSelector: given.namespaces }
    return clusterAccessPolicy(name, { ...spec, match: { ...match, ...where } })
  })

const world = fc.record({
  policies: fc
    .array(policy, { maxLength: 6 })
    .map((makers) => makers.map((make, index) => make(`p${index}`))),
  user: fc.record({ username: names, groups: fc.uniqueArray(names) }),
  operation: fc.constantFrom('Exec' as const, 'Attach' as const),
  namespace: fc.record({ name: fc.constantFrom('shop', 'bank'), labels }),
  pod: fc.record({ name: fc.constant('web-0'), labels }),
  container: fc.constantFrom('main', 'side1', 'zoo'),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

/** The rules once more, from the objects themselves and as plainly as they can be said. */
const reference = {
  selects(
    given: { matchLabels?: object; matchExpressions?: object[] } = {},
    found: object,
  ): boolean {
    const value = (key: string): unknown => new Map(Object.entries(found)).get(key)
    const demandsMet = Object.entries(given.matchLabels ?? {}).every(([k, v]) => value(k) === v)
    return (given.matchExpressions ?? []).reduce<boolean>((so, expression) => {
      const { key, operator, values } = expression as {
        key: string
        operator: string
        values?: unknown[]
      }
      const has = value(key) !== undefined
      if (operator === 'Exists') return so && has
      if (operator === 'DoesNotExist') return so && !has
      const inside = has && values?.includes(value(key)) === true
      return so && (operator === 'In' ? inside : !inside)
    }, demandsMet)
  },
  isMeant(people: { kind: string; name: string }[], user: Person): boolean {
    return people.some((one) =>
      one.kind === 'User' ? one.name === user.username : user.groups.includes(one.name),
    )
  },
  applies(object: Policy, to: World): boolean {
    const { match, subjects: people } = object.spec
    const here =
      object.kind === 'AccessPolicy'
        ? object.metadata.namespace === to.namespace.name
        : reference.selects(object.spec.match.namespaceSelector, to.namespace.labels)
    const named = (glob: string): boolean =>
      new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(to.container)
    return (
      here &&
      reference.isMeant(people, to.user) &&
      match.operations.includes(to.operation) &&
      reference.selects(match.podSelector, to.pod.labels) &&
      (match.containers ?? ['*']).some(named)
    )
  },
  verdict(to: World): 'allow' | 'deny' | 'requireApproval' {
    const applying = to.policies.filter((object) => reference.applies(object, to))
    if (applying.length === 0) return 'deny'
    if (applying.some(({ spec }) => spec.effect === 'Deny')) return 'deny'
    const broken = applying.some(({ spec }) =>
      (spec.masking?.patterns ?? []).some(({ pattern }) => pattern === 'broken('),
    )
    if (broken) return 'deny'
    const held = applying.some(({ spec }) => spec.approval?.mode === 'Session')
    return held ? 'requireApproval' : 'allow'
  },
}

function inputOf(given: World, policies: Policy[] = given.policies): PolicyInput {
  return { ...given, policies: policies.map(compile) }
}

describe('evaluate', () => {
  it('comes to the verdict of the plain rules', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(world, (given) => {
        const { kind } = evaluate(inputOf(given))
        seen.add(kind)
        expect(kind).toBe(reference.verdict(given))
      }),
      { numRuns: 5_000 },
    )
    expect([...seen].toSorted()).toEqual(['allow', 'deny', 'requireApproval'])
  })

  it('collects every demand of every policy that applies, and no other', () => {
    fc.assert(
      fc.property(world, (given) => {
        const decision = evaluate(inputOf(given))
        if (decision.kind === 'deny') return
        const applying = given.policies.filter((object) => reference.applies(object, given))
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
        const asking = applying.filter(({ spec }) => spec.approval?.mode === 'Session')
        expect(decision.kind === 'requireApproval' ? decision.approval.approvers.length : 0).toBe(
          asking.length,
        )
      }),
      { numRuns: 2_000 },
    )
  })

  it('does not depend on the order of policies', () => {
    fc.assert(
      fc.property(world, (given) => {
        expect(evaluate(inputOf(given, given.policies.toReversed()))).toEqual(
          evaluate(inputOf(given)),
        )
      }),
      { numRuns: 1_000 },
    )
  })

  it('never gets looser by a policy that demands or denies, once something allows', () => {
    const rank = { allow: 0, requireApproval: 1, deny: 2 }
    fc.assert(
      fc.property(world, policy, (given, make) => {
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
      { numRuns: 1_000 },
    )
  })
})
