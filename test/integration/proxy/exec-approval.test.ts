/** I9: an approval opens exactly the session it was given for, once. */
import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import type { ExecTarget } from '../../../lib/kube/dial-exec.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import { observe, type Observed } from '../../conformance/observe.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import {
  NEEDS_APPROVAL,
  pod,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import type { Person } from './people.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  under = await startGatewayUnderTest(ground, [policy('asks', NEEDS_APPROVAL)])
  under.cluster.requests.length = 0
})

afterEach(async () => {
  await under.close()
})

const SCRIPT: ExecTarget = {
  namespace: 'shop',
  pod: 'web-0',
  subresource: 'exec',
  container: 'main',
  command: ['cat', '/etc/customers'],
  stdin: false,
  stdout: true,
  stderr: true,
  tty: false,
}
const TERMINAL = { ...SCRIPT, command: ['sh'], stdin: true, tty: true, stderr: false }
const NO_SIGNAL = new AbortController().signal

interface Refusal {
  httpCode: number
  status: { message: string }
}

async function dial(
  target: ExecTarget = SCRIPT,
  person: Person = 'ana',
): Promise<StreamSession | Refusal> {
  return await under
    .kubectl(person)
    .dial(target, {}, NO_SIGNAL)
    .catch((error: unknown) => error as Refusal)
}

function isOpen(result: StreamSession | Refusal): result is StreamSession {
  return 'start' in result
}

function messageOf(result: StreamSession | Refusal): string {
  return isOpen(result) ? 'opened' : result.status.message
}

function requests(): ApprovalRequest[] {
  return under.cluster.objects.list('approvalrequests', 'shop') as unknown as ApprovalRequest[]
}

/** What `kubectl approve` does, as an approver. */
function decide(name: string, verdict: 'Approve' | 'Deny' = 'Approve', approver = 'bo'): void {
  const request = requests().find(({ metadata }) => metadata.name === name)
  if (request === undefined) throw new Error(`no request ${name}`)
  const decision = {
    approver,
    groups: ['oncall'],
    verdict,
    reason: 'INC-1',
    time: new Date().toISOString(),
  }
  const decisions = [...(request.status?.decisions ?? []), decision]
  under.cluster.objects.put('approvalrequests', {
    ...request,
    status: { ...request.status, decisions },
  })
}

function conditions(name: string): string[] {
  const request = requests().find(({ metadata }) => metadata.name === name)
  return (request?.status?.conditions ?? []).map(({ type }) => type).sort()
}

/** Asks as a script does and has the request approved. */
async function approved(target: ExecTarget = SCRIPT): Promise<string> {
  await dial(target)
  const name = requests()[0]?.metadata.name ?? ''
  decide(name)
  await eventually('Approved', () => conditions(name).includes('Approved'))
  return name
}

function dialled(): number {
  return under.cluster.seen(/\/exec\?/).length
}

describe('a script', () => {
  it('is refused at once, over both wires, and both attempts make one request', async () => {
    const refusal = await dial()
    expect(refusal).toMatchObject({ httpCode: 403 })
    expect(requests()).toHaveLength(1)
    const [request] = requests()
    expect(messageOf(refusal)).toMatch(
      new RegExp(`needs approval by group oncall: ${request?.metadata.name} is pending`),
    )
    expect(messageOf(refusal)).toContain(
      `kubectl wait --for=condition=Approved apreq/${request?.metadata.name} -n shop`,
    )
    expect(under.cluster.seen(/subjectaccessreviews$/)).toHaveLength(2)
    expect(request?.spec).toMatchObject({
      requester: { username: 'ana', groups: ['dev', 'staff'] },
      operation: 'Exec',
      command: ['cat', '/etc/customers'],
      target: { podUID: 'pod-1', container: 'main', image: 'web:1', cluster: 'cluster-1' },
    })
    expect([dialled(), under.store.sessions.size]).toEqual([0, 0])
  })

  it('runs once after the approval, and asks anew after that', async () => {
    const name = await approved()
    const session = await dial()
    expect(messageOf(session)).toBe('opened')
    expect(conditions(name)).toEqual(['Approved', 'Consumed'])
    const [record] = [...under.store.sessions.values()]
    expect(record?.approval).toMatchObject({
      name,
      approvers: [{ username: 'bo', reason: 'INC-1' }],
    })
    expect(messageOf(await dial())).toContain('is pending')
    expect(requests()).toHaveLength(2)
  })

  it('is refused with the words of the approver who denied', async () => {
    await dial()
    const name = requests()[0]?.metadata.name ?? ''
    decide(name, 'Deny')
    await eventually('Denied', () => conditions(name).includes('Denied'))
    // A denied request is over; the next attempt asks anew.
    expect(messageOf(await dial())).toContain('is pending')
    expect(dialled()).toBe(0)
  })
})

