/**
 * Asks the API server whether the person has a right of their own.
 *
 * For streams that is `create`, whatever the HTTP verb: over WebSocket the API server itself asked
 * only for `get` until 1.35 (kubernetes#78741).
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { ApiClient, HeaderMap } from './api-client.ts'

/** What a SelfSubjectAccessReview is about (authorization.k8s.io/v1 ResourceAttributes). */
export interface ReviewAttributes {
  verb?: string
  group?: string
  version?: string
  namespace?: string
  resource?: string
  subresource?: string
  name?: string
}

export interface AccessReview {
  spec?: { resourceAttributes?: ReviewAttributes }
  status?: { allowed?: boolean; reason?: string }
}

/** One right in the words of RBAC. Empty: the core group, no namespace, no name. */
export interface ReviewTarget {
  verb: string
  group?: string
  namespace: string
  resource: string
  subresource?: string
  name: string
}

function resourceName({ resource, subresource }: ReviewTarget): string {
  return subresource === undefined ? resource : `${resource}/${subresource}`
}

/** In the API server's own words (k8s.io/apiserver authorization/authorizerfactory). */
function forbidden(username: string, target: ReviewTarget): GatewayError {
  const { verb, group = '', namespace, resource, name } = target
  const which = name === '' ? '' : ` "${name}"`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
  return new GatewayError(
    'Forbidden',
    `${resource}${which} is forbidden: User "${username}" cannot ${verb} resource "${resourceName(target)}" in API group "${group}" ${where}`,
    { id: 1006 },
  )
}

/** Whether the person of these headers has the right, as the API server says. */
export async function reviewAccess(
  client: ApiClient,
  identityHeaders: HeaderMap,
  resourceAttributes: ReviewAttributes,
): Promise<AccessReview> {
  return await client.request<AccessReview>(
    'POST',
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    {
      headers: identityHeaders,
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      },
    },
  )
}

/** @throws GatewayError Forbidden in the API server's own words. */
export async function assertMay(
  client: ApiClient,
  username: string,
  identityHeaders: HeaderMap,
  target: ReviewTarget,
): Promise<void> {
  const { group = '', subresource = '', ...rest } = target
  // `*` asks for every version, as RBAC knows none.
  const attributes = { ...rest, group, subresource, version: '*' }
  const answer = await reviewAccess(client, identityHeaders, attributes)
  if (answer.status?.allowed !== true) throw forbidden(username, target)
}
