/**
 * `kubectl auth can-i create pods/exec`: the API server says what RBAC allows, the gateway adds what
 * the policies say. Nothing is asked for by that, opened or recorded.
 *
 * kubectl prints the reason of a no; of a yes it prints nothing but warnings, so the reason of a yes
 * is one.
 */
import type { Operation } from '../api/operation.ts'
import type { User } from '../identity/user.ts'
import { type AccessReview, reviewAccess, type ReviewAttributes } from '../kube/access-review.ts'
import type { HeaderMap } from '../kube/api-client.ts'
import { readPod } from '../kube/pod.ts'
import { explainDecision, explainInGeneral, type Explanation } from '../policy/explain.ts'
import { evaluate, type PolicyInput } from '../policy/evaluate.ts'
import { readNamespaceLabels, type AdmitDeps } from './admit.ts'
import { sendJson } from './debug/client-write.ts'
import type { Exchange } from './exchange.ts'
import { identityOf } from './identity-of.ts'
import { readWholeBody } from './whole-body.ts'

const MAX_BODY_BYTES = 64 * 1024
/** kubectl shows it on one line; a header is no place for more. */
const MAX_WARNING = 400

/** Which operation a right is about, by resource and subresource. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'pods/exec': 'Exec',
  'pods/attach': 'Attach',
  'pods/portforward': 'PortForward',
  'pods/log': 'Logs',
  'pods/ephemeralcontainers': 'Debug',
  'pods/proxy': 'Proxy',
  'services/proxy': 'Proxy',
  'nodes/proxy': 'Proxy',
  'serviceaccounts/token': 'TokenRequest',
}

/** The target, where one is named and the person may see it. */
async function targetOf(
  { client }: AdmitDeps,
  identity: HeaderMap,
  { namespace = '', resource, name = '' }: ReviewAttributes,
): Promise<Partial<PolicyInput> | undefined> {
  if (name === '') return undefined
  switch (resource) {
    case 'pods': {
      // Who may not see the pod learns nothing of it here: not even that it is there.
      const pod = await readPod(client, identity, namespace, name).catch(() => undefined)
      return pod && { pod: { name, labels: pod.metadata.labels ?? {} } }
    }
    case 'services':
      return { service: name }
    case 'nodes':
      return { node: name }
    default:
      return { serviceAccount: name }
  }
}

async function explain(
  deps: AdmitDeps,
  user: User,
  operation: Operation,
  attributes: ReviewAttributes,
): Promise<Explanation> {
  const { namespace = '' } = attributes
  const policies = deps.policies.current()
  const [labels, target] = await Promise.all([
    namespace === '' ? {} : readNamespaceLabels(deps.client, namespace).catch(() => ({})),
    targetOf(deps, identityOf(user), attributes),
  ])
  const input: PolicyInput = {
    user,
    operation,
    namespace: { name: namespace, labels },
    pod: undefined,
    container: '',
    policies,
    now: Date.now(),
    ...target,
  }
  return target === undefined ? explainInGeneral(input) : explainDecision(evaluate(input))
}

/** RFC 9110 5.6.4: what a quoted string takes, and one line of it. */
function warning(text: string): string {
  const plain = text.replace(/[^ -~]/g, '?').replace(/(["\\])/g, String.raw`\$1`)
  return `299 podgate "${plain.slice(0, MAX_WARNING).replace(/\\$/, '')}"`
}

function operationOf({ group = '', resource = '', subresource = '' }: ReviewAttributes) {
  const key = `${resource}/${subresource}`
  return group === '' && Object.hasOwn(OPERATIONS, key) ? OPERATIONS[key] : undefined
}

/**
 * What people mean who type `kubectl auth can-i create pods/exec`. kubectl reads TYPE/NAME there and
 * asks for `create` on a pod called "exec"; but no request that creates a pod is authorized with a
 * name (k8s.io/apiserver RequestInfo), so that question has no other use. With other verbs a pod may
 * well have that name, and they are left alone.
 */
function subresourceMeant(asked: ReviewAttributes): ReviewAttributes | undefined {
  const { name, subresource = '', ...rest } = asked
  if (asked.verb !== 'create' || name === undefined || subresource !== '') return undefined
  const meant = { ...rest, subresource: name }
  return operationOf(meant) === undefined ? undefined : meant
}

/** Some clients put both into `resource`. */
function apart(asked: ReviewAttributes): ReviewAttributes {
  const [resource = '', inResource] = (asked.resource ?? '').split('/')
  return inResource === undefined ? asked : { ...asked, resource, subresource: inResource }
}

/** @throws GatewayError, or UpstreamStatusError, while nothing has been answered */
export async function serveReview(deps: AdmitDeps, exchange: Exchange): Promise<void> {
  const { info, user, request, response } = exchange
  const path = info.path + (info.query === '' ? '' : `?${info.query}`)
  const review = await deps.client.request<AccessReview>('POST', path, {
    headers: identityOf(user),
    body: await readWholeBody(request, { maxBytes: MAX_BODY_BYTES }),
    contentType: request.headers['content-type'] ?? 'application/json',
  })
  const asked = apart(review.spec?.resourceAttributes ?? {})
  const meant = subresourceMeant(asked)
  let readAs = ''
  if (meant !== undefined) {
    readAs = `read as create ${meant.resource} --subresource=${meant.subresource}: `
    const { status } = await reviewAccess(deps.client, identityOf(user), meant)
    const reason = readAs + (status?.reason || 'RBAC of the cluster does not allow it')
    review.status = { ...status, reason }
  }
  const attributes = meant ?? asked
  const operation = operationOf(attributes)
  let warned: string | undefined
  if (operation !== undefined && review.status?.allowed === true) {
    const { verdict, reason: why } = await explain(deps, user, operation, attributes)
    const reason = readAs + why
    review.status = { ...review.status, allowed: verdict !== 'no', reason }
    if (verdict !== 'no') warned = warning(reason)
  }
  sendJson(response, 201, review, warned)
}
