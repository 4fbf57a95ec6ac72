/**
 * Adds a person's decision to a request, and waits a moment for what the gateway makes of it.
 *
 * The person writes under their own name: the API server itself (admission
 * policy) refuses another name, other groups than theirs, a second decision and
 * one about their own request.
 */
import type {
  ApprovalRequest,
  ApprovalRequestDecision,
} from '../../api/approval-request.generated.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { CliError, ExitCode, statusCodeOf } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import type { KubeClient } from '../kube-request.ts'
import { getRequest, requestPath } from './find.ts'
import {
  decisionsOf,
  demandsOf,
  finalCondition,
  isApprovalRequest,
  namespaceOf,
  openDemandsOf,
  standingOf,
  type Person,
} from './state.ts'
import { approversText, demandsText, settledText } from './wording.ts'

/** As `kubectl certificate approve`: others write to the same object, and mostly at once. */
const MAX_CONFLICTS = 10

export type Verdict = ApprovalRequestDecision['verdict']

export interface Decided {
  /** What the server holds in the end. */
  request: ApprovalRequest
  /** The person had already decided so, or the request already was: nothing was written. */
  unchanged: boolean
}

export async function decide(
  client: KubeClient,
  io: CliIo,
  found: ApprovalRequest,
  person: Person,
  verdict: Verdict,
  reason: string | undefined,
): Promise<Decided> {
  let request = found
  for (let conflicts = 0; ; conflicts += 1) {
    if (!mayWrite(request, person, verdict, io.now())) return { request, unchanged: true }
    try {
      return {
        request: await write(client, io, request, person, verdict, reason),
        unchanged: false,
      }
    } catch (error) {
      if (statusCodeOf(error) !== 409 || conflicts >= MAX_CONFLICTS) throw error
      request = await getRequest(client, namespaceOf(request), request.metadata.name)
    }
  }
}

/** False where this very decision already stands; an error where it cannot be made. */
function mayWrite(
  request: ApprovalRequest,
  person: Person,
  verdict: Verdict,
  now: number,
): boolean {
  const name = escapeText(request.metadata.name)
  const standing = standingOf(request, person, now)
  switch (standing.kind) {
    case 'mayDecide':
      return true
    case 'settled':
      if (standing.condition.type === (verdict === 'Approve' ? 'Approved' : 'Denied')) return false
      throw new CliError(ExitCode.Error, `${name} is already ${settledText(request)}`)
    case 'lapsed':
      throw new CliError(
        ExitCode.Error,
        `${name} has expired; the requester has to run the command again to ask anew`,
      )
    case 'decided':
      if (standing.decision.verdict === verdict) return false
      throw new CliError(
        ExitCode.Error,
        `you have already ${standing.decision.verdict === 'Approve' ? 'approved' : 'denied'} ${name}; a decision cannot be changed`,
      )
    case 'own':
      throw new CliError(
        ExitCode.NotAllowed,
        `${name} is your own request; somebody else has to decide it: ${demandsText(demandsOf(request))}`,
      )
    default:
      throw new CliError(
        ExitCode.NotAllowed,
        `you (${escapeText(person.username)}) are not among the approvers of ${name}: ${approversText(request.spec.approvers)}`,
      )
  }
}

async function write(
  client: KubeClient,
  io: CliIo,
  request: ApprovalRequest,
  person: Person,
  verdict: Verdict,
  reason: string | undefined,
): Promise<ApprovalRequest> {
  const decision: ApprovalRequestDecision = {
    approver: person.username,
    groups: person.groups,
    verdict,
    ...(reason === undefined ? {} : { reason }),
    time: new Date(Math.trunc(io.now() / 1000) * 1000).toISOString().replace('.000Z', 'Z'),
  }
  let written: unknown
  try {
    written = await client.json({
      method: 'PATCH',
      path: `${requestPath(namespaceOf(request), request.metadata.name)}/status`,
      contentType: 'application/merge-patch+json',
      body: {
        // With the version the patch is refused (409) if somebody wrote since: a merge patch replaces lists.
        metadata: { resourceVersion: request.metadata.resourceVersion },
        status: { decisions: [...decisionsOf(request), decision] },
      },
    })
  } catch (error) {
    if (!CliError.is(error) || error.status === undefined || error.status.code !== 403) throw error
    throw new CliError(ExitCode.NotAllowed, error.message, { status: error.status })
  }
  if (isApprovalRequest(written)) return written
  throw new CliError(ExitCode.Error, `${client.server} did not answer with the decided request`)
}

/** True where the gateway has nothing to conclude yet, because others have to agree as well. */
export function needsOthers(request: ApprovalRequest): boolean {
  return (
    finalCondition(request) === undefined &&
    openDemandsOf(request).length > 0 &&
    decisionsOf(request).every((decision) => decision.verdict === 'Approve')
  )
}
