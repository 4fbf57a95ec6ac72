/** A desk in front of an API server with optimistic concurrency, and the people who decide. */
import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import type { Binding } from '../../../lib/approval/binding.ts'
import {
  createApprovalDesk,
  type ApprovalDesk,
  type ApprovalTicket,
  type ApprovalVerdict,
} from '../../../lib/approval/desk.ts'
import { createApiClient, type ApiClient } from '../../../lib/kube/api-client.ts'
import { eventually } from '../../fakes/eventually.ts'
import type { TestPki } from '../../fakes/scripted-api-server.ts'
import { ScriptedCluster } from '../../fakes/scripted-cluster.ts'
import { DEMAND, binding } from '../../unit/approval/fixtures.ts'

export const PLURAL = 'approvalrequests'

export class DeskUnderTest {
  now: number = Date.parse('2026-11-22T10:00:00Z')
  readonly errors: string[] = []
  readonly ended: string[] = []
  readonly cluster: ScriptedCluster
  readonly desk: ApprovalDesk
  readonly #client: ApiClient
  readonly #desks: ApprovalDesk[] = []

  private constructor(cluster: ScriptedCluster) {
    this.cluster = cluster
    this.#client = createApiClient(cluster.endpoint)
    this.desk = this.replica()
  }

  static async start(pki: TestPki): Promise<DeskUnderTest> {
    const under = new DeskUnderTest(await ScriptedCluster.start(pki))
    await under.desk.ready(AbortSignal.timeout(5000))
    await eventually('a watch', () => under.cluster.watches.size === 1)
    return under
  }

  /** One more, as of another process; closed with the others. */
  replica(): ApprovalDesk {
    const desk = createApprovalDesk({
      client: this.#client,
      now: () => this.now,
      sweepMs: 20,
      onError: (message) => void this.errors.push(message),
      onEnded: (state) => void this.ended.push(state),
    })
    this.#desks.push(desk)
    return desk
  }

  async ask(
    changes: Partial<Binding> = {},
    desk: ApprovalDesk = this.desk,
  ): Promise<{ ticket: ApprovalTicket; verdict: ApprovalVerdict }> {
    return await desk.ask({ ...binding(changes), demand: DEMAND })
  }

  stored(name: string): ApprovalRequest {
    const object = this.cluster.objects.get(PLURAL, 'shop', name)
    if (object === undefined) throw new Error(`no ${name}`)
    return object as unknown as ApprovalRequest
  }

  put(request: ApprovalRequest): void {
    this.cluster.objects.put(PLURAL, request)
  }

  decide(name: string, verdict: 'Approve' | 'Deny' = 'Approve', approver = 'bo'): void {
    const request = this.stored(name)
    const time = new Date(this.now).toISOString()
    const decision = { approver, groups: ['oncall'], verdict, reason: 'INC-1', time }
    const decisions = [...(request.status?.decisions ?? []), decision]
    this.put({ ...request, status: { ...request.status, decisions } })
  }

  conditions(name: string): string[] {
    return (this.stored(name).status?.conditions ?? []).map(({ type }) => type).sort()
  }

  async close(): Promise<void> {
    for (const desk of this.#desks) desk.close()
    this.#client.close()
    await this.cluster.stop()
  }
}