describe('single use', () => {
  it('of 20 parallel sessions on one approval exactly one opens', async () => {
    const name = await approved()
    const results = await Promise.all(Array.from({ length: 20 }, () => dial()))
    expect(results.filter(isOpen)).toHaveLength(1)
    expect(dialled()).toBe(1)
    expect(conditions(name)).toEqual(['Approved', 'Consumed'])
    for (const result of results) {
      if (!isOpen(result)) expect([403, 409]).toContain(result.httpCode)
    }
  })

  it('is used up by nothing that fails before the pod is dialled', async () => {
    const name = await approved()
    under.store.mode = 'refusing'
    expect(messageOf(await dial())).toContain('PODGATE-1012')
    expect(conditions(name)).toEqual(['Approved'])
    expect(dialled()).toBe(0)
  })
})

describe('an approval is not accepted for', () => {
  it.each<[string, Partial<ExecTarget>, Person]>([
    ['another argument', { command: ['cat', '/etc/shadow'] }, 'ana'],
    ['an argument more', { command: ['cat', '/etc/customers', '-A'] }, 'ana'],
    ['the same words cut elsewhere', { command: ['cat /etc/customers'] }, 'ana'],
    ['another container', { container: 'side' }, 'ana'],
    ['input as well', { stdin: true }, 'ana'],
    ['another person', {}, 'eve'],
  ])('%s', async (_name, changes, person) => {
    const containers = [
      { name: 'main', image: 'web:1' },
      { name: 'side', image: 'web:1' },
    ]
    under.cluster.objects.put('pods', pod('pod-1', { spec: { nodeName: 'n1', containers } }))
    const name = await approved()
    expect(messageOf(await dial({ ...SCRIPT, ...changes }, person))).toContain('is pending')
    expect(requests()).toHaveLength(2)
    expect(conditions(name)).toEqual(['Approved'])
    expect(dialled()).toBe(0)
  })

  it.each([
    ['another pod of the same name', pod('pod-2')],
    [
      'another image',
      pod('pod-1', { spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'web:2' }] } }),
    ],
  ])('%s', async (_name, other) => {
    await approved()
    under.cluster.objects.put('pods', other)
    expect(messageOf(await dial())).toContain('is pending')
    expect(dialled()).toBe(0)
  })

  it('other policies than it was given under', async () => {
    await approved()
    under.cluster.objects.put(
      'accesspolicies',
      policy('asks', { ...NEEDS_APPROVAL, match: { operations: ['Exec'] } }),
    )
    await eventually('the policy', () => under.policies.current()[0]?.operations.length === 1)
    expect(messageOf(await dial())).toContain('is pending')
    expect(dialled()).toBe(0)
  })

  it('an approver who is none', async () => {
    await dial()
    const name = requests()[0]?.metadata.name ?? ''
    decide(name, 'Approve', 'ana')
    await settled(() => conditions(name).length)
    expect(messageOf(await dial())).toContain('is pending')
  })

  it('a request that was changed behind its digest', async () => {
    const name = await approved({ ...SCRIPT, command: ['ls'] })
    const request = under.cluster.objects.get('approvalrequests', 'shop', name)
    if (request === undefined) throw new Error(`no request ${name}`)
    const spec = { ...(request.spec as object), command: ['cat', '/etc/customers'] }
    under.cluster.objects.put('approvalrequests', { ...request, spec })
    expect(messageOf(await dial({ ...SCRIPT, command: ['ls'] }))).not.toBe('opened')
    expect(messageOf(await dial())).not.toBe('opened')
    expect(dialled()).toBe(0)
  })
})

describe('with policies that may be out of date nothing is decided:', () => {
  it('503 at once when they are older than 15 s, and an answer again when they are not', async () => {
    const held: ServerResponse[] = []
    under.cluster.intercept = (_request, response, url) => {
      const isPolicies = url.pathname.endsWith('accesspolicies')
      if (isPolicies) held.push(response)
      return isPolicies
    }
    for (const response of under.cluster.watches) response.end()
    await eventually('hanging watches', () => held.length >= 2)
    under.clock.aheadMs = 14_000
    expect(await dial()).toMatchObject({ httpCode: 403 })
    under.clock.aheadMs = 16_000
    const { httpCode, status } = (await dial()) as Refusal
    expect([httpCode, status.message]).toEqual([503, expect.stringContaining('PODGATE-1016')])
    expect(dialled()).toBe(0)
    under.cluster.intercept = undefined
    for (const response of held) response.destroy()
    await eventually('fresh policies', () => under.policies.ageMs() < 1000)
    expect(await dial()).toMatchObject({ httpCode: 403 })
  })
})

