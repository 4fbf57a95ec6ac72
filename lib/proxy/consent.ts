/**
 * From an admission that demands approval to one that has it, bound to exactly what was asked (I9).
 */
import { requestDigest, type Binding } from '../approval/binding.ts'
import type { ApprovalDesk, ApprovalTicket } from '../approval/desk.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Admission, StreamTarget } from './admit.ts'
import { obtainApproval, type ApprovedVerdict } from './obtain-approval.ts'
import type { StreamOptions } from './stream-options.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface ConsentRequest {
  desk: ApprovalDesk
  metrics: Metrics
  clusterUID: string
  user: User
  target: StreamTarget
  options: StreamOptions
  /** Opens the terminal to wait in. */
  openRoom(): Promise<WaitingRoom>
  /** Aborts with a GatewayError when the gateway shuts down. */
  stop: AbortSignal
}

export interface Consent {
  ticket: ApprovalTicket
  verdict: ApprovedVerdict
}

function bindingOf(request: ConsentRequest, { facts, decision }: Admission): Binding {
  const { user, target, options } = request
  const { namespace, pod, podUID, container, image } = facts
  return {
    requester: {
      username: user.username,
      groups: user.groups,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
    },
    operation: target.operation,
    target: { cluster: request.clusterUID, namespace, pod, podUID, container, image },
    command: options.command,
    tty: options.tty,
    stdin: options.stdin,
    policies: decision.policies,
  }
}

/** Undefined where no policy demands approval. @throws GatewayError when there is none. */
export async function seekConsent(
  request: ConsentRequest,
  admission: Admission,
): Promise<Consent | undefined> {
  const { decision } = admission
  if (decision.kind === 'allow') return undefined
  const { desk, metrics, options } = request
  const asked = await desk.ask({ ...bindingOf(request, admission), demand: decision.approval })
  const verdict = await obtainApproval({
    ...asked,
    desk,
    waitMs: decision.approval.waitMs,
    // Only a person at a terminal can wait; a script is told to come back.
    openRoom: options.tty && options.stdin ? () => request.openRoom() : undefined,
    metrics,
    stop: request.stop,
  })
  return { ticket: asked.ticket, verdict }
}

/**
 * While somebody waits, pods are replaced and policies change. The approval was given for what was
 * asked then, so what would be opened now has to be the same.
 */
export function assertStillBound(
  request: ConsentRequest,
  now: Admission,
  { ticket }: Consent,
): void {
  if (requestDigest(bindingOf(request, now)) === ticket.digest) return
  throw new GatewayError(
    'Conflict',
    `the pod or the policies changed while ${ticket.name} waited, so the approval does not fit any more; nothing was run. Run the command again`,
    { id: 1033 },
  )
}
