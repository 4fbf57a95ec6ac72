/**
 * Asks for approvals, waits for them and spends them. The thin shell around
 * `state.ts`: all it knows is in the ApprovalRequests, so any replica can take
 * over from any other, and every write carries the resourceVersion it follows
 * from.
 */
import {
  APPROVAL_REQUEST,
  type ApprovalRequest,
  type ApprovalRequestCondition,
} from '../api/approval-request.generated.ts'
import { resourcePath } from '../api/resource-path.ts'
import { GatewayError, errorText } from '../errors/gateway-error.ts'
import { isUpstreamCode, type ApiClient } from '../kube/api-client.ts'
import { createReflector } from '../kube/reflector.ts'
import type { ApprovalDemand } from '../policy/decision.ts'
import { isSelfConsistent, requestDigest, type Binding } from './binding.ts'
import { consumed, withConditions, withdrawn } from './condition.ts'
import { chooseRequest } from './request-name.ts'
import { createRequest } from './request.ts'
import { judge, type Judgement, type Requirement } from './state.ts'

/** What a person needs to know of an open request. */
export interface ApprovalTicket {
  name: string
  namespace: string
  uid: string
  digest: string
  /** Who can approve, in words. */
  approvers: string
  expiresAt: Date
  /** What it takes by the policies of this very decision, whatever the request claims. */
  requirement: Requirement
}

export type ApprovalVerdict =
  | { state: 'Approved'; by: { username: string; reason: string; time: string }[]; until: Date }
  | { state: 'Denied'; by: string; reason: string }
  | { state: 'Pending' | 'Expired' | 'Consumed' | 'Revoked' }

export interface ApprovalDesk {
  /** The open request for exactly this, made when there is none. */
  ask(
    what: Binding & { demand: ApprovalDemand },
  ): Promise<{ ticket: ApprovalTicket; verdict: ApprovalVerdict }>
  /** Resolves with the first verdict that is not Pending, or with Pending after `timeoutMs` or `signal`. */
  wait(ticket: ApprovalTicket, timeoutMs: number, signal: AbortSignal): Promise<ApprovalVerdict>
  /** Marks the approval as used by this session. Approved: it is ours; anything else: it is not. */
  consume(ticket: ApprovalTicket, session: string): Promise<ApprovalVerdict>
  /** The requester gives up. */
  withdraw(ticket: ApprovalTicket): Promise<void>
  /** Age of what this replica knows of requests. */
  ageMs(): number
  ready(signal: AbortSignal): Promise<void>
  close(): void
}

export interface DeskOptions {
  client: ApiClient
  onError(message: string): void
  onEnded?(state: string): void
  now?: () => number
  /** How often requests are looked at for having run out. */
  sweepMs?: number
}

const SWEEP_MS = 2000
const MAX_ATTEMPTS = 10
/** After that the API server itself will say what is wrong. */
const FIRST_LIST_MS = 3000
/** Finished requests are kept for people to look at, then removed; the transcript keeps the facts. */
const KEEP_MS = 24 * 3600_000

function pathOf(namespace: string, name?: string): string {
  return resourcePath(APPROVAL_REQUEST, { namespace, name })
}

function verdictOf({ state, decidedBy, untilMs }: Judgement): ApprovalVerdict {
  if (state === 'Approved') {
    const by = decidedBy.map(({ approver, reason = '', time }) => ({
      username: approver,
      reason,
      time,
    }))
    return { state, by, until: new Date(untilMs) }
  }
  if (state === 'Denied') {
    const [first] = decidedBy
    return { state, by: first?.approver ?? 'an approver', reason: first?.reason ?? '' }
  }
  return { state }
}

function inWords(demand: ApprovalDemand): string {
  return demand.approvers
    .map(({ subjects }) =>
      subjects.map(({ kind, name }) => (kind === 'Group' ? `group ${name}` : name)).join(' or '),
    )
    .join(' and ')
}

