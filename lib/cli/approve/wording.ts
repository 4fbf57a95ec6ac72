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

function words(request: ApprovalRequest): string {
  const { operation, target, debug } = request.spec
  const namespace = namespaceOf(request)
  const place = target.pod === '' ? `namespace ${namespace}` : `${namespace}/${target.pod}`
  const inside = target.container === '' ? '' : ` (container ${target.container})`
  switch (operation) {
    case 'Exec':
      return `exec into ${place}${inside}`
    case 'Attach':
      return `attach to ${place}${inside}`
    case 'PortForward':
      return `port-forward to ${place}${portsText(request)}`
    case 'Logs':
      return `read logs of ${place}${inside}`
    case 'Copy':
      return `copy ${copyDirection(request.spec.command ?? [])} ${place}${inside}`
    case 'Debug':
      return `debug ${place} with ${debug?.image ?? 'an unknown image'}${
        debug?.privileged === true ? ' (privileged)' : ''
      }`
    case 'Proxy':
      return target.service === undefined
        ? `use the proxy of pod ${place}${portsText(request)}`
        : `use the proxy of service ${namespace}/${target.service}${portsText(request)}`
    case 'TokenRequest':
      return `mint tokens for service account ${namespace}/${target.serviceAccount ?? ''}`
    default:
      // Of a later gateway; whoever decides has to see all of it.
      return `${String(operation)} ${place}${inside}`
  }
}

/** `exec into shop/web-0 (container main)`, `port-forward to shop/web-0 port 5432`. */
export function whatIsAsked(request: ApprovalRequest): string {
  return escapeText(words(request))
}

/** ` port 5432`, ` ports 80, 443`; empty where they are told later. */
export function portsText(request: ApprovalRequest): string {
  const { ports = [] } = request.spec.target
  if (ports.length === 0) return ''
  return `${ports.length === 1 ? ' port' : ' ports'} ${ports.join(', ')}`
}

/** kubectl cp runs `tar cf` in the container to download and `tar -xmf` to upload. */
function copyDirection([, ...args]: readonly string[]): string {
  const mode = args.find((arg) => !arg.startsWith('--')) ?? ''
  if (mode.includes('c')) return 'from'
  return mode.includes('x') ? 'to' : 'from or to'
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
