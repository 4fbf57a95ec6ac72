/** Policies and requests at random. */
import fc from 'fast-check'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import type { DebugFacts } from '../../../lib/api/debug-facts.ts'
import type { Operation } from '../../../lib/api/operation.ts'
import { accessPolicy, clusterAccessPolicy } from './fixtures.ts'

export type Policy = AccessPolicy | ClusterAccessPolicy

const names = fc.constantFrom('a', 'b', 'c')
const labels = fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('1', '2'))
const subjects = fc.array(
  fc.record({ kind: fc.constantFrom('User' as const, 'Group' as const), name: names }),
  { minLength: 1, maxLength: 2 },
)
/** One without a namespace is of that of its policy, so only an AccessPolicy has such. */
const serviceAccounts = fc.array(
  fc.record(
    {
      kind: fc.constant('ServiceAccount' as const),
      name: names,
      namespace: fc.constantFrom('shop', 'bank'),
    },
    { requiredKeys: ['kind', 'name'] },
  ),
  { maxLength: 1 },
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
const signIn = fc.record(
  {
    maxAge: fc.constantFrom('1m', '10m'),
    acr: fc.constantFrom<string[]>(['low', 'high'], ['high']),
    amr: fc.constantFrom<string[]>(['pwd'], ['pwd', 'otp']),
  },
  { requiredKeys: [] },
)
const containers = fc.constantFrom<string[]>(['*'], ['main'], ['m*', 'z'], ['side?'])

export const policy: fc.Arbitrary<(name: string) => Policy> = fc
  .record({
    cluster: fc.boolean(),
    namespace: fc.constantFrom('shop', 'bank'),
    deny: fc.integer({ min: 0, max: 3 }),
    people: subjects,
    machines: serviceAccounts,
    operations,
    pods: fc.option(selector, { nil: undefined }),
    namespaces: fc.option(selector, { nil: undefined }),
    containers: fc.option(containers, { nil: undefined }),
    demands,
    targets,
    impersonate: fc.option(impersonate, { nil: undefined, freq: 1 }),
    debug: fc.option(debug, { nil: undefined }),
    signIn: fc.option(signIn, { nil: undefined }),
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
      ...(given.signIn === undefined ? {} : { signIn: given.signIn }),
      ...(given.content === undefined ? {} : { recording: { content: given.content } }),
    }
    const machines = given.cluster
      ? given.machines.filter(({ namespace }) => namespace !== undefined)
      : given.machines
    const spec = {
      effect,
      subjects: [...given.people, ...machines],
      ...(given.deny === 0 ? {} : limits),
    }
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

/** Policies as an API server takes them, and a request; not all of it counts for each operation. */
export interface World {
  policies: Policy[]
  user: {
    username: string
    groups: string[]
    /** With the minutes that have passed since, where anybody knows. */
    signIn: { minutes?: number; acr?: string; amr: string[] }
  }
  operation: Operation
  port: number | undefined
  target: { service?: string; node?: string }
  serviceAccount: string
  impersonate: { user: string; groups: string[] }
  debug: DebugFacts
  namespace: { name: string; labels: Record<string, string> }
  pod: { name: string; labels: Record<string, string> }
  container: string
}

/** Mostly one that meets every demand: the other rules shall have their say. */
const howTheySignedIn: fc.Arbitrary<World['user']['signIn']> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.constant<World['user']['signIn']>({
      minutes: 0,
      acr: 'high',
      amr: ['otp', 'pwd'],
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        minutes: fc.constantFrom(0, 1, 2, 10, 11),
        acr: fc.constantFrom('low', 'high'),
        amr: fc.constantFrom<string[]>([], ['pwd'], ['otp'], ['otp', 'pwd']),
      },
      { requiredKeys: ['amr'] },
    ),
  },
)

export const world: fc.Arbitrary<World> = fc.record({
  policies: fc
    .array(policy, { maxLength: 6 })
    .map((makers) => makers.map((make, index) => make(`p${index}`))),
  user: fc.record({
    username: fc.oneof(
      { weight: 3, arbitrary: names },
      {
        weight: 1,
        arbitrary: fc.constantFrom('system:serviceaccount:shop:a', 'system:serviceaccount:bank:b'),
      },
    ),
    groups: fc.uniqueArray(names),
    signIn: howTheySignedIn,
  }),
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

export const isProxy = ({ operation, target: found }: World): boolean =>
  operation === 'Proxy' && (found.service !== undefined || found.node !== undefined)
export const hasPod = (given: World): boolean =>
  !isProxy(given) && given.operation !== 'TokenRequest' && given.operation !== 'Impersonate'
export const isNowhere = (given: World): boolean =>
  given.operation === 'Impersonate' || (isProxy(given) && given.target.node !== undefined)
