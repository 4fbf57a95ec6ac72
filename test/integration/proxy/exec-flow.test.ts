/** Sessions that need nobody's approval, from a real client leg to a real upstream leg. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ExecTarget, Wire } from '../../../lib/kube/dial-exec.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import { observe, type Observed } from '../../conformance/observe.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import { accept } from '../../fakes/scripted-api-server.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import {
  CAT,
  POD_PATH,
  pod,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import type { Person } from './people.ts'
import { RawClient, signedHead } from './raw-client.ts'

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  under = await startGatewayUnderTest(ground)
  under.cluster.requests.length = 0
})

afterEach(async () => {
  await under.close()
})

const NO_SIGNAL = new AbortController().signal
const SUCCESS = '{"metadata":{},"status":"Success"}'

async function exec(
  changes: Partial<ExecTarget> = {},
  person: Person = 'ana',
  wire: Wire = 'WebSocket',
): Promise<Observed> {
  const session = await under.kubectl(person, wire).dial({ ...CAT, ...changes }, {}, NO_SIGNAL)
  return observe(session)
}

async function refusalOf(changes: Partial<ExecTarget> = {}, wire: Wire = 'WebSocket') {
  return await under
    .kubectl('ana', wire)
    .dial({ ...CAT, ...changes }, {}, NO_SIGNAL)
    .then(
      () => ({ httpCode: 101, status: { message: '' } }),
      (error: unknown) => error as { httpCode: number; status: { message: string } },
    )
}

/** The last leg that the cluster took. */
function upstreamOf(): Observed & {
  finish(status: string): Promise<void>
  write(text: string): void
} {
  const session = under.cluster.sessions.at(-1)
  if (session === undefined) throw new Error('nothing was dialled')
  return Object.assign(observe(session), {
    finish: async (status: string) => await session.finish(Buffer.from(status)),
    write: (text: string) => void session.write('stdout', Buffer.from(text)),
  })
}

async function sealed(): Promise<SessionDocument> {
  const ended = (): SessionDocument | undefined =>
    [...under.store.sessions.values()].find(({ end }) => end !== null)
  await eventually('a sealed record', () => ended() !== undefined)
  return ended() as SessionDocument
}

/** Upgrades that reached the cluster. */
function dialled(): string[] {
  return under.cluster.seen(/\/(exec|attach)\?/).map(({ url }) => url)
}

