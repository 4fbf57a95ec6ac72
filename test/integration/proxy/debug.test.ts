/** kubectl debug POD: what is written is what was decided on, and nothing else. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { PodSpec } from '../../../lib/proxy/debug/pod-spec.ts'
import { parseEvent } from '../../../lib/recording/event.ts'
import { replayEntries } from '../../../lib/recording/replay.ts'
import { eventually } from '../../fakes/eventually.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import { PROTOBUF, serveDebugging, type DebugCluster } from './debug-cluster.ts'
import {
  POD_PATH,
  pod,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

let ground: Ground
let under: GatewayUnderTest
let debugging: DebugCluster

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  under = await startGatewayUnderTest(ground, [
    policy('debugs', { match: { operations: ['Debug'] } }),
  ])
  debugging = serveDebugging(under.cluster)
})

afterEach(async () => {
  await under.close()
})

const PATH = `${POD_PATH}/ephemeralcontainers`
const STRATEGIC = 'application/strategic-merge-patch+json'

interface Sent {
  method?: string
  type?: string
  query?: string
  headers?: Record<string, string>
}

async function send(body: Buffer | object, sent: Sent = {}): Promise<Answered> {
  const { method = 'PATCH', type = STRATEGIC, query = '', headers = {} } = sent
  return await askGateway(
    under,
    ground,
    PATH,
    { method, query, headers: { 'content-type': type, ...headers } },
    Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
  )
}

function container(changes: object = {}): object {
  return { name: 'debugger-a1b2c', image: 'busybox:1', stdin: true, tty: true, ...changes }
}

function adding(...containers: object[]): object {
  return { spec: { ephemeralContainers: containers } }
}

function messageOf({ body }: Answered): string {
  return (JSON.parse(body.toString()) as { message?: string }).message ?? ''
}

function written(): { body: object; contentType: string }[] {
  return debugging.writes
    .filter(({ dryRun }) => !dryRun)
    .map(({ body, contentType }) => ({ body: JSON.parse(body.toString()) as object, contentType }))
}

function present(): string[] {
  const { spec } = under.cluster.objects.get('pods', 'shop', 'web-0') ?? {}
  return ((spec as PodSpec).ephemeralContainers ?? []).map(({ name }) => name)
}

async function events(session: string): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const entries of replayEntries((seq) => under.store.getFrame(session, seq))) {
    all.push(...entries.map(({ data }) => parseEvent(data)))
  }
  return all
}

/** Nothing happened and nothing is said to have happened. */
function expectNothingDone(): void {
  expect(written()).toEqual([])
  expect(present()).toEqual([])
}

describe('a debug container', () => {
  it('is written as decided: one container, for this version of this pod, marked', async () => {
    const { resourceVersion } = under.cluster.objects.get('pods', 'shop', 'web-0')?.metadata ?? {}
    const answer = await send(adding(container({ targetContainerName: 'main' })), {
      query: '?fieldManager=kubectl-debug&dry=1',
      headers: { 'user-agent': 'kubectl/v1.34' },
    })
    expect(answer.code).toBe(200)
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      spec: { ephemeralContainers: [{ name: 'debugger-a1b2c' }] },
    })
    const decided = { ...container({ targetContainerName: 'main' }) }
    expect(written()).toEqual([
      {
        contentType: 'application/merge-patch+json',
        body: {
          metadata: { uid: 'pod-1', resourceVersion },
          spec: {
            ephemeralContainers: [{ ...decided, terminationMessagePath: '/dev/termination-log' }],
          },
        },
      },
    ])
    const [tried, done] = debugging.writes
    expect(tried).toMatchObject({ query: '?fieldManager=kubectl-debug&dryRun=All', user: 'ana' })
    expect(done).toMatchObject({ query: '?fieldManager=kubectl-debug', user: 'ana' })
    const [session] = [...under.store.sessions.values()]
    expect(done?.mark).toBe(session?._id)
    expect(session).toMatchObject({
      operation: 'Debug',
      user: { username: 'ana' },
      target: { pod: 'web-0', podUID: 'pod-1', container: 'main', image: 'busybox:1' },
      debug: { image: 'busybox:1', targetContainer: 'main', privileged: false, capabilities: [] },
      tty: true,
      stdin: true,
      end: {
        outcome: 'Completed',
        created: { pod: 'web-0', podUID: 'pod-1', container: 'debugger-a1b2c' },
      },
    })
  })

  it('is in the record before it is there', async () => {
    let frames = -1
    debugging.beforeWrite = () => (frames = under.store.frames.size)
    await send(
      adding(container({ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'db' } } }] })),
    )
    expect(frames).toBe(1)
    const [session] = [...under.store.sessions.values()]
    expect(await events(session?._id ?? '')).toMatchObject([
      {
        type: 'debug',
        container: 'debugger-a1b2c',
        image: 'busybox:1',
        detail: { secrets: ['db'] },
      },
    ])
  })

  it.each([
    ['a merge patch', 'application/merge-patch+json'],
    ['server-side apply', 'application/apply-patch+yaml'],
  ])('comes by %s', async (_name, type) => {
    expect((await send(adding(container()), { type, query: '?force=true' })).code).toBe(200)
    expect(present()).toEqual(['debugger-a1b2c'])
    expect(debugging.writes.map(({ query }) => query)).toEqual(['?force=true&dryRun=All', ''])
  })

  it('comes by protobuf, which the gateway does not read', async () => {
    const body = Buffer.from('k8s\0\0debugger-proto', 'latin1')
    expect((await send(body, { type: PROTOBUF })).code).toBe(200)
    expect(present()).toEqual(['debugger-proto'])
    expect(debugging.writes[0]?.body.equals(body)).toBe(true)
  })

  it('comes by a PUT of the whole pod, of which nothing else is written', async () => {
    const spec = { containers: [{ name: 'main', image: 'evil:1' }] }
    const body = { ...pod('pod-1'), spec: { ...spec, ephemeralContainers: [container()] } }
    expect((await send(body, { method: 'PUT', type: 'application/json' })).code).toBe(200)
    expect(written()[0]?.body).toMatchObject({
      spec: { containers: [{ name: 'main', image: 'web:1' }] },
    })
    const reviewed = under.cluster.seen(/selfsubjectaccessreviews$/)
    expect(reviewed).toHaveLength(1)
  })
})

