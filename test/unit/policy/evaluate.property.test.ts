import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import type { Operation } from '../../../lib/api/operation.ts'
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
/** Those that an AccessPolicy may name; Impersonate is added to some others. */
const operations = fc.constantFrom<AccessPolicy['spec']['match']['operations']>(
  ['Exec'],
  ['Attach'],
  ['Exec', 'Attach'],
  ['PortForward'],
  ['Exec', 'PortForward'],
  ['Proxy'],
  ['PortForward', 'Proxy'],
  ['TokenRequest'],
  ['Debug', 'Exec'],
)
const OPERATIONS: Operation[] = [
  'Exec',
  'Attach',
  'PortForward',
  'Proxy',
  'TokenRequest',
  'Debug',
  'Impersonate',
]
const UNMASKABLE = ['PortForward', 'Proxy', 'TokenRequest', 'Impersonate']
const ports = fc.constantFrom<number[]>([80], [80, 81], [81, 82])
const globs = fc.constantFrom<string[]>(['*'], ['a'], ['b*', 'c'], ['a?'])
const targets = fc.record(
  { ports, services: globs, nodes: globs, serviceAccounts: globs },
  { requiredKeys: [] },
)
const impersonate = fc.record({ users: globs, groups: globs }, { requiredKeys: ['users'] })
const debug = fc.record(
  {
    images: fc.constantFrom<string[]>(['a*'], ['b', 'c']),
    capabilities: fc.constantFrom<string[]>([], ['SYS_PTRACE'], ['ALL'], ['NET_ADMIN']),
    privileged: fc.boolean(),
  },
  { requiredKeys: [] },
)
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
    targets,
    impersonate: fc.option(impersonate, { nil: undefined, freq: 1 }),
    debug: fc.option(debug, { nil: undefined }),
    content: fc.option(fc.constantFrom('Full' as const, 'Digest' as const), { nil: undefined }),
  })
  .map((given) => (name: string) => {
    const isAbout = (operation: Operation): boolean =>
      given.operations.some((word) => word === operation)
    const named = given.targets
    const match = {
      operations: given.operations,
      ...(given.pods === undefined ? {} : { podSelector: given.pods }),
      ...(given.containers === undefined ? {} : { containers: given.containers }),
      ...(named.ports === undefined ? {} : { ports: named.ports }),
      ...(named.services === undefined ? {} : { services: named.services }),
      // Tokens of nobody in particular are a broken policy, which has tests of its own.
      ...(isAbout('TokenRequest') ? { serviceAccounts: named.serviceAccounts ?? ['*'] } : {}),
    }
    const effect = given.deny === 0 ? ('Deny' as const) : ('Allow' as const)
    const { masking: masks, approval: held } = given.demands
    const limits = {
      ...(held === undefined ? {} : { approval: held }),
      ...(masks === undefined || given.operations.some((word) => UNMASKABLE.includes(word))
        ? {}
        : { masking: masks }),
      ...(isAbout('Debug') && given.debug !== undefined ? { debug: given.debug } : {}),
      ...(given.content === undefined ? {} : { recording: { content: given.content } }),
    }
    const spec = { effect, subjects: given.subjects, ...(given.deny === 0 ? {} : limits) }
    if (!given.cluster) return accessPolicy(name, { ...spec, match }, given.namespace)
    const where = {
      ...(given.namespaces === undefined ? {} : { namespaceSelector: given.namespaces }),
      ...(named.nodes === undefined ? {} : { nodes: named.nodes }),
    }
    if (given.impersonate === undefined || 'masking' in spec || 'approval' in spec) {
      return clusterAccessPolicy(name, { ...spec, match: { ...match, ...where } })
    }
    return clusterAccessPolicy(name, {
      ...spec,
      match: {
        ...match,
        ...where,
        operations: [...given.operations, 'Impersonate'],
        impersonate: given.impersonate,
      },
    })
  })

const someName = fc.constantFrom<string>('a', 'b1', 'c', 'x')
/** What the request is about, as the gateway finds it for the operation. */
const target: fc.Arbitrary<{ service?: string; node?: string }> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ service: someName }) },
  { weight: 1, arbitrary: fc.record({ node: someName }) },
)

