/**
 * `kubectl approve show NAME`: everything one should know before deciding.
 */
import type { ApprovalRequest } from '../../api/approval-request.generated.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { commandLine } from '../command-line.ts'
import { humanDuration } from '../duration.ts'
import { formatFields } from '../table.ts'
import {
  decisionsOf,
  demandsOf,
  namespaceOf,
  openDemandsOf,
  standingOf,
  stateOf,
  type Person,
} from './state.ts'
import { demandsText, settledText, timeAndDistance, validUntil } from './wording.ts'

export function describeRequest(request: ApprovalRequest, person: Person, now: number): string {
  const { metadata, spec } = request
  const { target, requester } = spec
  const fields: [string, string][] = [
    ['Name', escapeText(metadata.name)],
    ['Namespace', escapeText(namespaceOf(request))],
    ['State', stateText(request, now)],
    ['Requester', escapeText(requester.username)],
    ['Groups', listText(requester.groups)],
    ['Operation', `${escapeText(spec.operation)}${streamsText(spec.tty, spec.stdin)}`],
    ...targetFields(target),
    ['Command', spec.command?.length ? commandLine(spec.command) : '<none>'],
    ...debugFields(spec.debug),
    ['Policies', listText(spec.policies.map(policyText))],
    ['Approvers', demandsText(demandsOf(request))],
    ['Asked', askedText(metadata.creationTimestamp, now)],
    ['Expires', timeAndDistance(Date.parse(spec.expiresAt), now)],
    ['Valid for', escapeText(spec.validFor)],
  ]
  const until = validUntil(request, now)
  if (until !== undefined) fields.push(['Valid until', until])
  for (const entry of decisionsOf(request)) {
    const verdict = entry.verdict === 'Approve' ? 'approved' : 'denied'
    const reason = entry.reason === undefined ? '' : `: "${entry.reason}"`
    fields.push(['Decision', escapeText(`${entry.approver} ${verdict} at ${entry.time}${reason}`)])
  }
  fields.push(['You', standingText(request, person, now)])
  return formatFields(fields)
}

/** Only what there is: a port-forward is about no container, a token about no pod. */
function targetFields(target: ApprovalRequest['spec']['target']): [string, string][] {
  const { pod, container, image, ports = [], service, serviceAccount } = target
  const fields: [string, string | undefined][] = [
    ['Pod', pod],
    ['Service', service],
    ['Account', serviceAccount],
    ['Container', container],
    ['Image', image],
    ['Ports', ports.join(', ')],
  ]
  return fields.flatMap(([name, value = '']): [string, string][] =>
    value === '' ? [] : [[name, escapeText(value)]],
  )
}

/** What would be added; that it is as good as root on the node comes first. */
function debugFields(debug: ApprovalRequest['spec']['debug']): [string, string][] {
  if (debug === undefined) return []
  const { image, command, targetContainer, capabilities, privileged } = debug
  return [
    ['Privileged', privileged ? 'YES: as good as root on the node' : 'no'],
    ['With image', escapeText(image)],
    ['Running', command.length === 0 ? '<what the image runs>' : commandLine(command)],
    [
      'Sees',
      targetContainer === '' ? '<itself>' : `the processes of ${escapeText(targetContainer)}`,
    ],
    ['Adds', listText(capabilities)],
  ]
}

function listText(texts: readonly string[]): string {
  return texts.length === 0 ? '<none>' : escapeText(texts.join(', '))
}

function policyText(policy: { kind: string; namespace?: string; name: string }): string {
  const name = policy.namespace === undefined ? policy.name : `${policy.namespace}/${policy.name}`
  return `${policy.kind} ${name}`
}

function streamsText(tty: boolean, stdin: boolean): string {
  if (tty) return stdin ? ' (interactive terminal)' : ' (terminal, no input)'
  return stdin ? ' (with input)' : ''
}

function askedText(created: string | undefined, now: number): string {
  const ms = Date.parse(created ?? '')
  return Number.isNaN(ms) ? '<unknown>' : `${humanDuration(now - ms)} ago`
}

function stateText(request: ApprovalRequest, now: number): string {
  const state = stateOf(request, now)
  if (request.status?.conditions?.length) return `${state} (${settledText(request)})`
  return state === 'Pending' && decisionsOf(request).length > 0
    ? `Pending (needs also: ${demandsText(openDemandsOf(request))})`
    : state
}

function standingText(request: ApprovalRequest, person: Person, now: number): string {
  const name = escapeText(`${request.metadata.name} -n ${namespaceOf(request)}`)
  const standing = standingOf(request, person, now)
  switch (standing.kind) {
    case 'mayDecide':
      return `may decide: kubectl approve ${name}`
    case 'own':
      return 'asked for it; somebody else has to decide'
    case 'decided':
      return `have ${standing.decision.verdict === 'Approve' ? 'approved' : 'denied'} it`
    case 'notApprover':
      return 'are not among the approvers'
    default:
      return 'need not decide any more'
  }
}
