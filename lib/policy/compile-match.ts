/** From `spec.match` to what evaluation compares; see compilePolicy about errors. */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../api/cluster-access-policy.generated.ts'
import { OPERATIONS, type Operation } from '../api/operation.ts'
import type { FieldError } from './compiled-policy.ts'
import { selectorError, type LabelSelector } from './label-selector.ts'

export interface CompiledMatch {
  operations: Operation[]
  namespaceSelector: LabelSelector
  podSelector: LabelSelector
  /** Globs; empty means every container. */
  containers: string[]
  /** Of PortForward and Proxy; empty means every port. */
  ports: number[]
  /** Whether Proxy is about pods; a policy that names services or nodes is about those. */
  proxiesPods: boolean
  /** Globs of Proxy; empty means none. */
  services: string[]
  nodes: string[]
  /** Globs of TokenRequest; empty means none. */
  serviceAccounts: string[]
  /** Globs of Impersonate; undefined means nobody. */
  impersonate: { users: string[]; groups: string[] } | undefined
}

/** Of either kind of policy; that of an AccessPolicy is a part of it. */
type Match = Omit<ClusterAccessPolicy['spec']['match'], 'operations'> & {
  operations: readonly string[]
}

const ANYTHING = ['*']
const ANYBODY = { users: ANYTHING, groups: [] }

/** What a policy is about that cannot be read at all. */
export const WHATEVER: CompiledMatch = {
  operations: [...OPERATIONS],
  namespaceSelector: {},
  podSelector: {},
  containers: [],
  ports: [],
  proxiesPods: true,
  services: ANYTHING,
  nodes: ANYTHING,
  serviceAccounts: ANYTHING,
  impersonate: ANYBODY,
}

export function compileMatch(
  object: AccessPolicy | ClusterAccessPolicy,
  errors: FieldError[],
): CompiledMatch {
  const isCluster = object.kind === 'ClusterAccessPolicy'
  const match: Match = object.spec.match
  const operations = compileOperations(match.operations, errors)
  if (!isCluster && match.operations.includes('Impersonate')) {
    const message = 'Impersonate is for a ClusterAccessPolicy'
    errors.push({ field: 'spec.match.operations', message })
  }
  const isAbout = (operation: Operation): boolean => operations.includes(operation)
  /** A name that an operation cannot do without. */
  const required = <T>(
    value: T | undefined,
    operation: Operation,
    field: string,
    all: T,
  ): T | undefined => {
    if (value !== undefined || !isAbout(operation)) return value
    // Operations that are not known stand for all; then their names are what has to be mended.
    if (match.operations.includes(operation)) {
      const message = `is missing, and ${operation} needs it`
      errors.push({ field: `spec.match.${field}`, message })
    }
    return all
  }
  const { services = [], nodes = [] } = match
  const people = required(match.impersonate, 'Impersonate', 'impersonate', ANYBODY)
  return {
    operations,
    namespaceSelector: isCluster
      ? compileSelector(match.namespaceSelector, 'namespaceSelector', errors)
      : {},
    podSelector: compileSelector(match.podSelector, 'podSelector', errors),
    containers: [...(match.containers ?? [])],
    ports: compilePorts(match.ports ?? [], errors),
    proxiesPods: services.length === 0 && nodes.length === 0,
    services: [...services],
    nodes: [...nodes],
    serviceAccounts: [
      ...(required(match.serviceAccounts, 'TokenRequest', 'serviceAccounts', ANYTHING) ?? []),
    ],
    impersonate:
      people === undefined
        ? undefined
        : { users: [...people.users], groups: [...(people.groups ?? [])] },
  }
}

function compileOperations(named: readonly string[], errors: FieldError[]): Operation[] {
  const operations = OPERATIONS.filter((operation) => named.includes(operation))
  const unknown = named.find((word) => !OPERATIONS.some((operation) => operation === word))
  if (unknown === undefined) return operations
  const message = `${JSON.stringify(unknown)} is not known to this version`
  errors.push({ field: 'spec.match.operations', message })
  return [...OPERATIONS]
}

/** Without the ones that are none; when that leaves nothing, it is every port. */
function compilePorts(named: readonly number[], errors: FieldError[]): number[] {
  const ports = named.filter((port) => Number.isInteger(port) && port >= 1 && port <= 65_535)
  if (ports.length === named.length) return ports
  errors.push({ field: 'spec.match.ports', message: 'are numbers from 1 to 65535' })
  return []
}

function compileSelector(
  selector: LabelSelector | undefined,
  name: string,
  errors: FieldError[],
): LabelSelector {
  if (selector === undefined) return {}
  const error = selectorError(selector)
  if (error === undefined) return selector
  errors.push({ field: `spec.match.${name}.${error.field}`, message: error.message })
  return {}
}
