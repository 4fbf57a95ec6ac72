/**
 * What people read. One sentence what, one why, one command to type next.
 * The numbers are listed in docs/messages.md. PURE.
 */
import { GatewayError } from '../errors/gateway-error.ts'

export interface ApprovalWords {
  name: string
  namespace: string
  approvers: string
  expiresAt: Date
}

function clock(at: Date): string {
  return `${at.toISOString().slice(11, 16)} UTC`
}

function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/** For people: 30m, 2h, 45s. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds % 3600 === 0) return `${seconds / 3600}h`
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`
}

function minutesUntil(at: Date): number {
  return Math.max(1, Math.ceil((at.getTime() - Date.now()) / 60_000))
}

function waitCommand({ name, namespace, expiresAt }: ApprovalWords): string {
  return `kubectl wait --for=condition=Approved apreq/${name} -n ${namespace} --timeout=${minutesUntil(expiresAt)}m`
}

export function approvalPending(words: ApprovalWords): GatewayError {
  return new GatewayError(
    'Forbidden',
    `this needs approval by ${words.approvers}: ${words.name} is pending until ${clock(words.expiresAt)}. Nothing was run. Wait: ${waitCommand(words)}; then run the same command again`,
    { id: 1004 },
  )
}

export function waitTimedOut(words: ApprovalWords, waitedMs: number): GatewayError {
  return new GatewayError(
    'Timeout',
    `${words.name} is still pending after ${duration(waitedMs)}; nothing was run. Wait: ${waitCommand(words)}; then run the same command again`,
    { id: 1004 },
  )
}

export function approvalDenied(words: ApprovalWords, by: string, reason: string): GatewayError {
  const why = reason === '' ? '' : `: "${reason}"`
  return new GatewayError('Forbidden', `${words.name} was denied by ${by}${why}. Nothing was run`, {
    id: 1005,
  })
}

export function approvalEnded(words: ApprovalWords, state: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `${words.name} cannot be used: it is ${state.toLowerCase()}. Nothing was run; run the command again to ask anew`,
    { id: 1008 },
  )
}

export function waitCancelled(words: ApprovalWords): GatewayError {
  return new GatewayError(
    'Forbidden',
    `you stopped waiting; ${words.name} is withdrawn and nothing was run`,
    { id: 1009 },
  )
}

export function waitingLine(words: ApprovalWords, waitedMs: number, waitMs: number): string {
  return `waiting for approval of ${words.name} by ${words.approvers} (${span(waitedMs)} of ${span(waitMs)}, until ${clock(new Date(words.expiresAt))}). Ctrl-C cancels.`
}

export function approvedLine(by: string, reason: string, until: Date, session: string): string {
  const why = reason === '' ? '' : `: "${reason}"`
  return `approved by ${by}${why}, until ${clock(until)}. This session is recorded as ${session}. What you typed while waiting was dropped.`
}

export function podChanged(pod: string): GatewayError {
  return new GatewayError(
    'Conflict',
    `pod ${pod} was replaced or restarted while the session was being opened, so it was ended; run the command again`,
    { id: 1032 },
  )
}

/** In the middle of a session that a pod's end does not end by itself. */
export function podGone(pod: string, why: string): GatewayError {
  return new GatewayError(
    'NotFound',
    `pod ${pod} ${why}, so the session was ended; run the command again with a pod that runs: kubectl get pods`,
    { id: 1050 },
  )
}

export function roadClosed(what: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `not allowed through this gateway: ${what}. No AccessPolicy can allow it, and what no policy allows is denied. Use kubectl exec, port-forward, logs, cp or debug`,
    { id: 1014 },
  )
}

export function impersonationRefused(): GatewayError {
  return new GatewayError(
    'Forbidden',
    'sessions are always opened as yourself: acting as somebody else (--as, --as-group) is for other requests, where a policy allows it; run the command without it',
    { id: 1015 },
  )
}

export function policiesStale(ageMs: number): GatewayError {
  const age = Number.isFinite(ageMs)
    ? `are ${Math.round(ageMs / 1000)} s old`
    : 'have not been read yet'
  return new GatewayError(
    'ServiceUnavailable',
    `the policies ${age}, because the cluster cannot be reached, so new sessions are refused; try again in a moment`,
    { id: 1016 },
  )
}

export function draining(): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    'this gateway is shutting down; run the command again to reach another one',
    { id: 1031 },
  )
}
