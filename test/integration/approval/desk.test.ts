/** The desk against an API server with optimistic concurrency. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import {
  createApprovalDesk,
  type ApprovalDesk,
  type ApprovalTicket,
  type ApprovalVerdict,
} from '../../../lib/approval/desk.ts'
import { requestDigest, type Binding } from '../../../lib/approval/binding.ts'
import { requestName } from '../../../lib/approval/request-name.ts'
import { createApiClient, type ApiClient } from '../../../lib/kube/api-client.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import type { StoredObject } from '../../fakes/object-store.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { ScriptedCluster, refuse } from '../../fakes/scripted-cluster.ts'
import { DEMAND, MINUTE, binding } from '../../unit/approval/fixtures.ts'

const PLURAL = 'approvalrequests'
const NO_SIGNAL = new AbortController().signal

let pki: TestPki
let cluster: ScriptedCluster
let client: ApiClient
let desk: ApprovalDesk
let now: number
let errors: string[]
let ended: string[]

beforeAll(async () => {
  pki = await createTestPki()
})

function createDesk(): ApprovalDesk {
  // Held by this desk, so that late news of one test are none of the next.
  const [errorsOfThis, endedOfThis] = [errors, ended]
  return createApprovalDesk({
    client,
    now: () => now,
    sweepMs: 20,
    onError: (message) => void errorsOfThis.push(message),
    onEnded: (state) => void endedOfThis.push(state),
  })
}

beforeEach(async () => {
  now = Date.parse('2026-11-22T10:00:00Z')
  errors = []
  ended = []
  cluster = await ScriptedCluster.start(pki)
  client = createApiClient(cluster.endpoint)
  desk = createDesk()
  await desk.ready(AbortSignal.timeout(5000))
  await eventually('a watch', () => cluster.watches.size === 1)
})

afterEach(async () => {
  desk.close()
  client.close()
  await cluster.stop()
})

async function ask(
  changes: Partial<Binding> = {},
  from: ApprovalDesk = desk,
): Promise<{ ticket: ApprovalTicket; verdict: ApprovalVerdict }> {
  return await from.ask({ ...binding(changes), demand: DEMAND })
}

function stored(name: string): ApprovalRequest {
  const object = cluster.objects.get(PLURAL, 'shop', name)
  if (object === undefined) throw new Error(`no ${name}`)
  return object as unknown as ApprovalRequest
}

function put(request: ApprovalRequest): void {
  cluster.objects.put(PLURAL, request as unknown as StoredObject)
}

function decide(name: string, verdict: 'Approve' | 'Deny' = 'Approve', approver = 'bo'): void {
  const request = stored(name)
  const time = new Date(now).toISOString()
  const decision = { approver, groups: ['oncall'], verdict, reason: 'INC-1', time }
  const decisions = [...(request.status?.decisions ?? []), decision]
  put({ ...request, status: { ...request.status, decisions } })
}

function conditions(name: string): string[] {
  return (stored(name).status?.conditions ?? []).map(({ type }) => type).sort()
}

describe('asking', () => {
  it('twice for the same is one request', async () => {
    const first = await ask()
    const second = await ask()
    expect(second.ticket).toEqual(first.ticket)
    expect([first.verdict, second.verdict]).toEqual([{ state: 'Pending' }, { state: 'Pending' }])
    expect(cluster.objects.list(PLURAL)).toHaveLength(1)
    expect(first.ticket).toMatchObject({ namespace: 'shop', approvers: 'group oncall' })
  })

  it('20 times at once, by two replicas, is one request', async () => {
    const other = createDesk()
    try {
      const asked = await Promise.all(
        Array.from({ length: 20 }, (_, n) => ask({}, n % 2 === 0 ? desk : other)),
      )
      expect(new Set(asked.map(({ ticket }) => ticket.uid)).size).toBe(1)
      expect(cluster.objects.list(PLURAL)).toHaveLength(1)
    } finally {
      other.close()
    }
  })

  it.each<[string, Partial<Binding>]>([
    ['command', { command: ['sh', '-c', 'rm'] }],
    ['person', { requester: { username: 'eve', uid: 'u-2', groups: ['dev'] } }],
    ['pod', { target: { ...binding().target, podUID: 'p-2' } }],
    ['container', { target: { ...binding().target, container: 'side' } }],
    ['terminal', { tty: false }],
  ])('for another %s is another request', async (_name, changes) => {
    const first = await ask()
    const second = await ask(changes)
    expect(second.ticket.uid).not.toBe(first.ticket.uid)
    expect(cluster.objects.list(PLURAL)).toHaveLength(2)
  })

  it('again after an approval finds it approved', async () => {
    const { ticket } = await ask()
    decide(ticket.name)
    const { ticket: again, verdict } = await ask()
    expect(again.uid).toBe(ticket.uid)
    expect(verdict).toMatchObject({
      state: 'Approved',
      by: [{ username: 'bo', reason: 'INC-1' }],
      until: new Date(now + 30 * MINUTE),
    })
  })

  it.each(['Deny', 'Consumed', 'Expired'])(
    'again after it was over (%s) asks anew',
    async (how) => {
      const { ticket } = await ask()
      if (how === 'Deny') decide(ticket.name, 'Deny')
      if (how === 'Expired') now += 31 * MINUTE
      if (how === 'Consumed') {
        decide(ticket.name)
        await desk.consume(ticket, 's-1')
      }
      const again = await ask()
      expect(again.ticket.name).not.toBe(ticket.name)
      expect(again.verdict).toEqual({ state: 'Pending' })
    },
  )

  it('never joins a request of this name that asks for something else', async () => {
    const { ticket } = await ask()
    const request = stored(ticket.name)
    put({ ...request, spec: { ...request.spec, command: ['other'] } })
    const again = await ask()
    expect(again.ticket.name).not.toBe(ticket.name)
  })

  it('joins only what the API server has, not what a cache remembers', async () => {
    const { ticket } = await ask()
    cluster.intercept = (_request, _response, url) => url.searchParams.has('watch')
    for (const response of cluster.watches) response.destroy()
    cluster.objects.remove(PLURAL, 'shop', ticket.name)
    const again = await ask()
    expect(again.ticket.uid).not.toBe(ticket.uid)
    expect(again.ticket.name).toBe(ticket.name)
  })

  it('finds a free name by itself when many were used today, also right after a start', async () => {
    const digest = requestDigest(binding())
    const { ticket } = await ask()
    const request = stored(ticket.name)
    for (let generation = 0; generation < 15; generation += 1) {
      const name = requestName(digest, generation)
      const gone = { type: 'Expired' as const, status: 'True' as const, reason: 'X', message: '' }
      const at = { lastTransitionTime: new Date(now).toISOString() }
      const { uid: _uid, ...metadata } = { ...request.metadata, name }
      put({ ...request, metadata, status: { conditions: [{ ...gone, ...at }] } })
    }
    const fresh = createDesk()
    try {
      const again = await ask({}, fresh)
      expect(again.ticket.name).toBe(requestName(digest, 15))
    } finally {
      fresh.close()
    }
  })

  it('passes on why the API server takes no request', async () => {
    cluster.intercept = (request, response) => {
      if (request.method === 'POST') refuse(response, 403, 'Forbidden', 'quota')
      return request.method === 'POST'
    }
    await expect(ask()).rejects.toMatchObject({ httpCode: 403, message: 'quota' })
  })
})

describe('waiting', () => {
  it.each(['Approve', 'Deny'] as const)(
    'ends within 100 ms of the event that says %s',
    async (verdict) => {
      const { ticket } = await ask()
      const waited = desk.wait(ticket, 60_000, NO_SIGNAL)
      await settled(() => cluster.requests.length, 30)
      const startedAt = performance.now()
      decide(ticket.name, verdict)
      const result = await waited
      expect(performance.now() - startedAt).toBeLessThan(100)
      expect(result.state).toBe(verdict === 'Approve' ? 'Approved' : 'Denied')
    },
  )

  it('ends at once when the decision came before', async () => {
    const { ticket } = await ask()
    decide(ticket.name)
    await eventually('it is known', () => conditions(ticket.name).includes('Approved'))
    await settled(() => cluster.requests.length, 30)
    await expect(desk.wait(ticket, 60_000, NO_SIGNAL)).resolves.toMatchObject({ state: 'Approved' })
  })

  it('does not end by decisions that do not count', async () => {
    const { ticket } = await ask()
    const waited = desk.wait(ticket, 250, NO_SIGNAL)
    decide(ticket.name, 'Approve', 'ana')
    const request = stored(ticket.name)
    const forged = { approver: 'eve', groups: ['dev'], verdict: 'Approve' as const, time: 'x' }
    put({ ...request, status: { decisions: [...(request.status?.decisions ?? []), forged] } })
    await expect(waited).resolves.toEqual({ state: 'Pending' })
  })

  it.each([
    [
      'time',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await desk.wait(ticket, 20, NO_SIGNAL),
    ],
    [
      'signal',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await desk.wait(ticket, 60_000, AbortSignal.timeout(20)),
    ],
    [
      'signal that came before',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await desk.wait(ticket, 60_000, AbortSignal.abort()),
    ],
  ])('ends Pending by its %s', async (_name, wait) => {
    const { ticket } = await ask()
    await expect(wait(ticket)).resolves.toEqual({ state: 'Pending' })
  })

  it('ends when the request expires, and the request says so', async () => {
    const { ticket } = await ask()
    const waited = desk.wait(ticket, 60_000, NO_SIGNAL)
    now = ticket.expiresAt.getTime()
    await expect(waited).resolves.toEqual({ state: 'Expired' })
    await eventually('it is written down', () => conditions(ticket.name).includes('Expired'))
  })

  it('ends when the request is deleted', async () => {
    const { ticket } = await ask()
    const waited = desk.wait(ticket, 60_000, NO_SIGNAL)
    cluster.objects.remove(PLURAL, 'shop', ticket.name)
    await expect(waited).resolves.toEqual({ state: 'Revoked' })
  })

  it('is not confused by late news of an earlier request of the same name', async () => {
    const { ticket: earlier } = await ask()
    await settled(() => cluster.requests.length, 30)
    const held: (() => void)[] = []
    cluster.intercept = (_request, response, url) => {
      if (!url.searchParams.has('watch')) return false
      held.push(() => response.destroy())
      return true
    }
    for (const response of cluster.watches) response.end()
    await eventually('no watch gets through', () => held.length === 1)
    cluster.objects.remove(PLURAL, 'shop', earlier.name)
    const { ticket } = await ask()
    expect([ticket.name === earlier.name, ticket.uid === earlier.uid]).toEqual([true, false])
    const waited = desk.wait(ticket, 60_000, NO_SIGNAL)
    cluster.intercept = undefined
    for (const release of held) release()
    decide(ticket.name)
    await expect(waited).resolves.toMatchObject({ state: 'Approved' })
  })

  it('goes on over a restart of the API server', async () => {
    const { ticket } = await ask()
    const waited = desk.wait(ticket, 60_000, NO_SIGNAL)
    await cluster.stop()
    decide(ticket.name)
    await cluster.listen()
    await expect(waited).resolves.toMatchObject({ state: 'Approved' })
  })
})

describe('consuming', () => {
  it('20 times at once, by two replicas, succeeds once', async () => {
    const other = createDesk()
    try {
      const { ticket } = await ask()
      decide(ticket.name)
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          (n % 2 === 0 ? desk : other).consume(ticket, `s-${n}`),
        ),
      )
      expect(results.map(({ state }) => state).sort()).toEqual([
        'Approved',
        ...Array.from({ length: 19 }, () => 'Consumed'),
      ])
      expect(conditions(ticket.name)).toEqual(['Approved', 'Consumed'])
      expect(ended.filter((state) => state === 'Consumed')).toHaveLength(1)
      const winner = results.findIndex(({ state }) => state === 'Approved')
      const [, note] = stored(ticket.name).status?.conditions ?? []
      expect(note?.message).toBe(`session s-${winner}`)
    } finally {
      other.close()
    }
  })

  it.each([
    ['Pending', (): void => undefined],
    ['Denied', (name: string): void => decide(name, 'Deny')],
    [
      'Expired',
      (name: string): void => {
        decide(name)
        now += 61 * MINUTE
      },
    ],
  ])('gives no access to what is %s', async (state, prepare) => {
    const { ticket } = await ask()
    prepare(ticket.name)
    await expect(desk.consume(ticket, 's-1')).resolves.toMatchObject({ state })
    expect(conditions(ticket.name)).not.toContain('Consumed')
  })

  it('gives no access by a request that took the name of the one that was asked', async () => {
    const { ticket } = await ask()
    cluster.objects.remove(PLURAL, 'shop', ticket.name)
    await ask()
    decide(ticket.name)
    await expect(desk.consume(ticket, 's-1')).resolves.toEqual({ state: 'Revoked' })
  })

  it('gives no access by a request that was changed after it was asked', async () => {
    const { ticket } = await ask()
    decide(ticket.name)
    const request = stored(ticket.name)
    put({ ...request, spec: { ...request.spec, command: ['rm'] } })
    await expect(desk.consume(ticket, 's-1')).resolves.toEqual({ state: 'Revoked' })
  })

  it('takes a denial that comes between reading and writing for what it is', async () => {
    const { ticket } = await ask()
    decide(ticket.name)
    await eventually('Approved', () => conditions(ticket.name).includes('Approved'))
    let denied = false
    cluster.intercept = (request) => {
      if (request.method === 'PUT' && !denied) {
        denied = true
        decide(ticket.name, 'Deny', 'cy')
      }
      return false
    }
    await expect(desk.consume(ticket, 's-1')).resolves.toMatchObject({ state: 'Revoked' })
    expect(conditions(ticket.name)).not.toContain('Consumed')
  })

  it('gives up with a message when the request never stops changing', async () => {
    const { ticket } = await ask()
    decide(ticket.name)
    cluster.intercept = (request, response) => {
      if (request.method === 'PUT') refuse(response, 409, 'Conflict', 'changed')
      return request.method === 'PUT'
    }
    await expect(desk.consume(ticket, 's-1')).rejects.toMatchObject({
      reason: 'Conflict',
      id: 1017,
    })
  })
})

describe('withdrawing', () => {
  it('is final', async () => {
    const { ticket } = await ask()
    await desk.withdraw(ticket)
    expect(conditions(ticket.name)).toEqual(['Revoked'])
    decide(ticket.name)
    await expect(desk.consume(ticket, 's-1')).resolves.toMatchObject({ state: 'Revoked' })
  })

  it('comes too late when somebody has decided', async () => {
    const { ticket } = await ask()
    decide(ticket.name, 'Deny')
    await desk.withdraw(ticket)
    await eventually('Denied', () => conditions(ticket.name).includes('Denied'))
    expect(conditions(ticket.name)).toEqual(['Denied'])
  })
})

describe('the sweep', () => {
  it('writes down what became of requests that nobody waits for', async () => {
    const { ticket } = await ask()
    await settled(() => cluster.requests.length, 30)
    now += 31 * MINUTE
    await eventually('Expired', () => conditions(ticket.name).includes('Expired'))
    await eventually('it is counted', () => ended.length > 0)
    await settled(() => cluster.requests.length, 60)
    expect(ended).toEqual(['Expired'])
  })

  it('removes what has been over for a day, and nothing else', async () => {
    const { ticket } = await ask()
    const { ticket: open } = await ask({ command: ['other'] })
    decide(ticket.name, 'Deny')
    await eventually('Denied', () => conditions(ticket.name).includes('Denied'))
    now += 23 * 60 * MINUTE
    await settled(() => cluster.requests.length, 60)
    expect(cluster.objects.get(PLURAL, 'shop', ticket.name)).toBeDefined()
    now += 61 * MINUTE
    await eventually(
      'it is gone',
      () => cluster.objects.get(PLURAL, 'shop', ticket.name) === undefined,
    )
    // That one expired in the meantime and has its own day.
    expect(cluster.objects.get(PLURAL, 'shop', open.name)).toBeDefined()
  })

  it('of two replicas writes each end once', async () => {
    const other = createDesk()
    try {
      const { ticket } = await ask()
      decide(ticket.name)
      await eventually('Approved', () => conditions(ticket.name).includes('Approved'))
      await settled(() => cluster.requests.length, 60)
      expect(ended).toEqual(['Approved'])
      expect(errors).toEqual([])
    } finally {
      other.close()
    }
  })
})

it('close ends every request', async () => {
  desk.close()
  await eventually('no watch', () => cluster.watches.size === 0)
  const asked = await settled(() => cluster.requests.length, 80)
  expect(cluster.requests).toHaveLength(asked)
})
