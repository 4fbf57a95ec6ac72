/**
 * Everything that has to be true before anything is opened, in order:
 * the person may, the target is there, a policy allows it. Newcomers: read this
 * file first, then conduct-session.ts and serve-stream.ts.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import { assertMay } from '../kube/access-review.ts'
import type { ApiClient, HeaderMap } from '../kube/api-client.ts'
import type { Decision, Operation } from '../policy/decision.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Access, TargetFacts } from './access.ts'
import type { PolicySource } from './policy-source.ts'

export type AllowingDecision = Exclude<Decision, { kind: 'deny' }>

export interface Admission {
  /** As it was decided: a probe of kubectl cp may be allowed as one or the other. */
  operation: Operation
  facts: TargetFacts
  decision: AllowingDecision
  /** Of the namespace, for decisions that follow within the same session. */
  namespaceLabels: Record<string, string>
  /** ms: a sign-in that was fresh enough then is so for the whole session. */
  decidedAt: number
}

export interface AdmitDeps {
  client: ApiClient
  policies: PolicySource
  metrics: Metrics
}

export async function readNamespaceLabels(
  client: ApiClient,
  name: string,
): Promise<Record<string, string>> {
  const namespace = await client.request<{ metadata: { labels?: Record<string, string> } }>(
    'GET',
    `/api/v1/namespaces/${encodeURIComponent(name)}`,
  )
  return namespace.metadata.labels ?? {}
}

type Known = Pick<Admission, 'facts' | 'namespaceLabels'> & Partial<Pick<Admission, 'decidedAt'>>

function evaluateAccess(
  { policies, metrics }: AdmitDeps,
  user: User,
  access: Access,
  { facts, namespaceLabels, decidedAt = Date.now() }: Known,
): Decision {
  const { operation, namespace, port, debug, impersonate } = access
  const { pod, labels, container, node, service, serviceAccount } = facts
  const isAboutNode = pod === '' && node !== undefined
  const decision = evaluate({
    user,
    now: decidedAt,
    operation,
    namespace: { name: namespace, labels: namespaceLabels },
    pod: pod === '' ? undefined : { name: pod, labels },
    // A debug container is not there yet, and has another name each time.
    container: debug === undefined ? container : debug.targetContainer,
    ...(port === undefined ? {} : { port }),
    ...(service === undefined ? {} : { service }),
    ...(isAboutNode ? { node } : {}),
    ...(serviceAccount === undefined ? {} : { serviceAccount }),
    ...(impersonate === undefined ? {} : { impersonate }),
    ...(debug === undefined ? {} : { debug }),
    policies: policies.current(),
  })
  metrics.decisions.inc({ decision: decision.kind, operation })
  return decision
}

/**
 * What the policies say now, with the facts at hand.
 *
 * @throws GatewayError Forbidden with the reason.
 */
export function decide(
  deps: AdmitDeps,
  user: User,
  access: Access,
  known: Known,
): AllowingDecision {
  const decision = evaluateAccess(deps, user, access, known)
  if (decision.kind !== 'deny') return decision
  throw new GatewayError('Forbidden', decision.message, { id: decision.id })
}

/**
 * Before an upload kubectl cp asks whether the target is a folder (`test -d`). Whoever may copy may
 * ask; the approval that the copy may need is asked for, and spent, with the copy itself.
 */
function decideProbe(
  deps: AdmitDeps,
  user: User,
  access: Access,
  known: Known,
): Pick<Admission, 'operation' | 'decision'> {
  const copy = evaluateAccess(deps, user, { ...access, operation: 'Copy' }, known)
  if (copy.kind !== 'deny') {
    const { policies, obligations } = copy
    return { operation: 'Copy', decision: { kind: 'allow', policies, obligations } }
  }
  const decision = decide(deps, user, { ...access, operation: 'Exec' }, known)
  return { operation: 'Exec', decision }
}

/**
 * @throws GatewayError, or UpstreamStatusError in the API server's own words.
 */
export async function admit(
  deps: AdmitDeps,
  user: User,
  identity: HeaderMap,
  access: Access,
): Promise<Admission> {
  const { client, policies } = deps
  const { namespace } = access
  // Labels are read now and not from a cache: relabelling a namespace must count at once.
  const needsLabels =
    namespace !== '' && policies.current().some(({ ref }) => ref.kind === 'ClusterAccessPolicy')
  const [, facts, namespaceLabels] = await Promise.all([
    assertMay(client, user.username, identity, access.review),
    access.readFacts({ client, identity }),
    needsLabels ? readNamespaceLabels(client, namespace) : {},
  ])
  const known = { facts, namespaceLabels, decidedAt: Date.now() }
  const decided =
    access.isProbe === true
      ? decideProbe(deps, user, access, known)
      : { operation: access.operation, decision: decide(deps, user, access, known) }
  if (decided.operation === access.operation) access.examine?.(decided.decision.obligations)
  return { ...known, ...decided }
}
