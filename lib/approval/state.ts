/**
 * What became of an approval request: decisions of people in, a state out. Pure.
 *
 *   Pending -> Approved -> Consumed
 *      |          |
 *      |          +------> Expired (not used in time), Revoked (withdrawn, or denied after all)
 *      +-----------------> Denied, Expired (not decided in time), Revoked (withdrawn)
 *
 * Trusts nobody's summary: a condition that opens something counts only together with the decisions
 * it follows from, a condition that closes something counts by itself.
 */
import type {
  ApprovalRequest,
  ApprovalRequestCondition,
  ApprovalRequestDecision,
} from '../api/approval-request.generated.ts'
import type { Subject } from '../policy/decision.ts'
import { parseDuration } from '../policy/duration.ts'
import { isAmong } from '../policy/evaluate.ts'
import { condition, findCondition } from './condition.ts'

export type RequestState = 'Pending' | 'Approved' | 'Denied' | 'Expired' | 'Consumed' | 'Revoked'

/** Any one of the subjects; of several sets, one of each. */
type ApproverSubjects = readonly Subject[]

export interface Judgement {
  state: RequestState
  /** What the gateway has to add to the request's conditions; see withConditions(). */
  newConditions: ApprovalRequestCondition[]
  /** Whose decisions brought the state about; empty where nobody's did. */
  decidedBy: ApprovalRequestDecision[]
  /** When a Pending request lapses, or until when an Approved one can be used. */
  untilMs: number
}

/** What it takes to approve: the part of ApprovalDemand that is judged by. */
export interface Requirement {
  approvers: readonly { subjects: ApproverSubjects }[]
  validForMs: number
}

/** What the request itself says it takes, as the policies were when it was made. */
export function requirementOf({ spec }: ApprovalRequest): Requirement {
  return {
    approvers: spec.policies.flatMap(({ approvers }) =>
      approvers === undefined ? [] : [{ subjects: approvers }],
    ),
    validForMs: parseDuration(spec.validFor) ?? 0,
  }
}

/** Identity providers mostly take ANA@corp and ana@corp for one person, so this does too. */
function isSamePerson(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function mayDecide(decision: ApprovalRequestDecision, sets: readonly ApproverSubjects[]): boolean {
  const person = { username: decision.approver, groups: decision.groups }
  return sets.some((subjects) => isAmong(subjects, person))
}

/** One approval for each set. The same person may stand for several sets, never for themselves. */
function approvalsFor(
  approvals: readonly ApprovalRequestDecision[],
  sets: readonly ApproverSubjects[],
): ApprovalRequestDecision[] | undefined {
  const chosen = new Set<ApprovalRequestDecision>()
  for (const subjects of sets) {
    const approval = approvals.find(({ approver, groups }) =>
      isAmong(subjects, { username: approver, groups }),
    )
    if (approval === undefined) return undefined
    chosen.add(approval)
  }
  return chosen.size === 0 ? undefined : [...chosen]
}

/** `bo: "INC-1", cy`. */
function inWords(decisions: readonly ApprovalRequestDecision[]): string {
  return decisions
    .map(({ approver, reason = '' }) => (reason === '' ? approver : `${approver}: "${reason}"`))
    .join(', ')
}

/**
 * @param requirement by the policies as they are now, before a session opens on it; by default as
 *   the request says.
 */
export function judge(
  request: ApprovalRequest,
  nowMs: number,
  requirement: Requirement = requirementOf(request),
): Judgement {
  const sets = requirement.approvers.map(({ subjects }) => subjects)
  const counting = (request.status?.decisions ?? []).filter(
    (decision) =>
      !isSamePerson(decision.approver, request.spec.requester.username) &&
      mayDecide(decision, sets),
  )
  const denials = counting.filter(({ verdict }) => verdict === 'Deny')
  const approvals = approvalsFor(
    counting.filter(({ verdict }) => verdict === 'Approve'),
    sets,
  )
  // The request's own time is no part of its digest, so it is only believed where it shortens.
  const validForMs = Math.min(requirement.validForMs, requirementOf(request).validForMs)
  return (
    closed(request, denials, approvals) ?? open(request, { nowMs, validForMs, denials, approvals })
  )
}

/** States that were written down and admit no other. */
function closed(
  request: ApprovalRequest,
  denials: ApprovalRequestDecision[],
  approvals: ApprovalRequestDecision[] = [],
): Judgement | undefined {
  const because = { Consumed: approvals, Denied: denials, Revoked: denials, Expired: [] }
  for (const state of ['Consumed', 'Denied', 'Revoked', 'Expired'] as const) {
    const found = findCondition(request, state)
    if (found === undefined) continue
    const untilMs = Date.parse(found.lastTransitionTime)
    return { state, newConditions: [], decidedBy: because[state], untilMs }
  }
  return undefined
}

interface Facts {
  nowMs: number
  validForMs: number
  denials: ApprovalRequestDecision[]
  /** Undefined while somebody's approval is missing. */
  approvals: ApprovalRequestDecision[] | undefined
}

function open(request: ApprovalRequest, facts: Facts): Judgement {
  const { nowMs, validForMs, denials, approvals } = facts
  const expiresMs = timeOrPast(request.spec.expiresAt)
  const approved = findCondition(request, 'Approved')
  if (denials.length > 0) {
    // A request is never both Approved and Denied; a denial that comes late takes the approval back.
    const [state, reason] =
      approved === undefined
        ? (['Denied', 'DeniedByPerson'] as const)
        : (['Revoked', 'DeniedAfterApproval'] as const)
    return ending(request, state, reason, `denied by ${inWords(denials)}`, nowMs, denials)
  }
  if (approvals === undefined) {
    if (nowMs < expiresMs) {
      return { state: 'Pending', newConditions: [], decidedBy: [], untilMs: expiresMs }
    }
    return ending(request, 'Expired', 'NotDecidedInTime', 'nobody decided in time', nowMs, [])
  }
  if (approved === undefined && nowMs >= expiresMs) {
    const message = `approved by ${inWords(approvals)}, but too late`
    return ending(request, 'Expired', 'NotDecidedInTime', message, nowMs, approvals)
  }
  const approvedMs = approved === undefined ? nowMs : timeOrPast(approved.lastTransitionTime)
  // No approval comes after the request has lapsed, and none from the future, whatever a condition
  // claims: that bounds what a forged one could win.
  const untilMs = Math.min(approvedMs, nowMs, expiresMs) + validForMs
  if (nowMs >= untilMs) {
    return ending(request, 'Expired', 'NotUsedInTime', 'not used in time', nowMs, approvals)
  }
  const newConditions =
    approved === undefined
      ? [
          condition(
            'Approved',
            'ApprovedByPerson',
            `approved by ${inWords(approvals)}`,
            request,
            nowMs,
          ),
        ]
      : []
  return { state: 'Approved', newConditions, decidedBy: approvals, untilMs }
}

function ending(
  request: ApprovalRequest,
  state: 'Denied' | 'Expired' | 'Revoked',
  reason: string,
  message: string,
  nowMs: number,
  decidedBy: ApprovalRequestDecision[],
): Judgement {
  const newConditions = [condition(state, reason, message, request, nowMs)]
  return { state, newConditions, decidedBy, untilMs: nowMs }
}

/** A time that cannot be read is long ago: what it bounds is over. */
function timeOrPast(text: string): number {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? 0 : ms
}
