/** Conditions of approval requests: True only, final, written by the gateway alone. */
import type {
  ApprovalRequest,
  ApprovalRequestCondition,
} from '../api/approval-request.generated.ts'

export type ConditionType = ApprovalRequestCondition['type']

/** RFC 3339 in whole seconds, as the Kubernetes API writes times. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** The schema's bound on a message, in characters. */
const MAX_MESSAGE = 1_024

export function condition(
  type: ConditionType,
  reason: string,
  message: string,
  request: ApprovalRequest,
  nowMs: number,
): ApprovalRequestCondition {
  return {
    type,
    status: 'True',
    ...(request.metadata.generation === undefined
      ? {}
      : { observedGeneration: request.metadata.generation }),
    lastTransitionTime: timestamp(nowMs),
    reason,
    message: message.slice(0, MAX_MESSAGE),
  }
}

export function findCondition(
  request: ApprovalRequest,
  type: ConditionType,
): ApprovalRequestCondition | undefined {
  return request.status?.conditions?.find((existing) => existing.type === type)
}

/** Before the stream opens: this approval is spent. Write it with the resourceVersion that was read. */
export function consumed(
  request: ApprovalRequest,
  sessionId: string,
  nowMs: number,
): ApprovalRequestCondition {
  return condition('Consumed', 'SessionOpened', `session ${sessionId}`, request, nowMs)
}

/** The requester stopped waiting. */
export function withdrawn(request: ApprovalRequest, nowMs: number): ApprovalRequestCondition {
  const { username } = request.spec.requester
  return condition('Revoked', 'Withdrawn', `${username} stopped waiting`, request, nowMs)
}

/**
 * The request to PUT to its status: with these conditions more. What it holds already stays, as the
 * API server demands. The resourceVersion stays too, so of two writers one is told Conflict.
 */
export function withConditions(
  request: ApprovalRequest,
  more: readonly ApprovalRequestCondition[],
): ApprovalRequest {
  const existing = request.status?.conditions ?? []
  const types = new Set(existing.map(({ type }) => type))
  const added = more.filter(({ type }) => !types.has(type))
  return { ...request, status: { ...request.status, conditions: [...existing, ...added] } }
}