const world = fc.record({
  policies: fc
    .array(policy, { maxLength: 6 })
    .map((makers) => makers.map((make, index) => make(`p${index}`))),
  user: fc.record({ username: names, groups: fc.uniqueArray(names) }),
  operation: fc.constantFrom(...OPERATIONS),
  port: fc.option(fc.constantFrom<number>(80, 81, 82, 83), { nil: undefined }),
  target,
  serviceAccount: someName,
  impersonate: fc.record({ user: someName, groups: fc.uniqueArray(someName, { maxLength: 2 }) }),
  debug: fc.record({
    image: fc.constantFrom('a1', 'b', 'x'),
    command: fc.constant<string[]>([]),
    targetContainer: fc.constant(''),
    capabilities: fc.constantFrom<string[]>([], ['SYS_PTRACE'], ['NET_ADMIN', 'SYS_PTRACE']),
    privileged: fc.boolean(),
    digest: fc.constant('sha256:1'),
  }),
  namespace: fc.record({ name: fc.constantFrom('shop', 'bank'), labels }),
  pod: fc.record({ name: fc.constant('web-0'), labels }),
  container: fc.constantFrom('main', 'side1', 'zoo'),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

const isProxy = ({ operation, target: found }: World): boolean =>
  operation === 'Proxy' && (found.service !== undefined || found.node !== undefined)
const hasPod = (given: World): boolean =>
  !isProxy(given) && given.operation !== 'TokenRequest' && given.operation !== 'Impersonate'
const isNowhere = (given: World): boolean =>
  given.operation === 'Impersonate' || (isProxy(given) && given.target.node !== undefined)

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
  named(patterns: readonly string[] | undefined, name: string): boolean {
    return (patterns ?? []).some((glob) =>
      new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name),
    )
  },
  isHere(object: Policy, to: World): boolean {
    if (object.kind === 'AccessPolicy') {
      return !isNowhere(to) && object.metadata.namespace === to.namespace.name
    }
    const { namespaceSelector } = object.spec.match
    return isNowhere(to)
      ? reference.isEmpty(namespaceSelector)
      : reference.selects(namespaceSelector, to.namespace.labels)
  },
  isEmpty(given: { matchLabels?: object; matchExpressions?: object[] } = {}): boolean {
    const { matchLabels = {}, matchExpressions = [] } = given
    return Object.keys(matchLabels).length + matchExpressions.length === 0
  },
  /** Without ports. */
  isAboutTarget(object: Policy, to: World): boolean {
    const match: ClusterAccessPolicy['spec']['match'] = object.spec.match
    const { target: found, operation } = to
    if (hasPod(to)) {
      const proxiesOthers = match.services !== undefined || match.nodes !== undefined
      return (
        !(operation === 'Proxy' && proxiesOthers) &&
        reference.selects(match.podSelector, to.pod.labels) &&
        reference.named(match.containers ?? ['*'], to.container)
      )
    }
    if (!reference.isEmpty(match.podSelector)) return false
    if (operation === 'TokenRequest') {
      return reference.named(match.serviceAccounts, to.serviceAccount)
    }
    if (operation === 'Impersonate') {
      const { users = [], groups } = match.impersonate ?? {}
      if (!reference.named(users, to.impersonate.user)) return false
      const isNamed = (one: string): boolean => reference.named(groups, one)
      return object.spec.effect === 'Deny'
        ? groups === undefined || to.impersonate.groups.some(isNamed)
        : to.impersonate.groups.every(isNamed)
    }
    if (found.node !== undefined) return reference.named(match.nodes, found.node)
    return reference.named(match.services, found.service ?? '')
  },
  isAboutPort(object: Policy, { operation, port }: World): boolean {
    const named = object.spec.match.ports
    if ((operation !== 'PortForward' && operation !== 'Proxy') || named === undefined) return true
    return port === undefined ? object.spec.effect === 'Deny' : named.includes(port)
  },
  appliesToAnyPort(object: Policy, to: World): boolean {
    return (
      reference.isHere(object, to) &&
      reference.isMeant(object.spec.subjects, to.user) &&
      object.spec.match.operations.some((word) => word === to.operation) &&
      reference.isAboutTarget(object, to)
    )
  },
  applies(object: Policy, to: World): boolean {
    return reference.appliesToAnyPort(object, to) && reference.isAboutPort(object, to)
  },
  isBroken({ spec }: Policy): boolean {
    return (spec.masking?.patterns ?? []).some(({ pattern }) => pattern === 'broken(')
  },
  isBeyond({ spec }: Policy, { operation, debug: facts }: World): boolean {
    if (operation !== 'Debug') return false
    const { images = ['*'], capabilities = ['SYS_PTRACE'], privileged = false } = spec.debug ?? {}
    return (
      !reference.named(images, facts.image) ||
      (facts.privileged && !privileged) ||
      !facts.capabilities.every((one) => capabilities.includes('ALL') || capabilities.includes(one))
    )
  },
  verdict(to: World): 'allow' | 'deny' | 'requireApproval' {
    if (to.operation === 'PortForward' && to.port === undefined) {
      // Every port that any policy of the test lists, and one that none does.
      const all = [80, 81, 82, 83, 84].map((port) => reference.verdict({ ...to, port }))
      return (['allow', 'requireApproval'] as const).find((kind) => all.includes(kind)) ?? 'deny'
    }
    const applying = to.policies.filter((object) => reference.applies(object, to))
    if (applying.length === 0) return 'deny'
    if (applying.some(({ spec }) => spec.effect === 'Deny')) return 'deny'
    if (applying.some((object) => reference.isBroken(object))) return 'deny'
    if (applying.some((object) => reference.isBeyond(object, to))) return 'deny'
    const held = applying.some(({ spec }) => spec.approval?.mode === 'Session')
    return held ? 'requireApproval' : 'allow'
  },
  /** Those whose demands hold: for a port-forward that is opened, those of every port in question. */
  counting(to: World): Policy[] {
    if (to.operation !== 'PortForward' || to.port !== undefined) {
      return to.policies.filter((object) => reference.applies(object, to))
    }
    const kind = reference.verdict(to)
    const open = [80, 81, 82, 83, 84]
      .map((port) => ({ ...to, port }))
      .filter((one) => reference.verdict(one) === kind)
    return to.policies.filter((object) => open.some((one) => reference.applies(object, one)))
  },
}

function inputOf(given: World, policies: Policy[] = given.policies): PolicyInput {
  const { operation, target: found, pod, container, namespace, port, ...rest } = given
  return {
    user: rest.user,
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
        expect(kind).toBe(reference.verdict(given))
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
        const applying = reference.counting(given)
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
                ? object.spec.effect !== 'Deny' && reference.appliesToAnyPort(object, given)
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
