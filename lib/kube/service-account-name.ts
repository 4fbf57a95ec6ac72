/**
 * What a service account is called, exactly as the API server says it. PURE.
 *
 * Source: k8s.io/apiserver pkg/authentication/serviceaccount/util.go.
 */

export const ACCOUNT_PREFIX = 'system:serviceaccount:'

/** The gateway's own; the admission policies in charts/podgate/files know it by this name. */
export const GATEWAY_ACCOUNT = 'system:serviceaccount:podgate-system:podgate'

/** What is said about the pod and the token besides; nobody but a service account has these. */
export const ACCOUNT_EXTRA_PREFIX = 'authentication.kubernetes.io/'

/** Each of them is a right of its own in charts/podgate/files/gateway-rbac.yaml. */
export const ACCOUNT_EXTRAS: readonly string[] = [
  'authentication.kubernetes.io/credential-id',
  'authentication.kubernetes.io/node-name',
  'authentication.kubernetes.io/node-uid',
  'authentication.kubernetes.io/pod-name',
  'authentication.kubernetes.io/pod-uid',
]

export interface AccountName {
  namespace: string
  name: string
}

const ACCOUNT =
  /^system:serviceaccount:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?):([a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)$/
/** Of a DNS label and of a DNS subdomain (RFC 1123): what a namespace and an account may be called. */
const MAX_NAMESPACE = 63
const MAX_NAME = 253

/** undefined: no service account can be called this. */
export function parseAccountName(username: string): AccountName | undefined {
  const [, namespace, name] = ACCOUNT.exec(username) ?? []
  if (namespace === undefined || namespace.length > MAX_NAMESPACE) return undefined
  if (name === undefined || name.length > MAX_NAME) return undefined
  return { namespace, name }
}

/** The groups that every service account of the namespace has, and no others. */
export function accountGroups(namespace: string): readonly string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
}
