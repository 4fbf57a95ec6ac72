/**
 * The policies decisions are made on: watched, compiled once per change, and
 * refused as a basis when they may be out of date.
 */
import { ACCESS_POLICY, type AccessPolicy } from '../api/access-policy.generated.ts'
import {
  CLUSTER_ACCESS_POLICY,
  type ClusterAccessPolicy,
} from '../api/cluster-access-policy.generated.ts'
import type { ResourceInfo } from '../api/object-meta.ts'
import { resourcePath } from '../api/resource-path.ts'
import { policyDigest } from '../approval/binding.ts'
import { errorText } from '../errors/gateway-error.ts'
import type { ApiClient } from '../kube/api-client.ts'
import { createReflector, type Reflector } from '../kube/reflector.ts'
import {
  compilePolicy,
  type CompiledPolicy,
  type CompileContext,
} from '../policy/compiled-policy.ts'
import { readyConditions } from '../policy/ready-condition.ts'
import { policiesStale } from './messages.ts'

type Policy = AccessPolicy | ClusterAccessPolicy

export interface PolicySource {
  /** @throws GatewayError ServiceUnavailable when the policies are older than 15 s. */
  current(): readonly CompiledPolicy[]
  ageMs(): number
  ready(signal: AbortSignal): Promise<void>
  close(): void
}

export interface PolicySourceOptions {
  client: ApiClient
  checkMasking: CompileContext['checkMasking']
  onError(message: string): void
  now?: () => number
}

/** Older knowledge of policies and approvals is no basis for a new session. */
export const MAX_AGE_MS = 15_000

export function createPolicySource(options: PolicySourceOptions): PolicySource {
  const { client, onError } = options
  const compiled = new Map<string, CompiledPolicy>()
  let list: readonly CompiledPolicy[] = []

  async function tellStatus(
    info: ResourceInfo,
    object: Policy,
    policy: CompiledPolicy,
  ): Promise<void> {
    const { generation = 0 } = object.metadata
    const conditions = readyConditions(
      policy,
      generation,
      object.status?.conditions ?? [],
      new Date(),
    )
    if (conditions === undefined) return
    await client.request('PATCH', `${resourcePath(info, object.metadata)}/status`, {
      contentType: 'application/merge-patch+json',
      body: { status: { conditions } },
    })
  }

  function reflect<T extends Policy>(kind: T['kind'], info: ResourceInfo): Reflector<T> {
    return createReflector<T>({
      client,
      path: resourcePath(info),
      ...(options.now === undefined ? {} : { now: options.now }),
      onError,
      onChange(type, raw) {
        const object: T = { ...raw, kind }
        const key = `${kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`
        if (type === 'delete') compiled.delete(key)
        else {
          const context = { digest: policyDigest(object), checkMasking: options.checkMasking }
          const policy = compilePolicy(object, context)
          compiled.set(key, policy)
          tellStatus(info, object, policy).catch((error: unknown) =>
            onError(`status of ${key}: ${errorText(error)}`),
          )
        }
        list = [...compiled.values()]
      },
    })
  }

  const namespaced = reflect<AccessPolicy>('AccessPolicy', ACCESS_POLICY)
  const clusterWide = reflect<ClusterAccessPolicy>('ClusterAccessPolicy', CLUSTER_ACCESS_POLICY)
  const ageMs = (): number => Math.max(namespaced.ageMs(), clusterWide.ageMs())

  return {
    ageMs,
    current() {
      const age = ageMs()
      if (age > MAX_AGE_MS) throw policiesStale(age)
      return list
    },
    async ready(signal) {
      await Promise.all([namespaced.ready(signal), clusterWide.ready(signal)])
    },
    close() {
      namespaced.close()
      clusterWide.close()
    },
  }
}