/** The very request the ticket was given for, and not one that took its name or was tampered with. */
function isOurs(ticket: ApprovalTicket, request: ApprovalRequest): boolean {
  const { uid } = request.metadata
  return (
    uid === ticket.uid && request.spec.digest === ticket.digest && isSelfConsistent(request.spec)
  )
}

export function createApprovalDesk(options: DeskOptions): ApprovalDesk {
  const { client, onError } = options
  const now = options.now ?? Date.now
  const watchers = new Set<(request: ApprovalRequest, isGone: boolean) => void>()

  const reflector = createReflector<ApprovalRequest>({
    client,
    path: resourcePath(APPROVAL_REQUEST),
    onError,
    onChange(type, request) {
      const isGone = type === 'delete'
      for (const watcher of watchers) watcher(request, isGone)
      if (!isGone) settle(request)
    },
  })

  async function read(namespace: string, name: string): Promise<ApprovalRequest> {
    return await client.request<ApprovalRequest>('GET', pathOf(namespace, name))
  }

  async function write(
    request: ApprovalRequest,
    more: ApprovalRequestCondition[],
  ): Promise<ApprovalRequest> {
    const { namespace = '', name } = request.metadata
    const body = {
      ...withConditions(request, more),
      apiVersion: `${APPROVAL_REQUEST.group}/${APPROVAL_REQUEST.version}`,
      kind: APPROVAL_REQUEST.kind,
    }
    return await client.request<ApprovalRequest>('PUT', `${pathOf(namespace, name)}/status`, {
      body,
    })
  }

  /** Writes down what decisions and clock have led to. A conflict means that somebody else just did. */
  function settle(request: ApprovalRequest): void {
    const { state, newConditions } = judge(request, now())
    if (newConditions.length === 0) return
    write(request, newConditions).then(
      () => options.onEnded?.(state),
      (error: unknown) => {
        if (!isUpstreamCode(error, 409) && !isUpstreamCode(error, 404)) {
          onError(`${request.metadata.name}: ${errorText(error)}`)
        }
      },
    )
  }

  function tidy(request: ApprovalRequest): void {
    const { namespace = '', name, uid = '' } = request.metadata
    const { state, untilMs } = judge(request, now())
    if (state === 'Pending' || state === 'Approved' || now() - untilMs < KEEP_MS) return
    client
      .request('DELETE', pathOf(namespace, name), { body: { preconditions: { uid } } })
      .catch((error: unknown) => {
        if (!isUpstreamCode(error, 404) && !isUpstreamCode(error, 409))
          onError(`${name}: ${errorText(error)}`)
      })
  }

  const sweep = setInterval(() => {
    for (const request of reflector.items()) {
      settle(request)
      tidy(request)
    }
  }, options.sweepMs ?? SWEEP_MS)
  sweep.unref()

  function look(ticket: ApprovalTicket, request: ApprovalRequest): ApprovalVerdict {
    if (!isOurs(ticket, request)) return { state: 'Revoked' }
    return verdictOf(judge(request, now(), ticket.requirement))
  }

  /** Straight from the API server; a request that is gone is as good as revoked. */
  async function recheck(ticket: ApprovalTicket): Promise<ApprovalVerdict> {
    try {
      return look(ticket, await read(ticket.namespace, ticket.name))
    } catch (error) {
      if (isUpstreamCode(error, 404)) return { state: 'Revoked' }
      throw error
    }
  }

  async function findOrCreate(binding: Binding, demand: ApprovalDemand): Promise<ApprovalRequest> {
    const { namespace } = binding.target
    const digest = requestDigest(binding)
    // Right after a start: without the first list, each name that is taken would cost a conflict.
    await reflector.ready(AbortSignal.timeout(FIRST_LIST_MS)).catch(() => undefined)
    const known = reflector.items().filter(({ metadata }) => metadata.namespace === namespace)
    const isOpen = (request: ApprovalRequest): boolean => {
      const { state } = judge(request, now(), demand)
      return isSelfConsistent(request.spec) && (state === 'Pending' || state === 'Approved')
    }
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const choice = chooseRequest(known, digest, isOpen)
      if (choice.kind === 'join') {
        // The cache may be behind: what counts is what the API server has now.
        const fresh = await read(namespace, choice.request.metadata.name).catch(
          (error: unknown) => {
            if (isUpstreamCode(error, 404)) return undefined
            throw error
          },
        )
        if (fresh !== undefined && isOpen(fresh)) return fresh
        const at = known.findIndex(({ metadata }) => metadata.name === choice.request.metadata.name)
        if (fresh === undefined) known.splice(at, 1)
        else known[at] = fresh
        continue
      }
      try {
        return await client.request<ApprovalRequest>('POST', pathOf(namespace), {
          body: createRequest(choice.name, binding, demand, now()),
        })
      } catch (error) {
        if (!isUpstreamCode(error, 409)) throw error
        known.push(await read(namespace, choice.name))
      }
    }
    throw new GatewayError(
      'Conflict',
      'the approval request keeps changing; run the command again',
      { id: 1017 },
    )
  }

  async function consume(ticket: ApprovalTicket, session: string): Promise<ApprovalVerdict> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const request = await read(ticket.namespace, ticket.name)
      const verdict = look(ticket, request)
      if (verdict.state !== 'Approved') return verdict
      const { newConditions } = judge(request, now(), ticket.requirement)
      try {
        // The resourceVersion in it makes this the one write that spends the approval.
        await write(request, [...newConditions, consumed(request, session, now())])
        options.onEnded?.('Consumed')
        return verdict
      } catch (error) {
        if (!isUpstreamCode(error, 409)) throw error
      }
    }
    throw new GatewayError('Conflict', 'the approval keeps changing; run the command again', {
      id: 1017,
    })
  }

  return {
    async ask({ demand, ...binding }) {
      const request = await findOrCreate(binding, demand)
      const { name, uid = '' } = request.metadata
      const ticket: ApprovalTicket = {
        name,
        namespace: binding.target.namespace,
        uid,
        digest: request.spec.digest,
        approvers: inWords(demand),
        expiresAt: new Date(request.spec.expiresAt),
        requirement: demand,
      }
      return { ticket, verdict: look(ticket, request) }
    },
    async wait(ticket, timeoutMs, signal) {
      const decided = Promise.withResolvers<ApprovalVerdict>()
      const check = (request: ApprovalRequest, isGone = false): void => {
        const { name, namespace, uid } = request.metadata
        if (name !== ticket.name || namespace !== ticket.namespace) return
        if (uid !== ticket.uid || isGone) {
          // The watch may be behind and speak of an earlier request of this name; ask what is true.
          recheck(ticket).then(decide, (error: unknown) => onError(`${name}: ${errorText(error)}`))
        } else decide(look(ticket, request))
      }
      const decide = (verdict: ApprovalVerdict): void => {
        if (verdict.state !== 'Pending') decided.resolve(verdict)
      }
      const giveUp = (): void => decided.resolve({ state: 'Pending' })
      const timer = setTimeout(giveUp, timeoutMs)
      watchers.add(check)
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        if (signal.aborted) giveUp()
        // A change between asking and watching would otherwise be missed.
        const known = reflector.get(ticket.namespace, ticket.name)
        if (known !== undefined) check(known)
        return await decided.promise
      } finally {
        clearTimeout(timer)
        watchers.delete(check)
        signal.removeEventListener('abort', giveUp)
      }
    },
    consume,
    async withdraw(ticket) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
        const request = await read(ticket.namespace, ticket.name)
        if (look(ticket, request).state !== 'Pending') return
        try {
          await write(request, [withdrawn(request, now())])
          options.onEnded?.('Revoked')
          return
        } catch (error) {
          // Somebody decided at the same moment; look again.
          if (!isUpstreamCode(error, 409)) throw error
        }
      }
    },
    ageMs: () => reflector.ageMs(),
    ready: async (signal) => await reflector.ready(signal),
    close() {
      clearInterval(sweep)
      reflector.close()
    },
  }
}
