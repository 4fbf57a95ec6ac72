/**
 * Gets the consent a policy demands, or says in words why there is none yet.
 *
 * A person at a terminal waits in the stream; a script gets its answer at once
 * and the command to wait with. kubectl asks twice when a WebSocket is refused:
 * both find the same request, because its name follows from what is asked.
 */
import type { ApprovalDesk, ApprovalTicket, ApprovalVerdict } from '../approval/desk.ts'
import type { GatewayError } from '../errors/gateway-error.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import {
  approvalDenied,
  approvalEnded,
  approvalPending,
  approvedLine,
  draining,
  waitCancelled,
  waitTimedOut,
  waitingLine,
} from './messages.ts'
import type { WaitingRoom } from './waiting-room.ts'

export type ApprovedVerdict = Extract<ApprovalVerdict, { state: 'Approved' }>

export interface ObtainOptions {
  desk: ApprovalDesk
  ticket: ApprovalTicket
  verdict: ApprovalVerdict
  waitMs: number
  /** Opens the terminal to wait in; undefined for scripts. */
  openRoom: (() => Promise<WaitingRoom>) | undefined
  metrics: Metrics
  stop: AbortSignal
}

/** The terminal is told again this often, which also keeps idle connections open. */
const REMIND_MS = 30_000

export function refusalOf(ticket: ApprovalTicket, verdict: ApprovalVerdict): GatewayError {
  if (verdict.state === 'Denied') return approvalDenied(ticket, verdict.by, verdict.reason)
  if (verdict.state === 'Pending') return approvalPending(ticket)
  return approvalEnded(ticket, verdict.state)
}

async function waitInTerminal(options: ObtainOptions, room: WaitingRoom): Promise<ApprovalVerdict> {
  const { desk, ticket, waitMs } = options
  const startedAt = performance.now()
  const waited = (): number => performance.now() - startedAt
  const remind = (): void => room.say(waitingLine(ticket, waited(), waitMs))
  remind()
  const reminder = setInterval(remind, REMIND_MS)
  try {
    const verdict = await desk.wait(ticket, waitMs, AbortSignal.any([room.left, options.stop]))
    if (room.left.aborted) {
      if (room.left.reason === 'cancelled') await desk.withdraw(ticket)
      throw waitCancelled(ticket)
    }
    if (verdict.state === 'Pending' && options.stop.aborted) throw draining()
    if (verdict.state === 'Pending') throw waitTimedOut(ticket, waitMs)
    return verdict
  } finally {
    clearInterval(reminder)
    options.metrics.approvalWaitSeconds.observe(waited() / 1000)
  }
}

/**
 * Waits for the verdict where somebody can wait. It is not spent yet: that is the last thing before
 * the pod is dialled, so that nothing that fails in between uses it up.
 *
 * @throws GatewayError when there is no approval.
 */
export async function obtainApproval(options: ObtainOptions): Promise<ApprovedVerdict> {
  let { verdict } = options
  if (verdict.state === 'Pending' && options.openRoom !== undefined) {
    verdict = await waitInTerminal(options, await options.openRoom())
  }
  if (verdict.state !== 'Approved') throw refusalOf(options.ticket, verdict)
  return verdict
}

/** Spends the approval: after this it is good for this session only. */
export async function spendApproval(
  desk: ApprovalDesk,
  ticket: ApprovalTicket,
  session: string,
  room: WaitingRoom | undefined,
): Promise<ApprovedVerdict> {
  const spent = await desk.consume(ticket, session)
  if (spent.state !== 'Approved') throw refusalOf(ticket, spent)
  const by = spent.by.map(({ username }) => username).join(' and ')
  // Before the line: who reads it may type at once, while the pod is still being dialled.
  room?.keep()
  room?.say(approvedLine(by, spent.by[0]?.reason ?? '', spent.until, session))
  return spent
}
