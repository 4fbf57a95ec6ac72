/** Attaching to what kubectl debug has made belongs to the decision by which it was made. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import { observe } from '../../conformance/observe.ts'
import { eventually } from '../../fakes/eventually.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import { serveDebugging } from './debug-cluster.ts'
import {
  NEEDS_APPROVAL,
  POD_PATH,
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

afterEach(async () => {
  await under.close()
})

const DEBUG: Partial<AccessPolicy['spec']> = { match: { operations: ['Debug'] } }

async function start(...policies: AccessPolicy[]): Promise<void> {
  under = await startGatewayUnderTest(ground, policies)
  serveDebugging(under.cluster)
}

async function debug(name: string, image = 'busybox:1'): Promise<Answered> {
  const body = { spec: { ephemeralContainers: [{ name, image, stdin: true, tty: true }] } }
  return await askGateway(
    under,
    ground,
    `${POD_PATH}/ephemeralcontainers`,
    { method: 'PATCH', headers: { 'content-type': 'application/strategic-merge-patch+json' } },
    Buffer.from(JSON.stringify(body)),
  )
}

function messageOf({ body }: Answered): string {
  return (JSON.parse(body.toString()) as { message?: string }).message ?? 'done'
}

interface Attached {
  words: string
  record: SessionDocument | undefined
}

/** Ends at once what it opens. */
async function attach(
  container: string,
  person: Person = 'ana',
  podName = 'web-0',
): Promise<Attached> {
  const known = new Set(under.store.sessions.keys())
  const target = {
    namespace: 'shop',
    pod: podName,
    subresource: 'attach' as const,
    container,
    command: [],
    stdin: false,
    stdout: true,
    stderr: true,
    tty: false,
  }
  const opened: StreamSession | { status?: { message?: string } } = await under
    .kubectl(person)
    .dial(target, {}, new AbortController().signal)
    .catch((error: unknown) => error as { status?: { message?: string } })
  if (!('start' in opened)) return { words: opened.status?.message ?? '', record: undefined }
  opened.abort('test over')
  const fresh = (): SessionDocument | undefined =>
    [...under.store.sessions.values()].find(({ _id }) => !known.has(_id))
  await eventually('the record', () => fresh() !== undefined)
  return { words: 'opened', record: fresh() }
}

function made(): SessionDocument {
  const found = [...under.store.sessions.values()].find(({ end }) => end?.created !== undefined)
  if (found === undefined) throw new Error('nothing was made')
  return found
}

function requests(): ApprovalRequest[] {
  return under.cluster.objects.list('approvalrequests', 'shop') as unknown as ApprovalRequest[]
}

async function approve(): Promise<string> {
  const request = requests().find(({ status }) => (status?.decisions ?? []).length === 0)
  if (request === undefined) throw new Error('nothing to approve')
  const decision = {
    approver: 'bo',
    groups: ['oncall'],
    verdict: 'Approve' as const,
    reason: 'INC-1',
    time: new Date().toISOString(),
  }
  under.cluster.objects.put('approvalrequests', { ...request, status: { decisions: [decision] } })
  const { name } = request.metadata
  await eventually('Approved', () =>
    requests().some(
      ({ metadata, status }) =>
        metadata.name === name && status?.conditions?.some(({ type }) => type === 'Approved'),
    ),
  )
  return name
}

/** Asks, has it approved, and asks again, as kubectl does: with another name each time. */
async function debugApproved(): Promise<string> {
  expect(messageOf(await debug('debugger-11111'))).toContain('PODGATE-1004')
  const name = await approve()
  expect(messageOf(await debug('debugger-22222'))).toBe('done')
  return name
}

