import { join } from 'node:path'

import { describe, expect, it } from '@jest/globals'

import { runApprove } from '../../../lib/cli/approve/command.ts'
import { createFakeIo } from '../../fakes/cli-io.ts'
import { buildRequest, condition, CY, decision, ONCALL } from '../../unit/cli/approve/requests.ts'
import { isClusterList, useDesk } from './desk.ts'

const desk = useDesk()

describe('kubectl approve NAME', () => {
  it('adds my decision as the API server sees me, and tells what the gateway made of it', async () => {
    desk.put({ decisions: [decision('cy', 'Approve', ['other'])], demands: [[ONCALL]] })
    desk.server.onPatched = desk.conclude('Approved')
    const { code, out, err } = await desk.approve('apreq-7k2', '--reason', 'INC-1234', '-n', 'shop')
    expect(out).toMatch(
      /^approvalrequest\.podgate\.dev\/apreq-7k2 approved\nana may exec into shop\/web-0 \(container main\) until .*\d\d:\d\d UTC \(in (29|30)m\)\n$/,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(desk.decisions()).toEqual([
      decision('cy', 'Approve', ['other']),
      {
        approver: 'bo',
        groups: ['oncall', 'system:authenticated'],
        verdict: 'Approve',
        reason: 'INC-1234',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
    ])
  })

  it('finds a request in another namespace than that of the context', async () => {
    desk.put({ namespace: 'prod' })
    desk.server.onPatched = desk.conclude('Approved')
    expect(await desk.approve('apreq/apreq-7k2')).toMatchObject({ code: 0 })
    expect(desk.decisions('apreq-7k2', 'prod')).toHaveLength(1)
  })

  it('does not look elsewhere with -n', async () => {
    desk.put({ namespace: 'prod' })
    expect(await desk.approve('apreq-7k2', '-n', 'shop')).toMatchObject({
      code: 1,
      err: 'Error from server (NotFound): approvalrequests.podgate.dev "apreq-7k2" not found\n',
    })
  })

  it('asks which of two is meant', async () => {
    desk.put({ namespace: 'prod' })
    desk.put({ namespace: 'shop' })
    const { code, err } = await desk.approve('apreq-7k2')
    expect(code).toBe(1)
    expect(err).toBe(
      'error: there is a apreq-7k2 in several namespaces (prod, shop); say which with -n\n',
    )
  })

  it('says what to do where only the namespace of the context may be searched', async () => {
    desk.put({ namespace: 'prod' })
    desk.forbid(isClusterList)
    const { code, err } = await desk.approve('apreq-7k2')
    expect(code).toBe(1)
    expect(err).toContain('It may be in another namespace than default; name that with -n.')
  })

  it('decides about several, and gives the code of the failure', async () => {
    desk.put({ name: 'a' })
    desk.put({ name: 'mine', requester: 'bo' })
    desk.put({ name: 'b' })
    const done: string[] = []
    desk.server.onPatched = (request) => {
      done.push(request.metadata.name)
      desk.server.put({
        ...request,
        status: {
          ...request.status,
          conditions: [{ ...condition('Approved'), lastTransitionTime: new Date().toISOString() }],
        },
      })
    }
    const { code, out, err } = await desk.approve('a', 'mine', 'b')
    expect(code).toBe(5)
    expect(out.match(/ approved\n/g)).toHaveLength(2)
    expect(err).toBe(
      'error: mine is your own request; somebody else has to decide it: group oncall\n',
    )
    expect(done).toEqual(['a', 'b'])
  })

  it('tries again when others wrote in between, and keeps what they wrote', async () => {
    desk.put()
    let conflicts = 0
    desk.server.intercept = (request) => {
      if (request.method === 'PATCH' && conflicts < 2) {
        conflicts += 1
        const held = desk.server.get('shop', 'apreq-7k2') ?? buildRequest()
        const others = [...(held.status?.decisions ?? []), decision(`x${conflicts}`, 'Approve', [])]
        desk.server.put({ ...held, status: { decisions: others } })
      }
      return false
    }
    desk.server.onPatched = desk.conclude('Approved')
    expect(await desk.approve('apreq-7k2')).toMatchObject({ code: 0 })
    expect(desk.decisions()).toMatchObject([
      { approver: 'x1' },
      { approver: 'x2' },
      { approver: 'bo' },
    ])
  })

  it('tells whose approval is still missing, without waiting for it', async () => {
    desk.put({ demands: [[ONCALL], [CY]] })
    const { code, out } = await desk.approve('apreq-7k2')
    expect(out).toBe(
      'approvalrequest.podgate.dev/apreq-7k2 approved by bo; it needs one more approval: user cy\n',
    )
    expect(code).toBe(0)
  })

  it('says with its own code that the gateway has not acted when the wait is over', async () => {
    desk.put()
    // Within this process, so that five seconds pass at once.
    const env = { KUBECONFIG: join(desk.place.folder, 'config') }
    const io = createFakeIo({ startMs: Date.now(), env })
    expect(await runApprove(['apreq-7k2'], io)).toBe(4)
    expect(io.sleeps[0]).toBe(5000)
    expect(io.out()).toBe(
      'approvalrequest.podgate.dev/apreq-7k2 approved by bo, but the gateway has not acted on it yet; see: kubectl approve show apreq-7k2\n',
    )
    expect(desk.decisions()).toHaveLength(1)
  })

  it('asks again and again where watching is not permitted', async () => {
    desk.put()
    desk.forbid((url) => url.searchParams.has('watch'))
    let reads = 0
    const inner = desk.server.intercept
    desk.server.intercept = (request, response, url) => {
      if (
        desk.server.onPatched === undefined &&
        url.pathname.endsWith('/apreq-7k2') &&
        ++reads === 2
      ) {
        desk.conclude('Approved')(desk.server.get('shop', 'apreq-7k2') ?? buildRequest())
      }
      return inner?.(request, response, url) === true
    }
    desk.server.onPatched = () => {
      desk.server.onPatched = undefined
    }
    expect(await desk.approve('apreq-7k2', '-n', 'shop')).toMatchObject({ code: 0 })
    expect(reads).toBeGreaterThanOrEqual(2)
  })

  it('tells that another denied first', async () => {
    desk.put()
    desk.server.onPatched = desk.conclude('Denied')
    const { code, out } = await desk.approve('apreq-7k2')
    expect(out).toBe('approvalrequest.podgate.dev/apreq-7k2 is denied: because\n')
    expect(code).toBe(1)
  })

  it('prints the object as the server holds it with -o json', async () => {
    desk.put()
    desk.server.onPatched = desk.conclude('Approved')
    const { out } = await desk.approve('apreq-7k2', '-o', 'json')
    expect(JSON.parse(out)).toEqual(desk.server.get('shop', 'apreq-7k2'))
  })
})

describe('kubectl approve deny', () => {
  it('denies with the reason', async () => {
    desk.put()
    desk.server.onPatched = desk.conclude('Denied')
    const { code, out } = await desk.approve('deny', 'apreq-7k2', '--reason', 'use the replica')
    expect(out).toBe('approvalrequest.podgate.dev/apreq-7k2 denied\n')
    expect(code).toBe(0)
    expect(desk.decisions()).toMatchObject([{ verdict: 'Deny', reason: 'use the replica' }])
  })
})
