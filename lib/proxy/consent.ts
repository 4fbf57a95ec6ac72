/**
 * From an admission that demands approval to one that has it, bound to exactly what was asked (I9).
 */
import { requestDigest, type Binding } from '../approval/binding.ts'
import type { ApprovalDesk, ApprovalTicket } from '../approval/desk.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import type { SessionApproval, SessionPolicy } from '../recording/session-document.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Access } from './access.ts'
import type { Admission, AllowingDecision } from './admit.ts'
import { obtainApproval, type ApprovedVerdict } from './obtain-approval.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface ConsentRequest {
  desk: ApprovalDesk
  metrics: Metrics
  clusterUID: string
  user: User
  access: Access
  /** Opens the terminal to wait in; undefined for scripts and for clients that have none. */
  openRoom: (() => Promise<WaitingRoom>) | undefined
  /** Aborts with a GatewayError when the gateway shuts down. */
  stop: AbortSignal
}

/** An approval that was spent on what this is a part of. */
export interface Grant {
  approval: SessionApproval
  /** Those that were decided by, and that demanded it. */
  policies: readonly SessionPolicy[]
  until: Date
}

/** While it lasts, and while the policies are word for word those of then. */
export function isCovered(grant: Grant, { policies }: AllowingDecision): boolean {
  const digests = (refs: readonly SessionPolicy[]): string =>
    refs
      .map(({ uid, digest }) => `${uid} ${digest}`)
      .toSorted()
      .join()
  return grant.until.getTime() > Date.now() && digests(grant.policies) === digests(policies)
}

export interface Consent {
  ticket: ApprovalTicket
  verdict: ApprovedVerdict
}

function bindingOf(request: ConsentRequest, admission: Admission): Binding {
  const { user, access } = request
  const { operation, facts, decision } = admission
  const { namespace, pod, podUID, container, image, service, serviceAccount } = facts
  return {
    requester: {
      username: user.username,
      groups: user.groups,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
    },
    operation,
    target: {
      cluster: request.clusterUID,
      namespace,
      pod,
      podUID,
      container,
      image,
      ...(access.port === undefined ? {} : { ports: [access.port] }),
      ...(service === undefined ? {} : { service }),
      ...(serviceAccount === undefined ? {} : { serviceAccount }),
    },
    ...(access.debug === undefined ? {} : { debug: access.debug }),
    command: access.command,
    tty: access.tty,
    stdin: access.stdin,
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
  const { desk, metrics, access } = request
  if (access.namespace === '') {
    throw new GatewayError(
      'Forbidden',
      'a policy demands approval for this, and approval requests live in namespaces, which this has none of; ask the author of the policy to allow it without',
      { id: 1035 },
    )
  }
  const asked = await desk.ask({ ...bindingOf(request, admission), demand: decision.approval })
  const verdict = await obtainApproval({
    ...asked,
    desk,
    waitMs: decision.approval.waitMs,
    // Only a person at a terminal can wait; a script is told to come back.
    openRoom: access.tty && access.stdin ? request.openRoom : undefined,
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
