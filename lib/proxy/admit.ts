/**
 * Everything that has to be true before a stream is opened, in order:
 * the person may, the pod is there, a policy allows it. Newcomers: read this
 * file first, then serve-stream.ts.
 */
import { assertMayCreate } from '../kube/access-review.ts'
import type { ApiClient, HeaderMap } from '../kube/api-client.ts'
import { containerFacts, readPod, type ContainerFacts } from '../kube/pod.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import type { Decision } from '../policy/decision.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { PolicySource } from './policy-source.ts'
import type { StreamOptions } from './stream-options.ts'

export interface StreamTarget {
  operation: 'Exec' | 'Attach'
  namespace: string
  pod: string
}

export interface Admission {
  facts: ContainerFacts
  decision: Exclude<Decision, { kind: 'deny' }>
}

export interface AdmitDeps {
  client: ApiClient
  policies: PolicySource
  metrics: Metrics
}

async function namespaceLabels(client: ApiClient, name: string): Promise<Record<string, string>> {
  const namespace = await client.request<{ metadata: { labels?: Record<string, string> } }>(
    'GET',
    `/api/v1/namespaces/${encodeURIComponent(name)}`,
  )
  return namespace.metadata.labels ?? {}
}

/**
 * @throws GatewayError, or UpstreamStatusError in the API server's own words.
 */
export async function admit(
  deps: AdmitDeps,
  user: User,
  identityHeaders: HeaderMap,
  target: StreamTarget,
  options: StreamOptions,
): Promise<Admission> {
  const { client, policies } = deps
  const { operation, namespace, pod } = target
  const subresource = operation === 'Exec' ? 'exec' : 'attach'
  const compiled = policies.current()
  // Labels are read now and not from a cache: relabelling a namespace must count at once.
  const needsLabels = compiled.some(({ ref }) => ref.kind === 'ClusterAccessPolicy')
  const [, podObject, labels] = await Promise.all([
    assertMayCreate(client, user.username, identityHeaders, { namespace, pod, subresource }),
    readPod(client, identityHeaders, namespace, pod),
    needsLabels ? namespaceLabels(client, namespace) : {},
  ])
  const facts = containerFacts(podObject, options.container)
  const decision = evaluate({
    user,
    operation,
    namespace: { name: namespace, labels },
    pod: { name: pod, labels: facts.labels },
    container: facts.container,
    policies: compiled,
  })
  deps.metrics.decisions.inc({ decision: decision.kind, operation })
  if (decision.kind === 'deny') {
    throw new GatewayError('Forbidden', decision.message, { id: decision.id })
  }
  return { facts, decision }
}