describe('without an approval', () => {
  beforeEach(async () => {
    await start(policy('debugs', DEBUG))
  })

  it('the maker joins as Debug, by the same decision', async () => {
    await debug('debugger-1')
    const { words, record } = await attach('debugger-1')
    expect(words).toBe('opened')
    expect(record).toMatchObject({
      operation: 'Debug',
      parent: made()._id,
      target: { container: 'debugger-1', podUID: 'pod-1' },
      debug: { image: 'busybox:1', digest: made().debug?.digest },
    })
  })

  it('somebody else is decided on for themselves', async () => {
    await debug('debugger-1')
    const { record } = await attach('debugger-1', 'eve')
    expect(record).toMatchObject({ operation: 'Debug', user: { username: 'eve' } })
    expect(record?.parent).toBeUndefined()
    const stranger = await attach('debugger-1', 'bo')
    expect(stranger.words).toContain('PODGATE-1002')
  })

  it('a debug container that came another way is decided on as Debug all the same', async () => {
    const { spec } = pod('pod-1')
    const ephemeralContainers = [{ name: 'foreign', image: 'sh:1' }]
    under.cluster.objects.put(
      'pods',
      pod('pod-1', { spec: { ...(spec as object), ephemeralContainers } }),
    )
    const { record } = await attach('foreign')
    expect(record).toMatchObject({ operation: 'Debug', debug: { image: 'sh:1' } })
    expect(record?.parent).toBeUndefined()
  })

  it('an ordinary container is no debug container: Attach is not allowed here', async () => {
    expect((await attach('main')).words).toMatch(/to attach to shop\/web-0 .*PODGATE-1002/)
  })

  it('a pod that is replaced while the decision is made is not joined', async () => {
    await debug('debugger-1')
    const { intercept } = under.cluster
    // At both of kubectl's tries.
    let reads = 0
    under.cluster.intercept = (request, response, url) => {
      if (request.method === 'GET' && url.pathname === POD_PATH && ++reads % 2 === 0) {
        const { spec } = under.cluster.objects.get('pods', 'shop', 'web-0') ?? {}
        under.cluster.objects.put('pods', pod(`pod-${reads}`, { spec }))
      }
      return intercept?.(request, response, url) ?? false
    }
    expect((await attach('debugger-1')).words).toContain('PODGATE-1032')
  })
})

describe('with an approval', () => {
  beforeEach(async () => {
    await start(policy('asks', { ...DEBUG, ...NEEDS_APPROVAL }))
  })

  it('one is enough: for the second try, and for the attach that follows', async () => {
    const name = await debugApproved()
    expect(requests()).toHaveLength(1)
    expect(made().approval).toMatchObject({ name, approvers: [{ username: 'bo' }] })
    const { words, record } = await attach('debugger-22222')
    expect(words).toBe('opened')
    expect(record).toMatchObject({ parent: made()._id, approval: made().approval })
    expect(requests()).toHaveLength(1)
  })

  it('is asked for anew for another image', async () => {
    await debug('debugger-1')
    await approve()
    expect(messageOf(await debug('debugger-2', 'evil:1'))).toContain('PODGATE-1004')
    expect(requests()).toHaveLength(2)
    expect(messageOf(await debug('debugger-3'))).toBe('done')
  })

  it('is asked for anew by the next one, since the first is spent', async () => {
    await debugApproved()
    expect(messageOf(await debug('debugger-33333'))).toContain('PODGATE-1004')
  })

  it('is asked for anew when its time is over', async () => {
    await debugApproved()
    const parent = made()
    const approval = { ...parent.approval, until: new Date(Date.now() - 1) }
    under.store.sessions.set(parent._id, { ...parent, approval } as SessionDocument)
    expect((await attach('debugger-22222')).words).toContain('PODGATE-1004')
  })

  it('is asked for anew when a policy has changed', async () => {
    await debugApproved()
    const [before] = under.policies.current()
    const spec = {
      ...DEBUG,
      ...NEEDS_APPROVAL,
      containers: undefined,
      masking: { detectors: ['Email'] },
    }
    under.cluster.objects.put(
      'accesspolicies',
      policy('asks', spec as Partial<AccessPolicy['spec']>),
    )
    await eventually(
      'the changed policy',
      () => under.policies.current()[0]?.ref.digest !== before?.ref.digest,
    )
    expect((await attach('debugger-22222')).words).toContain('PODGATE-1004')
  })

  it('is of no use to somebody else', async () => {
    await debugApproved()
    expect((await attach('debugger-22222', 'eve')).words).toContain('PODGATE-1004')
  })

  it('ends the attach when its time is over', async () => {
    await debugApproved()
    const parent = made()
    const until = new Date(Date.now() + 300)
    under.store.sessions.set(parent._id, {
      ...parent,
      approval: { ...parent.approval, until },
    } as SessionDocument)
    const target = { namespace: 'shop', pod: 'web-0', subresource: 'attach' as const }
    const session = await under.kubectl('ana').dial(
      {
        ...target,
        container: 'debugger-22222',
        command: [],
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false,
      },
      {},
      new AbortController().signal,
    )
    observe(session)
    const attached = (): SessionDocument | undefined =>
      [...under.store.sessions.values()].find((one) => one.parent === parent._id)
    await eventually('the end', () => attached()?.end !== null && attached() !== undefined)
    expect(attached()?.end?.outcome).toBe('Expired')
    session.abort('test over')
  })
})
