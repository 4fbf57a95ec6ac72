/**
 * Finds requests: by name, or all that a person may see.
 */
import { APPROVAL_REQUEST, type ApprovalRequest } from '../../api/approval-request.generated.ts'
import { resourcePath } from '../../api/resource-path.ts'
import { CliError, ExitCode, statusCodeOf } from '../cli-error.ts'
import { listAt, textAt, textsAt, valueAt } from '../json-value.ts'
import type { KubeClient } from '../kube-request.ts'
import type { ResolvedContext } from '../kubeconfig.ts'
import type { Connection } from '../run-command.ts'
import { isApprovalRequest, type Person } from './state.ts'

const PAGE_SIZE = 500

/** What people may write before the name, as in kubectl's own output. */
const TYPES = new Set([
  'apreq',
  'approvalrequest',
  'approvalrequests',
  'approvalrequest.podgate.dev',
  'approvalrequests.podgate.dev',
])
/** RFC 1123 subdomain: what an object's name may be. */
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

/** Where requests are listed: one namespace, or all (undefined). */
export type Scope = string | undefined

export interface RequestList {
  requests: ApprovalRequest[]
  scope: Scope
  /** Where a watch goes on. */
  resourceVersion: string
}

export function requestPath(namespace: Scope, name?: string): string {
  return resourcePath(APPROVAL_REQUEST, { namespace, name })
}

/** `apreq/apreq-7k2` and `apreq-7k2` are the same request. */
export function parseRequestName(text: string): string {
  const slash = text.lastIndexOf('/')
  const name = text.slice(slash + 1)
  if ((slash !== -1 && !TYPES.has(text.slice(0, slash).toLowerCase())) || !OBJECT_NAME.test(name)) {
    throw new CliError(ExitCode.Usage, `"${text}" is not the name of an approval request`)
  }
  return name
}

/** Who I am and which groups I have, as the API server sees it; decisions must say exactly that. */
export async function whoAmI(client: KubeClient): Promise<Person> {
  const review = await client.json({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  })
  const username = textAt(review, 'status', 'userInfo', 'username')
  if (username === undefined) {
    throw new CliError(ExitCode.Error, `${client.server} does not say who you are`)
  }
  return { username, groups: textsAt(review, 'status', 'userInfo', 'groups') }
}

/**
 * All namespaces where that is permitted, else the context's own; `-n` and `-A`
 * leave no choice.
 */
export async function listRequests(
  { client, context }: Connection,
  allNamespaces: boolean,
): Promise<RequestList> {
  if (context.namespaceGiven) return listIn(client, context.namespace)
  try {
    return await listIn(client, undefined)
  } catch (error) {
    if (allNamespaces || statusCodeOf(error) !== 403) throw error
    return listIn(client, context.namespace)
  }
}

async function listIn(
  client: KubeClient,
  scope: Scope,
  fieldSelector?: string,
): Promise<RequestList> {
  const requests: ApprovalRequest[] = []
  let page: unknown
  let next: string | undefined
  do {
    page = await client.json({
      path: requestPath(scope),
      query: { limit: PAGE_SIZE, continue: next, fieldSelector },
    })
    requests.push(...listAt(page, 'items').filter(isApprovalRequest))
    next = textAt(page, 'metadata', 'continue')
  } while (next !== undefined)
  return { requests, scope, resourceVersion: textAt(page, 'metadata', 'resourceVersion') ?? '' }
}

export async function getRequest(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<ApprovalRequest> {
  const found = await client.json({ path: requestPath(namespace, name) })
  if (!isApprovalRequest(found)) {
    const kind = valueAt(found, 'kind')
    throw new CliError(ExitCode.Error, `${name} is not an approval request (kind ${String(kind)})`)
  }
  return found
}

/** In the namespace of the context or of `-n`; without `-n` in every other, too. */
export async function findRequest(
  { client, context }: Connection,
  name: string,
): Promise<ApprovalRequest> {
  try {
    return await getRequest(client, context.namespace, name)
  } catch (error) {
    const code = statusCodeOf(error)
    if (context.namespaceGiven || (code !== 404 && code !== 403)) throw error
    return findAnywhere(client, context, name, error)
  }
}

async function findAnywhere(
  client: KubeClient,
  context: ResolvedContext,
  name: string,
  first: unknown,
): Promise<ApprovalRequest> {
  let found: ApprovalRequest[]
  try {
    found = (await listIn(client, undefined, `metadata.name=${name}`)).requests
  } catch (error) {
    if (statusCodeOf(error) !== 403) throw error
    if (!CliError.is(first)) throw first
    // The refusal of the namespace asked for says more than that of all of them.
    throw new CliError(
      first.exitCode,
      `${first.message}\nIt may be in another namespace than ${context.namespace}; name that with -n.`,
      first.status === undefined ? {} : { status: first.status },
    )
  }
  const [only, ...others] = found
  if (only === undefined) throw first
  if (others.length > 0) {
    const namespaces = found.map((request) => request.metadata.namespace).join(', ')
    throw new CliError(
      ExitCode.Error,
      `there is a ${name} in several namespaces (${namespaces}); say which with -n`,
    )
  }
  return only
}
