/**
 * `kubectl auth can-i create pods/exec`: the API server says what RBAC allows, the gateway adds what
 * the policies say. Nothing is asked for by that, opened or recorded.
 *
 * kubectl prints the reason of a no; of a yes it prints nothing but warnings, so the reason of a yes
 * is one.
 */
import type { IncomingMessage } from 'node:http'

import type { Operation } from '../api/operation.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import type { HeaderMap } from '../kube/api-client.ts'
import { readPod } from '../kube/pod.ts'
import { explainDecision, explainInGeneral, type Explanation } from '../policy/explain.ts'
import { evaluate, type PolicyInput } from '../policy/evaluate.ts'
import { readNamespaceLabels, type AdmitDeps } from './admit.ts'
import type { Exchange } from './exchange.ts'
import { identityOf } from './identity-of.ts'

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

interface Attributes {
  namespace?: string
  group?: string
  resource?: string
  subresource?: string
  name?: string
}

interface Review {
  spec?: { resourceAttributes?: Attributes }
  status?: { allowed?: boolean; reason?: string }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) {
      throw new GatewayError('RequestEntityTooLarge', 'an access review over 64 KiB', { id: 1061 })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

/** The target, where one is named and the person may see it. */
async function targetOf(
  { client }: AdmitDeps,
  identity: HeaderMap,
  { namespace = '', resource, name = '' }: Attributes,
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
  attributes: Attributes,
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

/** @throws GatewayError, or UpstreamStatusError, while nothing has been answered */
export async function serveReview(deps: AdmitDeps, exchange: Exchange): Promise<void> {
  const { info, user, request, response } = exchange
  const review = await deps.client.request<Review>(
    'POST',
    info.path + (info.query === '' ? '' : `?${info.query}`),
    {
      headers: identityOf(user),
      body: await readBody(request),
      contentType: request.headers['content-type'] ?? 'application/json',
    },
  )
  const attributes = review.spec?.resourceAttributes ?? {}
  const [resource = '', inName] = (attributes.resource ?? '').split('/')
  const subresource = inName ?? attributes.subresource ?? ''
  const key = `${resource}/${subresource}`
  const operation = Object.hasOwn(OPERATIONS, key) ? OPERATIONS[key] : undefined
  const isOurs = operation !== undefined && (attributes.group ?? '') === ''
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (isOurs && review.status?.allowed === true) {
    const { verdict, reason } = await explain(deps, user, operation, { ...attributes, resource })
    review.status = { ...review.status, allowed: verdict !== 'no', reason }
    if (verdict !== 'no') headers['warning'] = warning(reason)
  }
  response.writeHead(201, headers).end(`${JSON.stringify(review)}\n`)
}
