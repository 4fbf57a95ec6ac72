/** Policies to try at a real API server, as `kubectl apply --dry-run=server` does. */
import type { Api, Outcome } from './harness.ts'

export const GROUP = '/apis/podgate.dev/v1alpha1'
export const KINDS: { kind: string; path: string }[] = [
  { kind: 'AccessPolicy', path: `${GROUP}/namespaces/shop/accesspolicies` },
  { kind: 'ClusterAccessPolicy', path: `${GROUP}/clusteraccesspolicies` },
]

export const SUBJECTS: { kind: string; name: string }[] = [{ kind: 'Group', name: 'dev' }]
export const APPROVERS: { kind: string; name: string }[] = [{ kind: 'Group', name: 'oncall' }]
export const MATCH: { operations: string[] } = { operations: ['Exec'] }

/** As `kubectl apply --dry-run=server` does it: strictly, and leaving nothing behind. */
export async function tryPolicy(
  api: Api,
  kind: string,
  path: string,
  spec: object,
): Promise<Outcome> {
  return await api.call('POST', `${path}?dryRun=All&fieldValidation=Strict`, {
    body: {
      apiVersion: 'podgate.dev/v1alpha1',
      kind,
      metadata: { name: 'p' },
      spec: { subjects: SUBJECTS, match: MATCH, ...spec },
    },
  })
}

export interface Refused {
  name: string
  spec: object
  field: string
  message?: string
}
