/** What evaluate() has to say, told slowly. */
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import { hasPod, isNowhere, type Policy, type World } from './worlds.ts'

type Person = { username: string; groups: readonly string[] }

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
  isMeant({ spec, metadata }: Policy, user: Person): boolean {
    return spec.subjects.some(({ kind, name, namespace = metadata.namespace }) => {
      if (kind === 'Group') return user.groups.includes(name)
      const whole = kind === 'User' ? name : ['system', 'serviceaccount', namespace, name].join(':')
      return whole === user.username
    })
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
      reference.isMeant(object, to.user) &&
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
  isTooWeak({ spec }: Policy, { user }: World): boolean {
    const { maxAge, acr = [], amr = [] } = spec.signIn ?? {}
    const { minutes = Infinity, acr: yours = '', amr: methods } = user.signIn
    return (
      (maxAge !== undefined && minutes > Number.parseInt(maxAge, 10)) ||
      (acr.length > 0 && !acr.includes(yours)) ||
      !amr.every((method) => methods.includes(method))
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
    if (applying.some((object) => reference.isTooWeak(object, to))) return 'deny'
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

export function verdict(to: World): 'allow' | 'deny' | 'requireApproval' {
  return reference.verdict(to)
}

/** The policies that the verdict rests on. */
export function counting(to: World): Policy[] {
  return reference.counting(to)
}

/** Where nothing is said of ports. */
export function appliesToAnyPort(object: Policy, to: World): boolean {
  return reference.appliesToAnyPort(object, to)
}