describe('a session', () => {
  it.each(['WebSocket', 'SPDY'] as const)(
    'over %s carries all channels and is recorded',
    async (wire) => {
      const client = await exec({}, 'ana', wire)
      const upstream = upstreamOf()
      const session = under.cluster.sessions[0]
      upstream.write('bytes of the pod')
      session?.write('stderr', Buffer.from('complaints'))
      await client.until(() => client.text('stdout') !== '' && client.text('stderr') !== '')
      await upstream.finish(SUCCESS)
      await client.until(() => client.closes.length > 0)
      expect([client.text('stdout'), client.text('stderr'), client.text('error')]).toEqual([
        'bytes of the pod',
        'complaints',
        SUCCESS,
      ])
      expect(await sealed()).toMatchObject({
        user: { username: 'ana', groups: ['dev', 'staff'] },
        operation: 'Exec',
        command: ['cat'],
        target: {
          cluster: 'cluster-1',
          namespace: 'shop',
          pod: 'web-0',
          podUID: 'pod-1',
          container: 'main',
        },
        policies: [{ name: 'free' }],
        end: { outcome: 'Completed', exitCode: 0, bytes: { stdin: 0, stdout: 16, stderr: 10 } },
      })
    },
  )

  it('reaches the API server as the person, marked with its own id, on every wire', async () => {
    await exec()
    const [upgrade] = under.cluster.seen(/\/exec\?/)
    const [id] = [...under.store.sessions.keys()]
    const speaking = upgrade?.headers.filter((line) => /^(impersonate|authorization)/.test(line))
    expect(speaking?.sort()).toEqual([
      'authorization: Bearer of-the-gateway',
      ...ground.people.originLines('ana').slice(0, 1),
      `impersonate-extra-podgate.dev%2fsession: ${id}`,
      ...ground.people.originLines('ana').slice(1),
      'impersonate-group: dev',
      'impersonate-group: staff',
      'impersonate-uid: ana',
      'impersonate-user: ana',
    ])
  })

  it('asks for `create`, whatever the wire', async () => {
    const asked: unknown[] = []
    under.cluster.allows = (user, attributes) => {
      asked.push([user, attributes['verb'], attributes['resource'], attributes['subresource']])
      return attributes['verb'] !== 'create'
    }
    for (const wire of ['WebSocket', 'SPDY'] as const) {
      const { httpCode, status } = await refusalOf({}, wire)
      expect(httpCode).toBe(403)
      expect(status.message).toContain('User "ana" cannot create resource "pods/exec"')
    }
    expect(new Set(asked.map(String))).toEqual(new Set(['ana,create,pods,exec']))
    expect(dialled()).toEqual([])
  })

  it('ends upstream within a second when the client goes', async () => {
    const session = await under.kubectl('ana').dial(CAT, {}, NO_SIGNAL)
    observe(session)
    const upstream = upstreamOf()
    session.abort('gone')
    const ms = await eventually('upstream is closed', () => upstream.closes.length > 0)
    expect(ms).toBeLessThan(1000)
    expect((await sealed()).end).toMatchObject({ outcome: 'ClientLost' })
  })

  it('does not look successful when upstream vanishes', async () => {
    const client = await exec()
    upstreamOf().write('half')
    await client.until(() => client.text('stdout') === 'half')
    // As when a node dies: no close, no status.
    for (const socket of under.cluster.open) socket.destroy()
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('PODGATE-1030')
    expect((await sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })

  it('ends in words when the gateway shuts down, and no new one begins', async () => {
    const client = await exec()
    upstreamOf()
    under.shutDown()
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('PODGATE-1031')
    await under.gateway.drained()
    expect((await sealed()).end).not.toBeNull()
    expect(await refusalOf()).toMatchObject({ httpCode: 503 })
  })
})

describe('a shutdown', () => {
  it('does not wait for a client that has stopped reading, and its record is sealed', async () => {
    const session = await under.kubectl('ana').dial(CAT, {}, NO_SIGNAL)
    const client = observe(session)
    upstreamOf().write('begin')
    await client.until(() => client.text('stdout') === 'begin')
    session.pause()
    const upstream = under.cluster.sessions[0]
    for (let n = 0; n < 64; n += 1) upstream?.write('stdout', Buffer.alloc(256 * 1024, 'x'))
    await settled(() => [...under.store.frames.values()].length)
    under.shutDown()
    const startedAt = performance.now()
    await under.closeListener(200)
    expect(performance.now() - startedAt).toBeLessThan(3000)
    expect([under.clients.size, under.gateway.active]).toEqual([0, 0])
    expect((await sealed()).end).not.toBeNull()
    session.abort('test over')
  })

  it('is over at once when nothing runs, idle connections or not', async () => {
    const idle = await RawClient.open(under)
    idle.send(signedHead(under, 'ana', 'GET /api/v1/namespaces/shop/pods'))
    await idle.response()
    under.shutDown()
    const startedAt = performance.now()
    await under.closeListener(10_000)
    expect(performance.now() - startedAt).toBeLessThan(1000)
    await idle.gone()
  })
})

describe('the pod that was admitted is the pod that is reached', () => {
  it.each([
    ['replaced by another of its name', pod('pod-2')],
    [
      'restarted',
      pod('pod-1', {
        status: {
          phase: 'Running',
          containerStatuses: [{ name: 'main', containerID: 'c-other', restartCount: 1 }],
        },
      }),
    ],
    [
      'replaced by one that says it has the same container',
      pod('pod-2', { status: pod('pod-1').status }),
    ],
    ['ended', pod('pod-1', { status: { phase: 'Succeeded' } })],
  ])('when it was %s meanwhile, nothing of it is shown', async (_name, other) => {
    for (const wire of ['WebSocket', 'SPDY'] as const) {
      under.cluster.objects.put('pods', pod('pod-1'))
      const take = accept(() => under.cluster.sessions)
      under.cluster.upgrade = async (socket, request, bytes) => {
        // After admission and before the second look.
        under.cluster.objects.put('pods', other)
        await take(socket, request, bytes)
        under.cluster.sessions.at(-1)?.write('stdout', Buffer.from('of the wrong pod'))
      }
      under.store.sessions.clear()
      const client = await exec({}, 'ana', wire)
      await client.until(() => client.closes.length > 0)
      const wanted = _name === 'ended' ? 'PODGATE-1020' : 'PODGATE-1032'
      expect(client.text('error')).toContain(wanted)
      expect(client.text('stdout')).toBe('')
      const { end } = await sealed()
      expect(end).toMatchObject({ outcome: 'Refused', bytes: { stdin: 0, stdout: 0 } })
      const upstream = upstreamOf()
      await upstream.until(() => upstream.closes.length > 0)
    }
  })

  it('when it cannot be read again, nothing of it is shown', async () => {
    let reads = 0
    under.cluster.intercept = (request, response, url) => {
      if (url.pathname !== POD_PATH || request.method !== 'GET') return false
      reads += 1
      if (reads === 1) return false
      refuse(response, 500, 'InternalError', 'etcd is away')
      return true
    }
    const client = await exec()
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('etcd is away')
    expect((await sealed()).end).toMatchObject({ outcome: 'Failed' })
  })
})

describe('what is refused is refused before anything is dialled:', () => {
  it('two containers and none named, in the words of kubectl', async () => {
    const containers = [{ name: 'main' }, { name: 'side' }]
    under.cluster.objects.put('pods', pod('pod-1', { spec: { nodeName: 'n1', containers } }))
    const { httpCode, status } = await refusalOf({ container: '' })
    expect(httpCode).toBe(400)
    expect(status.message).toContain(
      'a container name must be specified for pod web-0, choose one of: [main side]',
    )
    expect(dialled()).toEqual([])
  })

  it.each([
    {
      name: 'a wrong container',
      changes: { container: 'nope' },
      code: 400,
      says: 'container nope is not valid for pod web-0',
    },
    { name: 'a pod that is not there', changes: { pod: 'web-9' }, code: 404, says: 'not found' },
    {
      name: 'attach, when only exec is allowed',
      changes: { subresource: 'attach' as const, command: [] },
      code: 403,
      says: 'PODGATE-1002',
    },
  ])('$name', async ({ changes, code, says }) => {
    under.cluster.objects.put('accesspolicies', policy('free', { match: { operations: ['Exec'] } }))
    await eventually('the policy', () => under.policies.current()[0]?.operations.length === 1)
    for (const wire of ['WebSocket', 'SPDY'] as const) {
      const { httpCode, status } = await refusalOf(changes, wire)
      expect([httpCode, status.message]).toEqual([code, expect.stringContaining(says)])
    }
    expect(dialled()).toEqual([])
    expect(under.store.sessions.size).toBe(0)
  })

  it('by a Deny, as soon as it is there, and no longer when it is gone', async () => {
    under.cluster.objects.put('accesspolicies', policy('no', { effect: 'Deny' }))
    await eventually('the policy', () => under.policies.current().length === 2)
    expect(await refusalOf()).toMatchObject({ httpCode: 403 })
    under.cluster.objects.remove('accesspolicies', 'shop', 'no')
    await eventually('the policy is gone', () => under.policies.current().length === 1)
    expect(await refusalOf()).toMatchObject({ httpCode: 101 })
  })

  it('a denial is counted as one', async () => {
    under.cluster.objects.remove('accesspolicies', 'shop', 'free')
    await eventually('no policy', () => under.policies.current().length === 0)
    await refusalOf({}, 'SPDY')
    expect(await under.metrics.registry.metrics()).toMatch(
      /podgate_admission_decisions_total\{decision="deny",operation="Exec"\} [1-9]/,
    )
  })
})

describe('without a store nothing runs', () => {
  it.each(['down', 'silent', 'refusing'] as const)(
    'while it is %s: 503 within 3 s, and nothing is dialled',
    async (mode) => {
      under.store.mode = mode
      const startedAt = performance.now()
      // One attempt, as a script makes it; kubectl makes two.
      const { httpCode, status } = await refusalOf({}, 'SPDY')
      const attempts = under.cluster.seen(POD_PATH).length
      expect((performance.now() - startedAt) / attempts).toBeLessThan(3000)
      expect(httpCode).toBe(503)
      expect(status.message).toContain('PODGATE-1012')
      expect(dialled()).toEqual([])
    },
    10_000,
  )
})
