/** A new approval request, as the gateway creates it. */
import { APPROVAL_REQUEST, type ApprovalRequest } from '../api/approval-request.generated.ts'
import type { ApprovalDemand, Subject } from '../policy/decision.ts'
import { formatDuration } from '../policy/duration.ts'
import { requestDigest, type Binding } from './binding.ts'
import { timestamp } from './condition.ts'

/**
 * A request lapses after the time that an approval would hold, or the time that a terminal waits
 * if that is longer: a script's request has to outlive the script.
 */
export function createRequest(
  name: string,
  binding: Binding,
  demand: ApprovalDemand,
  nowMs: number,
): ApprovalRequest {
  const { requester, operation, target, debug, command, tty, stdin, policies } = binding
  const { ports, ...place } = target
  const { uid } = requester
  return {
    apiVersion: `${APPROVAL_REQUEST.group}/v1alpha1` as ApprovalRequest['apiVersion'],
    kind: 'ApprovalRequest',
    metadata: { name, namespace: target.namespace },
    spec: {
      requester: {
        username: requester.username,
        ...(uid === undefined ? {} : { uid }),
        groups: [...requester.groups],
      },
      operation: operation as ApprovalRequest['spec']['operation'],
      target: { ...place, ...(ports === undefined ? {} : { ports: [...ports] }) },
      ...(command.length === 0 ? {} : { command: [...command] }),
      ...(debug === undefined ? {} : { debug: { ...debug } }),
      tty,
      stdin,
      policies: policies.map((policy) => {
        const approvers = demand.approvers.find((set) => isSame(set.policy, policy))?.subjects
        return { ...policy, ...(approvers === undefined ? {} : { approvers }) }
      }),
      approvers: everybody(demand),
      digest: requestDigest(binding),
      expiresAt: timestamp(nowMs + Math.max(demand.waitMs, demand.validForMs)),
      validFor: formatDuration(demand.validForMs),
    },
  }
}

function isSame(a: { digest: string; uid: string }, b: { digest: string; uid: string }): boolean {
  return a.digest === b.digest && a.uid === b.uid
}

/** All who may decide, each once. */
export function everybody(demand: ApprovalDemand): Subject[] {
  const subjects = demand.approvers.flatMap((set) => set.subjects)
  const byKey = new Map(subjects.map((subject) => [`${subject.kind}/${subject.name}`, subject]))
  return [...byKey.values()]
}
