/**
 * One request in words. Whatever a stranger wrote (the command above all) is escaped here.
 */
import type {
  ApprovalRequest,
  ApprovalRequestApprover,
} from '../../api/approval-request.generated.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { clockTime, humanDuration, parseDuration } from '../duration.ts'
import { finalCondition, namespaceOf } from './state.ts'

export function resourceName(request: ApprovalRequest): string {
  return `approvalrequest.podgate.dev/${escapeText(request.metadata.name)}`
}

/** `exec into shop/web-0 (container main)`. */
export function whatIsAsked(request: ApprovalRequest): string {
  const { operation, target } = request.spec
  const verb = operation === 'Attach' ? 'attach to' : 'exec into'
  return escapeText(`${verb} ${namespaceOf(request)}/${target.pod} (container ${target.container})`)
}

export function approversText(approvers: readonly ApprovalRequestApprover[]): string {
  return escapeText(approvers.map(({ kind, name }) => `${kind.toLowerCase()} ${name}`).join(', '))
}

/** `group oncall; and user cy`: one of each set. */
export function demandsText(sets: readonly (readonly ApprovalRequestApprover[])[]): string {
  return sets.map(approversText).join('; and ')
}

/** `10:35 UTC (30m)`, or undefined where nothing is approved. */
export function validUntil(request: ApprovalRequest, now: number): string | undefined {
  const approved = request.status?.conditions?.find(({ type }) => type === 'Approved')
  const validForMs = parseDuration(request.spec.validFor)
  if (approved === undefined || validForMs === undefined) return undefined
  const until = Date.parse(approved.lastTransitionTime) + validForMs
  return Number.isNaN(until) ? undefined : timeAndDistance(until, now)
}

export function timeAndDistance(ms: number, now: number): string {
  const distance = ms - now
  return distance < 0
    ? `${clockTime(ms, now)} (${humanDuration(-distance)} ago)`
    : `${clockTime(ms, now)} (in ${humanDuration(distance)})`
}

/** `denied by cy: "use the read replica"`, in the words of who decided or of the gateway. */
export function settledText(request: ApprovalRequest): string {
  const condition = finalCondition(request)
  if (condition === undefined) return 'pending'
  const verdict = condition.type === 'Denied' ? 'Deny' : 'Approve'
  const by = (request.status?.decisions ?? []).filter((entry) => entry.verdict === verdict)
  const word = condition.type.toLowerCase()
  if ((condition.type === 'Denied' || condition.type === 'Approved') && by.length > 0) {
    const who = by.map(({ approver, reason }) =>
      escapeText(reason === undefined ? approver : `${approver}: "${reason}"`),
    )
    return `${word} by ${who.join(', ')}`
  }
  return condition.message === '' ? word : `${word}: ${escapeText(condition.message)}`
}
