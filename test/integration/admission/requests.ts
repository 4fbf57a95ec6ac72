/** Approval requests for tests of the API server: ana asks, oncall decides. */
import type { Api, KubeObject, Outcome, Person } from './harness.ts'

export const REQUESTS = '/apis/podgate.dev/v1alpha1/namespaces/shop/approvalrequests'

const DIGEST = `sha256:${'0'.repeat(64)}`

export const ONCALL: object[] = [{ kind: 'Group', name: 'oncall' }]

export const POLICY: object = {
  kind: 'ClusterAccessPolicy',
  name: 'base',
  uid: 'u-1',
  digest: DIGEST,
}

export const TARGET: object = {
  cluster: 'c-1',
  namespace: 'shop',
  pod: 'web-0',
  podUID: 'p-1',
  container: 'main',
  image: 'web:1',
}

/** About no pod. */
export const NOWHERE: object = { ...TARGET, pod: '', podUID: '', container: '', image: '' }

export const DEBUG: object = {
  image: 'busybox:1',
  command: ['sh'],
  targetContainer: '',
  capabilities: [],
  privileged: false,
  digest: DIGEST,
}

export function requestNamed(name: string, changes: object = {}): KubeObject {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'ApprovalRequest',
    metadata: { name, namespace: 'shop' },
    spec: {
      requester: { username: 'ana', groups: ['dev'] },
      operation: 'Exec',
      target: TARGET,
      command: ['sh'],
      tty: true,
      stdin: true,
      policies: [POLICY],
      approvers: ONCALL,
      digest: DIGEST,
      expiresAt: '2026-11-22T10:30:00Z',
      validFor: '30m',
      ...changes,
    },
  }
}

/** As a person writes it whose groups the API server sees as `groups` and system:authenticated. */
export function entry(approver: string, changes: object = {}): object {
  return {
    approver,
    groups: ['oncall', 'system:authenticated'],
    verdict: 'Approve',
    time: '2026-11-22T10:01:00Z',
    ...changes,
  }
}

export function conditionOf(type: string, changes: object = {}): object {
  return {
    type,
    status: 'True',
    lastTransitionTime: '2026-11-22T10:02:00Z',
    reason: 'ByTest',
    message: '',
    ...changes,
  }
}

/** Replaces the whole status of a request by a merge patch; null removes it. */
export async function writeStatus(
  api: Api,
  name: string,
  status: object | null,
  as?: Person,
): Promise<Outcome> {
  return await api.call('PATCH', `${REQUESTS}/${name}/status`, {
    contentType: 'application/merge-patch+json',
    body: { status },
    ...(as === undefined ? {} : { as }),
  })
}