describe('nothing is done', () => {
  it.each<[string, object, Sent, RegExp]>([
    [
      'for two containers in one request',
      adding(container(), container({ name: 'second' })),
      {},
      /403.*adds 2 debug containers.*PODGATE-1036/s,
    ],
    ['for dryRun=None', adding(container()), { query: '?dryRun=None' }, /400.*PODGATE-1036/],
    [
      'for a parameter given twice',
      adding(container()),
      { query: '?dryRun=All&dryRun=' },
      /400.*given 2 times.*PODGATE-1036/,
    ],
    [
      'for a body over 3 MiB',
      adding(container({ args: ['x'.repeat(3 * 1024 * 1024)] })),
      {},
      /413.*over 3145728 bytes.*PODGATE-1037/,
    ],
    [
      'without privileges in the policy',
      adding(container({ securityContext: { privileged: true } })),
      {},
      /403.*PODGATE-1034/,
    ],
    [
      'with a capability that the policy does not name',
      adding(container({ securityContext: { capabilities: { add: ['cap_sys_admin'] } } })),
      {},
      /403.*SYS_ADMIN.*PODGATE-1034/,
    ],
  ])('%s', async (_name, body, sent, want) => {
    const answer = await send(body, sent)
    expect(`${answer.code} ${messageOf(answer)}`).toMatch(want)
    expectNothingDone()
  })

  it('by a policy that names another container', async () => {
    under.cluster.objects.put('accesspolicies', {
      ...policy('debugs', { match: { operations: ['Debug'], containers: ['sidecar'] } }),
    })
    await settledPolicies()
    const answer = await send(adding(container({ targetContainerName: 'main' })))
    expect(messageOf(answer)).toContain('PODGATE-1002')
    expectNothingDone()
  })

  it('without the right in the cluster: patch, or update for PUT', async () => {
    under.cluster.allows = (_user, attributes) => attributes['verb'] === 'update'
    const answer = await send(adding(container()))
    expect(messageOf(answer)).toContain('cannot patch resource "pods/ephemeralcontainers"')
    expectNothingDone()
  })

  it('without a store', async () => {
    under.store.mode = 'down'
    expect(messageOf(await send(adding(container())))).toContain('PODGATE-1012')
    expectNothingDone()
  })

  it('that the API server refuses, in its words', async () => {
    under.cluster.objects.remove('pods', 'shop', 'web-0')
    const answer = await send(adding(container()))
    expect(`${answer.code} ${messageOf(answer)}`).toBe('404 pods "web-0" not found')
    expect(under.store.sessions.size).toBe(0)
  })

  it('for a client that only tries, which gets the answer all the same', async () => {
    const answer = await send(adding(container()), { query: '?dryRun=All' })
    expect(answer.code).toBe(200)
    expect(answer.body.toString()).toContain('debugger-a1b2c')
    expectNothingDone()
    expect(under.store.sessions.size).toBe(0)
  })

  it('where nothing would change', async () => {
    const answer = await send({ spec: {} })
    expect(answer.code).toBe(200)
    expectNothingDone()
    expect(under.store.sessions.size).toBe(0)
  })
})

async function settledPolicies(): Promise<void> {
  const digest = (): string => JSON.stringify(under.policies.current())
  const before = digest()
  await eventually('the changed policy', () => digest() !== before)
}

describe('a pod that changes between the decision and the write', () => {
  it('is tried again when only its status changed', async () => {
    let times = 0
    debugging.beforeWrite = () => {
      if (times++ < 2) under.cluster.objects.put('pods', pod('pod-1'))
    }
    expect((await send(adding(container()))).code).toBe(200)
    expect(present()).toEqual(['debugger-a1b2c'])
    expect(debugging.writes.filter(({ dryRun }) => !dryRun)).toHaveLength(3)
  })

  it('is given up in the API server’s words when it never rests', async () => {
    debugging.beforeWrite = () => void under.cluster.objects.put('pods', pod('pod-1'))
    const answer = await send(adding(container()))
    expect(`${answer.code} ${messageOf(answer)}`).toContain('409 the object has been modified')
    expect(present()).toEqual([])
    expect([...under.store.sessions.values()][0]?.end?.outcome).toBe('Failed')
  })

  it('is left alone when it is another one of the same name', async () => {
    debugging.beforeWrite = () => void under.cluster.objects.put('pods', pod('pod-2'))
    expect(messageOf(await send(adding(container())))).toContain('PODGATE-1032')
    expect(present()).toEqual([])
  })

  it('is left alone when the same request now makes something else', async () => {
    debugging.beforeWrite = () => {
      debugging.beforeWrite = () => {}
      const other = { ...container(), targetContainerName: 'main' }
      const { spec } = pod('pod-1')
      const taken = { ...(spec as object), ephemeralContainers: [other] }
      under.cluster.objects.put('pods', pod('pod-1', { spec: taken }))
    }
    const answer = await send(adding(container()))
    expect(messageOf(answer)).toMatch(/PODGATE-103[68]/)
    expect(present()).toEqual(['debugger-a1b2c'])
    expect(debugging.writes.filter(({ dryRun }) => !dryRun)).toHaveLength(1)
  })
})