async function waiting(): Promise<{ session: StreamSession; screen: Observed; name: string }> {
  const session = await dial(TERMINAL)
  if (!isOpen(session)) throw new Error(messageOf(session))
  const screen = observe(session)
  await screen.until(() => screen.text('stdout').includes('waiting for approval'))
  return { session, screen, name: requests()[0]?.metadata.name ?? '' }
}

describe('a terminal waits in the session', () => {
  it('until it is approved, and goes on without what was typed meanwhile', async () => {
    const { session, screen, name } = await waiting()
    expect(screen.text('stdout')).toMatch(
      /waiting for approval of apreq-\S+ by group oncall .*Ctrl-C cancels/,
    )
    session.write('stdin', Buffer.from('rm -rf /\n'))
    session.write('resize', Buffer.from('{"Width":80,"Height":24}'))
    expect(dialled()).toBe(0)
    const take = under.cluster.upgrade
    const dialling = Promise.withResolvers<void>()
    under.cluster.upgrade = async (socket, request, bytes) => {
      await dialling.promise
      await take(socket, request, bytes)
    }
    decide(name)
    await screen.until(() => screen.text('stdout').includes('approved by bo: "INC-1"'))
    session.write('stdin', Buffer.from('ls\n'))
    await eventually('it is dialled', () => dialled() === 1)
    dialling.resolve()
    await eventually('a leg to the pod', () => under.cluster.sessions.length === 1)
    const pods = observe(under.cluster.sessions[0] as StreamSession)
    await pods.until(() => pods.received('stdin') > 0)
    expect(pods.text('stdin')).toBe('ls\n')
    expect(pods.text('resize')).toBe('{"Width":80,"Height":24}\n')
    under.cluster.sessions[0]?.write('stdout', Buffer.from('file'))
    await screen.until(() => screen.text('stdout').endsWith('file'))
    expect(conditions(name)).toEqual(['Approved', 'Consumed'])
  })

  it('until it is denied, with the words of the approver', async () => {
    const { screen, name } = await waiting()
    decide(name, 'Deny')
    await screen.until(() => screen.closes.length > 0)
    expect(screen.text('error')).toMatch(/was denied by bo: \\"INC-1\\".*PODGATE-1005/)
    expect(dialled()).toBe(0)
  })

  it('until Ctrl-C, which withdraws the request', async () => {
    const { session, screen, name } = await waiting()
    session.write('stdin', Buffer.from('abc\x03'))
    await screen.until(() => screen.closes.length > 0)
    expect(screen.text('error')).toContain('PODGATE-1009')
    expect(conditions(name)).toEqual(['Revoked'])
    decide(name)
    await settled(() => dialled())
    expect(dialled()).toBe(0)
  })

  it('until it is closed, and then nothing runs, whoever approves', async () => {
    const { session, name } = await waiting()
    session.abort('window closed')
    await eventually('no stream', () => under.gateway.active === 0)
    decide(name)
    await eventually('Approved', () => conditions(name).includes('Approved'))
    expect(await settled(() => dialled())).toBe(0)
  })

  it('until the request is deleted', async () => {
    const { screen, name } = await waiting()
    under.cluster.objects.remove('approvalrequests', 'shop', name)
    await screen.until(() => screen.closes.length > 0)
    expect(screen.text('error')).toContain('PODGATE-1008')
  })

  it('until the gateway shuts down', async () => {
    const { screen } = await waiting()
    under.shutDown()
    await screen.until(() => screen.closes.length > 0)
    expect(screen.text('error')).toContain('PODGATE-1031')
    await under.gateway.drained()
  })

  it.each([
    ['the pod was replaced', (): void => void under.cluster.objects.put('pods', pod('pod-2'))],
    [
      'a policy denies it now',
      (): void =>
        void under.cluster.objects.put('accesspolicies', policy('no', { effect: 'Deny' })),
    ],
    [
      'the rights in the cluster were taken away',
      (): void => {
        under.cluster.allows = () => false
      },
    ],
  ])('and is refused after all when meanwhile %s', async (_name, change) => {
    const { screen, name } = await waiting()
    const before = under.policies.current().length
    change()
    if (_name.includes('policy')) {
      await eventually('the policy', () => under.policies.current().length > before)
    }
    decide(name)
    await screen.until(() => screen.closes.length > 0)
    expect(screen.text('error')).toContain('"status":"Failure"')
    expect(screen.text('stdout')).not.toContain('This session is recorded')
    expect(dialled()).toBe(0)
  })
})
