/** Approval requests for tests: ana asks, group oncall decides, at a time of round numbers. */
import type {
  ApprovalRequest,
  ApprovalRequestCondition,
  ApprovalRequestDecision,
} from '../../../lib/api/approval-request.generated.ts'
import type { DebugFacts } from '../../../lib/api/debug-facts.ts'
import type { Binding } from '../../../lib/approval/binding.ts'
import { createRequest } from '../../../lib/approval/request.ts'
import type { ApprovalDemand, PolicyRef } from '../../../lib/policy/decision.ts'

export const NOW: number = Date.parse('2026-11-22T10:00:00Z')
export const MINUTE = 60_000

export function at(minutes: number): string {
  return new Date(NOW + minutes * MINUTE).toISOString().replace('.000Z', 'Z')
}

export function policyRef(name: string): PolicyRef {
  return { kind: 'ClusterAccessPolicy', name, uid: `uid-${name}`, digest: `sha256:${name}` }
}

export function binding(changes: Partial<Binding> = {}): Binding {
  return {
    requester: { username: 'ana', uid: 'u-1', groups: ['dev', 'staff'] },
    operation: 'Exec',
    target: {
      cluster: 'c-1',
      namespace: 'shop',
      pod: 'web-0',
      podUID: 'p-1',
      container: 'main',
      image: 'web:1',
    },
    command: ['sh', '-c', 'ls'],
    tty: true,
    stdin: true,
    policies: [policyRef('base')],
    ...changes,
  }
}

export const DEBUG: DebugFacts = {
  image: 'busybox:1',
  command: ['sh'],
  targetContainer: 'main',
  capabilities: ['SYS_PTRACE'],
  privileged: false,
  digest: 'sha256:d-1',
}

export const DEMAND: ApprovalDemand = {
  approvers: [{ policy: policyRef('base'), subjects: [{ kind: 'Group', name: 'oncall' }] }],
  waitMs: 5 * MINUTE,
  validForMs: 30 * MINUTE,
}

export function decision(
  approver: string,
  verdict: 'Approve' | 'Deny' = 'Approve',
  changes: Partial<ApprovalRequestDecision> = {},
): ApprovalRequestDecision {
  return { approver, groups: ['oncall'], verdict, time: at(1), ...changes }
}

export function condition(
  type: ApprovalRequestCondition['type'],
  minutes: number,
): ApprovalRequestCondition {
  return { type, status: 'True', lastTransitionTime: at(minutes), reason: 'X', message: '' }
}

/** Made at NOW, pending until 30 minutes later. */
export function pending(
  decisions: ApprovalRequestDecision[] = [],
  conditions: ApprovalRequestCondition[] = [],
  demand: ApprovalDemand = DEMAND,
): ApprovalRequest {
  const policies = demand.approvers.map(({ policy }) => policy)
  const request = createRequest('apreq-1', binding({ policies }), demand, NOW)
  return { ...request, status: { decisions, conditions } }
}
