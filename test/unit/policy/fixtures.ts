/** Policies and requests for tests, each naming only what the case is about. */
import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import {
  compilePolicy,
  type CompiledPolicy,
  type FieldError,
} from '../../../lib/policy/compiled-policy.ts'
import type { MaskSpec, Subject } from '../../../lib/policy/decision.ts'
import type { PolicyInput } from '../../../lib/policy/evaluate.ts'

type Spec = AccessPolicy['spec']
type ClusterSpec = ClusterAccessPolicy['spec']

export const DEV: Subject[] = [{ kind: 'Group', name: 'dev' }]
export const ONCALL: Subject[] = [{ kind: 'Group', name: 'oncall' }]

export function accessPolicy(
  name: string,
  spec: Partial<Spec> = {},
  namespace = 'shop',
): AccessPolicy {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace, uid: `uid-${name}` },
    spec: { subjects: DEV, match: { operations: ['Exec', 'Attach'] }, ...spec },
  }
}

export function clusterAccessPolicy(
  name: string,
  spec: Partial<ClusterSpec> = {},
): ClusterAccessPolicy {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'ClusterAccessPolicy',
    metadata: { name, uid: `uid-${name}` },
    spec: { subjects: DEV, match: { operations: ['Exec', 'Attach'] }, ...spec },
  }
}

/** Stands for the masking compiler: refuses patterns with an open parenthesis. */
function checkMasking({ patterns }: MaskSpec): FieldError | undefined {
  const index = patterns.findIndex(({ pattern }) => pattern.endsWith('('))
  return index < 0 ? undefined : { field: `patterns[${index}].pattern`, message: 'missing )' }
}

export function compile(object: AccessPolicy | ClusterAccessPolicy): CompiledPolicy {
  return compilePolicy(object, { digest: `digest-${object.metadata.name}`, checkMasking })
}

export function request(
  objects: (AccessPolicy | ClusterAccessPolicy)[],
  changes: Partial<PolicyInput> = {},
): PolicyInput {
  return {
    user: { username: 'ana', groups: ['dev'] },
    operation: 'Exec',
    namespace: { name: 'shop', labels: { env: 'prod' } },
    pod: { name: 'web-0', labels: { app: 'web' } },
    container: 'main',
    policies: objects.map(compile),
    ...changes,
  }
}
