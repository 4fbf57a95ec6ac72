/** Spending an approval, giving up, and what becomes of requests that nobody waits for. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually, settled } from '../../fakes/eventually.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import { MINUTE } from '../../unit/approval/fixtures.ts'
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

describe('consuming', () => {
  it('20 times at once, by two replicas, succeeds once', async () => {
    const other = under.replica()
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 ? under.desk : other).consume(ticket, `s-${n}`),
      ),
    )
    expect(results.map(({ state }) => state).sort()).toEqual([
      'Approved',
      ...Array.from({ length: 19 }, () => 'Consumed'),
    ])
    expect(under.conditions(ticket.name)).toEqual(['Approved', 'Consumed'])
    expect(under.ended.filter((state) => state === 'Consumed')).toHaveLength(1)
    const winner = results.findIndex(({ state }) => state === 'Approved')
    const [, note] = under.stored(ticket.name).status?.conditions ?? []
    expect(note?.message).toBe(`session s-${winner}`)
  })

  it.each([
    ['Pending', (): void => undefined],
    ['Denied', (name: string): void => under.decide(name, 'Deny')],
    [
      'Expired',
      (name: string): void => {
        under.decide(name)
        under.now += 61 * MINUTE
      },
    ],
  ])('gives no access to what is %s', async (state, prepare) => {
    const { ticket } = await under.ask()
    prepare(ticket.name)
    await expect(under.desk.consume(ticket, 's-1')).resolves.toMatchObject({ state })
    expect(under.conditions(ticket.name)).not.toContain('Consumed')
  })

  it('gives no access by a request that took the name of the one that was asked', async () => {
    const { ticket } = await under.ask()
    under.cluster.objects.remove(PLURAL, 'shop', ticket.name)
    await under.ask()
    under.decide(ticket.name)
    await expect(under.desk.consume(ticket, 's-1')).resolves.toEqual({ state: 'Revoked' })
  })

  it('gives no access by a request that was changed after it was asked', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    const request = under.stored(ticket.name)
    under.put({ ...request, spec: { ...request.spec, command: ['rm'] } })
    await expect(under.desk.consume(ticket, 's-1')).resolves.toEqual({ state: 'Revoked' })
  })

  it('takes a denial that comes between reading and writing for what it is', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    await eventually('Approved', () => under.conditions(ticket.name).includes('Approved'))
    let denied = false
    under.cluster.intercept = (request) => {
      if (request.method === 'PUT' && !denied) {
        denied = true
        under.decide(ticket.name, 'Deny', 'cy')
      }
      return false
    }
    await expect(under.desk.consume(ticket, 's-1')).resolves.toMatchObject({ state: 'Revoked' })
    expect(under.conditions(ticket.name)).not.toContain('Consumed')
  })

  it('gives up with a message when the request never stops changing', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    under.cluster.intercept = (request, response) => {
      if (request.method === 'PUT') refuse(response, 409, 'Conflict', 'changed')
      return request.method === 'PUT'
    }
    await expect(under.desk.consume(ticket, 's-1')).rejects.toMatchObject({
      reason: 'Conflict',
      id: 1017,
    })
  })
})

describe('withdrawing', () => {
  it('is final', async () => {
    const { ticket } = await under.ask()
    await under.desk.withdraw(ticket)
    expect(under.conditions(ticket.name)).toEqual(['Revoked'])
    under.decide(ticket.name)
    await expect(under.desk.consume(ticket, 's-1')).resolves.toMatchObject({ state: 'Revoked' })
  })

  it('comes too late when somebody has decided', async () => {
    const { ticket } = await under.ask()
    under.decide(ticket.name, 'Deny')
    await under.desk.withdraw(ticket)
    await eventually('Denied', () => under.conditions(ticket.name).includes('Denied'))
    expect(under.conditions(ticket.name)).toEqual(['Denied'])
  })
})

describe('the sweep', () => {
  it('writes down what became of requests that nobody waits for', async () => {
    const { ticket } = await under.ask()
    await settled(() => under.cluster.requests.length, 30)
    under.now += 31 * MINUTE
    await eventually('Expired', () => under.conditions(ticket.name).includes('Expired'))
    await eventually('it is counted', () => under.ended.length > 0)
    await settled(() => under.cluster.requests.length, 60)
    expect(under.ended).toEqual(['Expired'])
  })

  it('removes what has been over for a day, and nothing else', async () => {
    const { ticket } = await under.ask()
    const { ticket: open } = await under.ask({ command: ['other'] })
    under.decide(ticket.name, 'Deny')
    await eventually('Denied', () => under.conditions(ticket.name).includes('Denied'))
    under.now += 23 * 60 * MINUTE
    await settled(() => under.cluster.requests.length, 60)
    expect(under.cluster.objects.get(PLURAL, 'shop', ticket.name)).toBeDefined()
    under.now += 61 * MINUTE
    await eventually(
      'it is gone',
      () => under.cluster.objects.get(PLURAL, 'shop', ticket.name) === undefined,
    )
    // That one expired in the meantime and has its own day.
    expect(under.cluster.objects.get(PLURAL, 'shop', open.name)).toBeDefined()
  })

  it('of two replicas writes each end once', async () => {
    under.replica()
    const { ticket } = await under.ask()
    under.decide(ticket.name)
    await eventually('Approved', () => under.conditions(ticket.name).includes('Approved'))
    await settled(() => under.cluster.requests.length, 60)
    expect(under.ended).toEqual(['Approved'])
    expect(under.errors).toEqual([])
  })
})

it('close ends every request', async () => {
  under.desk.close()
  await eventually('no watch', () => under.cluster.watches.size === 0)
  const asked = await settled(() => under.cluster.requests.length, 80)
  expect(under.cluster.requests).toHaveLength(asked)
})
