/** Requests that are about more than a container: ports, services, nodes, tokens, other people. */
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import type { PolicyInput } from '../../../lib/policy/evaluate.ts'

export type Match = ClusterAccessPolicy['spec']['match']

export const NOWHERE: Partial<PolicyInput> = { pod: undefined, container: '' }
export const FORWARD: Partial<PolicyInput> = { operation: 'PortForward', container: '' }
export const POD_PROXY: Partial<PolicyInput> = { operation: 'Proxy', container: '', port: 80 }
export const SERVICE: Partial<PolicyInput> = {
  ...NOWHERE,
  operation: 'Proxy',
  service: 'web',
  port: 80,
}
export const NODE: Partial<PolicyInput> = {
  ...NOWHERE,
  operation: 'Proxy',
  namespace: { name: '', labels: {} },
  node: 'node-1',
  port: 10_250,
}
export const TOKEN: Partial<PolicyInput> = {
  ...NOWHERE,
  operation: 'TokenRequest',
  serviceAccount: 'ci',
}
export const acting = (user: string, groups: string[] = []): Partial<PolicyInput> => ({
  ...NOWHERE,
  operation: 'Impersonate',
  namespace: { name: '', labels: {} },
  impersonate: { user, groups },
})
