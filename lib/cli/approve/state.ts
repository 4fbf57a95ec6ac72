/**
 * What a request still waits for, and whether a person may decide it. PURE.
 *
 * The gateway decides; this only spares people a refusal and says why
 * beforehand. So it never is stricter than the gateway.
 */
import type {
  ApprovalRequest,
  ApprovalRequestApprover,
  ApprovalRequestCondition,
  ApprovalRequestDecision,
} from '../../api/approval-request.generated.ts'
import { isObject, listAt, textAt, valueAt } from '../json-value.ts'

/** A person, as the API server sees them. */
export interface Person {
  username: string
  groups: string[]
}

export type Standing =
  | { kind: 'mayDecide' }
  | { kind: 'settled'; condition: ApprovalRequestCondition }
  | { kind: 'lapsed' }
  | { kind: 'own' }
  | { kind: 'decided'; decision: ApprovalRequestDecision }
  | { kind: 'notApprover' }

/** The API server checked the rest against the schema; this finds out that it is no other object. */
export function isApprovalRequest(value: unknown): value is ApprovalRequest {
  return (
    isObject(value) &&
    textAt(value, 'metadata', 'name') !== undefined &&
    textAt(value, 'spec', 'requester', 'username') !== undefined &&
    textAt(value, 'spec', 'target', 'pod') !== undefined &&
    textAt(value, 'spec', 'expiresAt') !== undefined &&
    Array.isArray(valueAt(value, 'spec', 'policies')) &&
    listAt(value, 'spec', 'approvers').every(isObject)
  )
}

export function namespaceOf(request: ApprovalRequest): string {
  return request.metadata.namespace ?? request.spec.target.namespace
}

export function decisionsOf(request: ApprovalRequest): ApprovalRequestDecision[] {
  return request.status?.decisions ?? []
}

/** The last thing that became of the request: what ended an approval counts more than the approval. */
export function finalCondition(request: ApprovalRequest): ApprovalRequestCondition | undefined {
  const conditions = (request.status?.conditions ?? []).filter((c) => c.status === 'True')
  for (const type of ['Revoked', 'Consumed', 'Denied', 'Expired', 'Approved']) {
    const found = conditions.find((condition) => condition.type === type)
    if (found !== undefined) return found
  }
  return undefined
}

export function stateOf(request: ApprovalRequest, now: number): string {
  const condition = finalCondition(request)
  if (condition !== undefined) return condition.type
  return Date.parse(request.spec.expiresAt) <= now ? 'Expired' : 'Pending'
}

/** One set of approvers for each policy that demands approval; somebody of each has to agree. */
export function demandsOf(request: ApprovalRequest): ApprovalRequestApprover[][] {
  const sets = request.spec.policies.flatMap((policy) =>
    policy.approvers === undefined || policy.approvers.length === 0 ? [] : [policy.approvers],
  )
  return sets.length > 0 ? sets : [request.spec.approvers]
}

export function openDemandsOf(request: ApprovalRequest): ApprovalRequestApprover[][] {
  const approvals = decisionsOf(request).filter((decision) => decision.verdict === 'Approve')
  return demandsOf(request).filter(
    (set) =>
      !approvals.some((decision) =>
        isAmong({ username: decision.approver, groups: decision.groups }, set),
      ),
  )
}

export function isAmong(person: Person, approvers: readonly ApprovalRequestApprover[]): boolean {
  return approvers.some((approver) =>
    approver.kind === 'User'
      ? approver.name === person.username
      : person.groups.includes(approver.name),
  )
}

export function standingOf(request: ApprovalRequest, person: Person, now: number): Standing {
  const condition = finalCondition(request)
  if (condition !== undefined) return { kind: 'settled', condition }
  const decision = decisionsOf(request).find((entry) => entry.approver === person.username)
  if (decision !== undefined) return { kind: 'decided', decision }
  if (Date.parse(request.spec.expiresAt) <= now) return { kind: 'lapsed' }
  // Identity providers mostly take ANA@corp and ana@corp for one person, so the cluster does too.
  if (request.spec.requester.username.toLowerCase() === person.username.toLowerCase()) {
    return { kind: 'own' }
  }
  return demandsOf(request).some((set) => isAmong(person, set))
    ? { kind: 'mayDecide' }
    : { kind: 'notApprover' }
}
