/** Logs that are not shown: not allowed, not yet approved, or refused by the cluster itself. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import { eventually } from '../../fakes/eventually.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import { askGateway } from './ask-gateway.ts'
import { NEEDS_APPROVAL, pod, policy, prepareGround, type Ground } from './gateway-under-test.ts'
import { LOGS, LogBed, messageOf, nextChunk } from './log-bed.ts'

let ground: Ground
let bed: LogBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  bed = await LogBed.start(ground)
})

afterEach(async () => {
  await bed.under.close()
})

describe('refused, with nothing dialled:', () => {
  it.each([
    { name: 'another method', method: 'POST', code: 405, says: 'PODGATE-1202' },
    { name: 'HEAD', method: 'HEAD', code: 405, says: '' },
    { name: 'a wrong parameter', query: '?tailLines=x', code: 400, says: 'PODGATE-1011' },
    {
      name: 'a wrong container',
      query: '?container=nope',
      code: 400,
      says: 'container nope is not valid for pod web-0',
    },
  ])('$name', async ({ method, query, code, says: words }) => {
    const answer = await bed.ask(query, method === undefined ? {} : { method })
    expect(answer.code).toBe(code)
    if (words !== '') expect(messageOf(answer)).toContain(words)
    if (code === 405) expect(answer.headers['allow']).toBe('GET')
    expect(bed.asked()).toEqual([])
    expect(bed.under.store.sessions.size).toBe(0)
  })

  it('a pod that is not there, in the API server’s own words', async () => {
    const path = '/api/v1/namespaces/shop/pods/web-9/log'
    const answer = await askGateway(bed.under, ground, path)
    expect([answer.code, messageOf(answer)]).toEqual([404, 'pods "web-9" not found'])
  })

  it('several containers and none named, in the API server’s words', async () => {
    const spec = {
      nodeName: 'n1',
      containers: [{ name: 'main' }, { name: 'side' }],
      initContainers: [{ name: 'init' }],
    }
    bed.under.cluster.objects.put('pods', pod('pod-1', { spec }))
    expect(messageOf(await bed.ask())).toContain(
      'a container name must be specified for pod web-0, choose one of: [init main side]',
    )
  })

  it('who may not get pods/log in the cluster itself', async () => {
    bed.under.cluster.allows = (_user, { verb, subresource }) =>
      verb !== 'get' || subresource !== 'log'
    const answer = await bed.ask()
    expect([answer.code, messageOf(answer)]).toEqual([
      403,
      expect.stringContaining('User "ana" cannot get resource "pods/log"'),
    ])
    expect(bed.asked()).toEqual([])
  })

  it('who may exec, but has no policy for logs', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { match: { operations: ['Exec'] } }),
    )
    await eventually('the policy', () => bed.under.policies.current()[0]?.operations[0] === 'Exec')
    const answer = await bed.ask()
    expect([answer.code, messageOf(answer)]).toEqual([403, expect.stringContaining('PODGATE-1002')])
    expect(bed.asked()).toEqual([])
    expect(await bed.under.metrics.registry.metrics()).toMatch(
      /podgate_admission_decisions_total\{decision="deny",operation="Logs"\} 1/,
    )
  })

  it('while the store is away', async () => {
    bed.under.store.mode = 'refusing'
    const answer = await bed.ask()
    expect([answer.code, messageOf(answer)]).toEqual([503, expect.stringContaining('PODGATE-1012')])
    expect(bed.asked()).toEqual([])
  })
})

describe('approval', () => {
  beforeEach(async () => {
    bed.under.cluster.objects.put('accesspolicies', policy('logs', { ...LOGS, ...NEEDS_APPROVAL }))
    await eventually('the policy', () => bed.under.policies.current()[0]?.approval !== undefined)
  })

  function requests(): ApprovalRequest[] {
    return bed.under.cluster.objects.list(
      'approvalrequests',
      'shop',
    ) as unknown as ApprovalRequest[]
  }

  async function approve(): Promise<void> {
    const [request] = bed.under.cluster.objects.list('approvalrequests', 'shop')
    if (request === undefined) throw new Error('no request')
    const decision = {
      approver: 'bo',
      groups: ['oncall'],
      verdict: 'Approve',
      reason: 'INC-1',
      time: new Date().toISOString(),
    }
    bed.under.cluster.objects.put('approvalrequests', {
      ...(request as ApprovalRequest),
      status: { decisions: [decision] },
    })
    await eventually('Approved', () =>
      (requests()[0]?.status?.conditions ?? []).some(({ type }) => type === 'Approved'),
    )
  }

  it('is asked for in words, and opens the same log once', async () => {
    bed.says('worth it\n')
    const pending = await bed.ask('?tailLines=5')
    expect([pending.code, messageOf(pending)]).toEqual([
      403,
      expect.stringMatching(/needs approval by group oncall: .* kubectl wait --for=.*PODGATE-1004/),
    ])
    expect(requests()[0]?.spec).toMatchObject({ operation: 'Logs', command: ['--tail=5'] })
    await approve()
    expect((await bed.ask('?tailLines=5')).body.toString()).toBe('worth it\n')
    expect((await bed.ask('?tailLines=5')).code).toBe(403)
  })

  it('has an end, and with it the log that is followed', async () => {
    const approval = { ...NEEDS_APPROVAL.approval, mode: 'Session' as const, validFor: '3s' }
    bed.under.cluster.objects.put('accesspolicies', policy('logs', { ...LOGS, approval }))
    await eventually(
      'the policy',
      () => bed.under.policies.current()[0]?.approval?.validForMs === 3000,
    )
    await bed.ask('?follow=true')
    await approve()
    const writing = bed.live()
    const response = await bed.follow()
    const broken = once(response, 'aborted')
    const log = await writing
    log.write('until then\n')
    expect(await nextChunk(response)).toBe('until then\n')
    await broken
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'Expired',
      message: expect.stringContaining('the approved time is over'),
      bytes: { stdout: 11 },
    })
    await eventually('upstream is closed', () => log.destroyed)
  })

  it('of another log is not this one’s', async () => {
    bed.says('worth it\n')
    await bed.ask('?tailLines=5')
    await approve()
    expect((await bed.ask('?tailLines=6')).code).toBe(403)
    expect(bed.asked()).toEqual([])
  })
})

describe('what the API server answers', () => {
  it('passes in its own words when it is a refusal', async () => {
    const words = 'container "main" in pod "web-0" is waiting to start: ContainerCreating'
    bed.node((response) => refuse(response, 400, 'BadRequest', words))
    const answer = await bed.ask()
    expect([answer.code, messageOf(answer)]).toEqual([400, words])
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed', message: words })
  })

  it.each([
    [
      'a redirect is not followed',
      (response: ServerResponse) => response.writeHead(302, { location: 'https://x/' }).end(),
      'PODGATE-1506',
    ],
    [
      'a compressed log is not passed on unmasked',
      (response: ServerResponse) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'PODGATE-1507',
    ],
    ['no answer is told as such', (response: ServerResponse) => response.destroy(), 'PODGATE-1503'],
  ])('%s', async (_name, answer, words) => {
    bed.node(answer)
    expect(messageOf(await bed.ask())).toContain(words)
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Refused' })
  })

  it('nothing of it is shown when the pod was replaced meanwhile', async () => {
    bed.node((response) => {
      bed.under.cluster.objects.put('pods', pod('pod-2'))
      response.end('of another pod')
    })
    const answer = await bed.ask()
    expect([answer.code, messageOf(answer)]).toEqual([409, expect.stringContaining('PODGATE-1032')])
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Refused', bytes: { stdout: 0 } })
  })
})
