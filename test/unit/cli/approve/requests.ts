/** Approval requests to build cases from. */
import type {
  ApprovalRequest,
  ApprovalRequestApprover,
  ApprovalRequestCondition,
  ApprovalRequestDecision,
} from '../../../../lib/api/approval-request.generated.ts'

export const NOW: number = Date.UTC(2026, 10, 22, 10, 0, 0)

export interface RequestOptions {
  name?: string
  namespace?: string
  requester?: string
  command?: string[]
  /** One list for each policy that demands approval. */
  demands?: ApprovalRequestApprover[][]
  expiresInMs?: number
  decisions?: ApprovalRequestDecision[]
  conditions?: ApprovalRequestCondition[]
  /** Over what is usual. */
  spec?: Partial<ApprovalRequest['spec']>
}

export const ONCALL: ApprovalRequestApprover = { kind: 'Group', name: 'oncall' }
export const CY: ApprovalRequestApprover = { kind: 'User', name: 'cy' }

export function buildRequest(options: RequestOptions = {}): ApprovalRequest {
  const namespace = options.namespace ?? 'shop'
  const name = options.name ?? 'apreq-7k2'
  const demands = options.demands ?? [[ONCALL]]
  const expiresAt = new Date(NOW + (options.expiresInMs ?? 5 * 60_000)).toISOString()
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'ApprovalRequest',
    metadata: {
      name,
      namespace,
      uid: `uid-of-${namespace}-${name}`,
      resourceVersion: '1',
      creationTimestamp: new Date(NOW - 30_000).toISOString(),
    },
    spec: {
      requester: { username: options.requester ?? 'ana', groups: ['dev', 'system:authenticated'] },
      operation: 'Exec',
      target: {
        cluster: 'cluster-uid',
        namespace,
        pod: 'web-0',
        podUID: 'pod-uid',
        container: 'main',
        image: 'shop/web:1',
      },
      command: options.command ?? ['sh'],
      tty: true,
      stdin: true,
      policies: demands.map((approvers, index) => ({
        kind: 'AccessPolicy',
        namespace,
        name: `policy-${index}`,
        uid: `policy-uid-${index}`,
        digest: `sha256:${'0'.repeat(64)}`,
        approvers,
      })),
      approvers: demands.flat(),
      digest: `sha256:${'1'.repeat(64)}`,
      expiresAt,
      validFor: '30m',
      ...options.spec,
    },
    ...(options.decisions === undefined && options.conditions === undefined
      ? {}
      : {
          status: {
            ...(options.decisions === undefined ? {} : { decisions: options.decisions }),
            ...(options.conditions === undefined ? {} : { conditions: options.conditions }),
          },
        }),
  }
}

export function decision(
  approver: string,
  verdict: ApprovalRequestDecision['verdict'],
  groups: string[] = ['oncall'],
  reason?: string,
): ApprovalRequestDecision {
  return {
    approver,
    groups,
    verdict,
    time: new Date(NOW).toISOString(),
    ...(reason === undefined ? {} : { reason }),
  }
}

export function condition(
  type: ApprovalRequestCondition['type'],
  message = '',
): ApprovalRequestCondition {
  return {
    type,
    status: 'True',
    lastTransitionTime: new Date(NOW).toISOString(),
    reason: 'Test',
    message,
  }
}

type Spec = ApprovalRequest['spec']

export const TARGET: Spec['target'] = buildRequest().spec.target

const POD: Spec['target'] = { ...TARGET, container: '', image: '' }
const NOWHERE: Spec['target'] = { ...POD, pod: '', podUID: '' }

/** One of each operation that is about more than a command. */
export const ASKED: Record<string, Partial<Spec>> = {
  attach: { operation: 'Attach', command: [] },
  forward: { operation: 'PortForward', command: [], target: { ...POD, ports: [5432] } },
  opening: { operation: 'PortForward', command: [], target: POD },
  logs: { operation: 'Logs', command: ['--tail=5'] },
  download: { operation: 'Copy', command: ['tar', 'cf', '-', '/etc/motd'] },
  upload: {
    operation: 'Copy',
    command: ['tar', '--no-same-owner', '-xmf', '-', '-C', '/tmp'],
  },
  debug: {
    operation: 'Debug',
    command: ['sh'],
    target: POD,
    debug: {
      image: 'busybox',
      command: ['sh'],
      targetContainer: 'main',
      capabilities: ['SYS_PTRACE'],
      privileged: false,
      digest: `sha256:${'2'.repeat(64)}`,
    },
  },
  root: {
    operation: 'Debug',
    command: [],
    target: POD,
    debug: {
      image: 'busybox',
      command: [],
      targetContainer: '',
      capabilities: [],
      privileged: true,
      digest: `sha256:${'2'.repeat(64)}`,
    },
  },
  podProxy: { operation: 'Proxy', command: [], target: { ...POD, ports: [80] } },
  service: { operation: 'Proxy', command: [], target: { ...NOWHERE, service: 'web', ports: [80] } },
  token: { operation: 'TokenRequest', command: [], target: { ...NOWHERE, serviceAccount: 'ci' } },
}
