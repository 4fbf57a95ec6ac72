/**
 * May this session connect to this port? Asked for every connection, of the policies as they are
 * then: kubectl names no ports when it opens a port-forward.
 */
import { GatewayError } from '../../errors/gateway-error.ts'
import type { PolicyRef } from '../../policy/decision.ts'
import { decide, type AdmitDeps, type AllowingDecision } from '../admit.ts'
import type { OpenedSession } from '../conduct-session.ts'

export interface PortGrant {
  policies: PolicyRef[]
}

export interface PortGateOptions {
  deps: AdmitDeps
  session: OpenedSession
  /** Approval for this port alone; rejects with the words for the person while there is none. */
  approve(port: number, decision: AllowingDecision): Promise<{ until: Date }>
  now?: () => number
}

export interface PortGate {
  /** @throws GatewayError with the reason. */
  pass(port: number): Promise<PortGrant>
}

function keyOf({ kind, namespace = '', name, uid, digest }: PolicyRef): string {
  return [kind, namespace, name, uid, digest].join('/')
}

export function createPortGate(options: PortGateOptions): PortGate {
  const { deps, session } = options
  const { admission, access, user } = session
  const now = options.now ?? Date.now
  /** By the approval that opened the session, every demand of these policies is met. */
  const met = new Set(
    admission.decision.kind === 'requireApproval' ? admission.decision.policies.map(keyOf) : [],
  )
  const approved = new Map<string, number>()
  const asking = new Map<string, Promise<{ until: Date }>>()

  function isMet(decision: AllowingDecision): boolean {
    if (decision.kind === 'allow') return true
    return decision.approval.approvers.every(({ policy }) => met.has(keyOf(policy)))
  }

  /** Connections that come together ask together. */
  async function approve(key: string, port: number, decision: AllowingDecision): Promise<void> {
    let question = asking.get(key)
    if (question === undefined) {
      question = options.approve(port, decision)
      asking.set(key, question)
      const over = (): void => void asking.delete(key)
      question.then(over, over)
    }
    approved.set(key, (await question).until.getTime())
  }

  return {
    async pass(port) {
      const decision = decide(deps, user, { ...access, port }, admission)
      if (
        decision.obligations.content === 'Full' &&
        admission.decision.obligations.content !== 'Full'
      )
        throw new GatewayError(
          'Forbidden',
          `a policy that came meanwhile wants port ${port} recorded in full, which this session was not opened for; run kubectl port-forward again`,
          { id: 1051 },
        )
      if (!isMet(decision)) {
        const key = `${port} ${decision.policies.map(keyOf).join(' ')}`
        if ((approved.get(key) ?? 0) <= now()) await approve(key, port, decision)
      }
      return { policies: decision.policies }
    },
  }
}
