/** Asking for an approval, and waiting for it. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { requestDigest, type Binding } from '../../../lib/approval/binding.ts'
import type { ApprovalTicket, ApprovalVerdict } from '../../../lib/approval/desk.ts'
import { requestName } from '../../../lib/approval/request-name.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import { MINUTE, binding } from '../../unit/approval/fixtures.ts'
import { DeskUnderTest, PLURAL } from './desk-under-test.ts'

let pki: TestPki
let under: DeskUnderTest

beforeAll(async () => {
  pki = await createTestPki()
})

beforeEach(async () => {
  under = await DeskUnderTest.start(pki)
})

afterEach(async () => {
  await under.close()
})

const NO_SIGNAL = new AbortController().signal

describe('asking', () => {
  it('twice for the same is one request', async () => {
    const first = await under.ask()
    const second = await under.ask()
    expect(second.ticket).toEqual(first.ticket)
    expect([first.verdict, second.verdict]).toEqual([{ state: 'Pending' }, { state: 'Pending' }])
    expect(under.cluster.objects.list(PLURAL)).toHaveLength(1)
    expect(first.ticket).toMatchObject({ namespace: 'shop', approvers: 'group oncall' })
  })

  it('20 times at once, by two replicas, is one request', async () => {
    const other = under.replica()
    const asked = await Promise.all(
      Array.from({ length: 20 }, (_, n) => under.ask({}, n % 2 === 0 ? under.desk : other)),
    )
    expect(new Set(asked.map(({ ticket }) => ticket.uid)).size).toBe(1)
    expect(under.cluster.objects.list(PLURAL)).toHaveLength(1)
  })

  it.each<[string, Partial<Binding>]>([
    ['command', { command: ['sh', '-c', 'rm'] }],
    ['person', { requester: { username: 'eve', uid: 'u-2', groups: ['dev'] } }],
    ['pod', { target: { ...binding().target, podUID: 'p-2' } }],
    ['container', { target: { ...binding().target, container: 'side' } }],
    ['terminal', { tty: false }],
  ])('for another %s is another request', async (_name, changes) => {
    const first = await under.ask()
    const second = await under.ask(changes)
    expect(second.ticket.uid).not.toBe(first.ticket.uid)
    expect(under.cluster.objects.list(PLURAL)).toHaveLength(2)
  })

  it('again after an approval finds it approved', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    const { ticket: again, verdict } = await under.ask()
    expect(again.uid).toBe(ticket.uid)
    expect(verdict).toMatchObject({
      state: 'Approved',
      by: [{ username: 'bo', reason: 'INC-1' }],
      until: new Date(under.now + 30 * MINUTE),
    })
  })

  it.each(['Deny', 'Consumed', 'Expired'])(
    'again after it was over (%s) asks anew',
    async (how) => {
      const { ticket } = await under.ask()
      if (how === 'Deny') under.decide(ticket.name, 'Deny')
      if (how === 'Expired') under.now += 31 * MINUTE
      if (how === 'Consumed') {
        under.decide(ticket.name)
        await under.desk.consume(ticket, 's-1')
      }
      const again = await under.ask()
      expect(again.ticket.name).not.toBe(ticket.name)
      expect(again.verdict).toEqual({ state: 'Pending' })
    },
  )

  it('never joins a request of this name that asks for something else', async () => {
    const { ticket } = await under.ask()
    const request = under.stored(ticket.name)
    under.put({ ...request, spec: { ...request.spec, command: ['other'] } })
    const again = await under.ask()
    expect(again.ticket.name).not.toBe(ticket.name)
  })

  it('joins only what the API server has, not what a cache remembers', async () => {
    const { ticket } = await under.ask()
    under.cluster.intercept = (_request, _response, url) => url.searchParams.has('watch')
    for (const response of under.cluster.watches) response.destroy()
    under.cluster.objects.remove(PLURAL, 'shop', ticket.name)
    const again = await under.ask()
    expect(again.ticket.uid).not.toBe(ticket.uid)
    expect(again.ticket.name).toBe(ticket.name)
  })

  it('finds a free name by itself when many were used today, also right after a start', async () => {
    const digest = requestDigest(binding())
    const { ticket } = await under.ask()
    const request = under.stored(ticket.name)
    for (let generation = 0; generation < 15; generation += 1) {
      const name = requestName(digest, generation)
      const gone = { type: 'Expired' as const, status: 'True' as const, reason: 'X', message: '' }
      const at = { lastTransitionTime: new Date(under.now).toISOString() }
      const { uid: _uid, ...metadata } = { ...request.metadata, name }
      under.put({ ...request, metadata, status: { conditions: [{ ...gone, ...at }] } })
    }
    const fresh = under.replica()
    const again = await under.ask({}, fresh)
    expect(again.ticket.name).toBe(requestName(digest, 15))
  })

  it('passes on why the API server takes no request', async () => {
    under.cluster.intercept = (request, response) => {
      if (request.method === 'POST') refuse(response, 403, 'Forbidden', 'quota')
      return request.method === 'POST'
    }
    await expect(under.ask()).rejects.toMatchObject({ httpCode: 403, message: 'quota' })
  })
})

describe('waiting', () => {
  it.each(['Approve', 'Deny'] as const)(
    'ends within 100 ms of the event that says %s',
    async (verdict) => {
      const { ticket } = await under.ask()
      const waited = under.desk.wait(ticket, 60_000, NO_SIGNAL)
      await settled(() => under.cluster.requests.length, 30)
      const startedAt = performance.now()
      under.decide(ticket.name, verdict)
      const result = await waited
      expect(performance.now() - startedAt).toBeLessThan(100)
      expect(result.state).toBe(verdict === 'Approve' ? 'Approved' : 'Denied')
    },
  )

  it('ends at once when the decision came before', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    await eventually('it is known', () => under.conditions(ticket.name).includes('Approved'))
    await settled(() => under.cluster.requests.length, 30)
    await expect(under.desk.wait(ticket, 60_000, NO_SIGNAL)).resolves.toMatchObject({
      state: 'Approved',
    })
  })

  it('does not end by decisions that do not count', async () => {
    const { ticket } = await under.ask()
    const waited = under.desk.wait(ticket, 250, NO_SIGNAL)
    under.decide(ticket.name, 'Approve', 'ana')
    const request = under.stored(ticket.name)
    const forged = { approver: 'eve', groups: ['dev'], verdict: 'Approve' as const, time: 'x' }
    under.put({ ...request, status: { decisions: [...(request.status?.decisions ?? []), forged] } })
    await expect(waited).resolves.toEqual({ state: 'Pending' })
  })

  it.each([
    [
      'time',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await under.desk.wait(ticket, 20, NO_SIGNAL),
    ],
    [
      'signal',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await under.desk.wait(ticket, 60_000, AbortSignal.timeout(20)),
    ],
    [
      'signal that came before',
      async (ticket: ApprovalTicket): Promise<ApprovalVerdict> =>
        await under.desk.wait(ticket, 60_000, AbortSignal.abort()),
    ],
  ])('ends Pending by its %s', async (_name, wait) => {
    const { ticket } = await under.ask()
    await expect(wait(ticket)).resolves.toEqual({ state: 'Pending' })
  })

  it('ends when the request expires, and the request says so', async () => {
    const { ticket } = await under.ask()
    const waited = under.desk.wait(ticket, 60_000, NO_SIGNAL)
    under.now = ticket.expiresAt.getTime()
    await expect(waited).resolves.toEqual({ state: 'Expired' })
    await eventually('it is written down', () => under.conditions(ticket.name).includes('Expired'))
  })

  it('ends when the request is deleted', async () => {
    const { ticket } = await under.ask()
    const waited = under.desk.wait(ticket, 60_000, NO_SIGNAL)
    under.cluster.objects.remove(PLURAL, 'shop', ticket.name)
    await expect(waited).resolves.toEqual({ state: 'Revoked' })
  })

  it('is not confused by late news of an earlier request of the same name', async () => {
    const { ticket: earlier } = await under.ask()
    await settled(() => under.cluster.requests.length, 30)
    const held: (() => void)[] = []
    under.cluster.intercept = (_request, response, url) => {
      if (!url.searchParams.has('watch')) return false
      held.push(() => response.destroy())
      return true
    }
    for (const response of under.cluster.watches) response.end()
    await eventually('no watch gets through', () => held.length === 1)
    under.cluster.objects.remove(PLURAL, 'shop', earlier.name)
    const { ticket } = await under.ask()
    expect([ticket.name === earlier.name, ticket.uid === earlier.uid]).toEqual([true, false])
    const waited = under.desk.wait(ticket, 60_000, NO_SIGNAL)
    under.cluster.intercept = undefined
    for (const release of held) release()
    under.decide(ticket.name)
    await expect(waited).resolves.toMatchObject({ state: 'Approved' })
  })

  it('goes on over a restart of the API server', async () => {
    const { ticket } = await under.ask()
    const waited = under.desk.wait(ticket, 60_000, NO_SIGNAL)
    await under.cluster.stop()
    under.decide(ticket.name)
    await under.cluster.listen()
    await expect(waited).resolves.toMatchObject({ state: 'Approved' })
  })
})
