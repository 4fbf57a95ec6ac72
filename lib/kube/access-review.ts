/**
 * Asks the API server whether the person may `create` the subresource.
 *
 * `create` is asked for whatever the HTTP verb: over WebSocket the API server
 * itself asked only for `get` until 1.35 (kubernetes#78741).
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { ApiClient, HeaderMap } from './api-client.ts'

interface ReviewAnswer {
  status?: { allowed?: boolean; reason?: string }
}

export interface ReviewTarget {
  namespace: string
  pod: string
  subresource: 'exec' | 'attach'
}

/** @throws GatewayError Forbidden in the API server's own words. */
export async function assertMayCreate(
  client: ApiClient,
  username: string,
  identityHeaders: HeaderMap,
  target: ReviewTarget,
): Promise<void> {
  const resourceAttributes = {
    namespace: target.namespace,
    verb: 'create',
    version: 'v1',
    resource: 'pods',
    subresource: target.subresource,
    name: target.pod,
  }
  const answer = await client.request<ReviewAnswer>(
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
  if (answer.status?.allowed === true) return
  throw new GatewayError(
    'Forbidden',
    `pods "${target.pod}" is forbidden: User "${username}" cannot create resource "pods/${target.subresource}" in API group "" in the namespace "${target.namespace}"`,
    { id: 1006 },
  )
}
