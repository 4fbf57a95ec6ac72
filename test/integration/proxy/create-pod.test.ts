/** kubectl run and kubectl debug --copy-to, node/…: pods to sit in are decided on, others pass. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { PodSpec } from '../../../lib/proxy/debug/pod-spec.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { StoredObject } from '../../fakes/object-store.ts'
import { eventually } from '../../fakes/eventually.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import { serveDebugging, type DebugCluster } from './debug-cluster.ts'
import {
  NEEDS_APPROVAL,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import type { Person } from './people.ts'

let ground: Ground
let under: GatewayUnderTest
let debugging: DebugCluster

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

async function start(changes: Parameters<typeof policy>[1] = {}): Promise<void> {
  under = await startGatewayUnderTest(ground, [
    policy('debugs', { match: { operations: ['Debug'] }, ...changes }),
  ])
  debugging = serveDebugging(under.cluster)
}

beforeEach(async () => {
  await start()
})

afterEach(async () => {
  await under.close()
})

const PATH = '/api/v1/namespaces/shop/pods'

interface NewPod {
  metadata: { name?: string; generateName?: string; labels?: Record<string, string> }
  spec: Partial<PodSpec>
}

function pod(spec: Partial<PodSpec> = {}, metadata: NewPod['metadata'] = { name: 'mine' }): NewPod {
  return { metadata, spec: { containers: [{ name: 'main', image: 'sh:1' }], ...spec } }
}

const SITTING: Partial<PodSpec> = {
  containers: [{ name: 'main', image: 'sh:1', stdin: true, tty: true }],
}
const ON_NODE: Partial<PodSpec> = { ...SITTING, hostPID: true, nodeName: 'n1' }

async function create(
  body: NewPod | Buffer,
  query = '',
  headers: Record<string, string> = {},
): Promise<Answered> {
  return await askGateway(
    under,
    ground,
    PATH,
    { method: 'POST', query, headers: { 'content-type': 'application/json', ...headers } },
    Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
  )
}

function text({ code, body }: Answered): string {
  return `${code} ${(JSON.parse(body.toString()) as { message?: string }).message ?? 'made'}`
}

function sessions(): SessionDocument[] {
  return [...under.store.sessions.values()]
}

function made(): StoredObject[] {
  return under.cluster.objects
    .list('pods', 'shop')
    .filter(({ metadata }) => metadata.name !== 'web-0')
}

describe('a pod that is none of ours', () => {
  it('passes as it is, once, with what its client accepts, and leaves no record', async () => {
    const body = Buffer.from(`${JSON.stringify(pod())}   `)
    const accept = 'application/vnd.kubernetes.protobuf, application/json'
    const answer = await create(body, '?fieldManager=kubectl-run&pretty=true', { accept })
    expect(text(answer)).toBe('201 made')
    const [tried, done, ...more] = debugging.writes
    expect(more).toEqual([])
    expect(tried).toMatchObject({ dryRun: true, mark: undefined })
    expect(done).toMatchObject({
      dryRun: false,
      mark: undefined,
      query: '?fieldManager=kubectl-run&pretty=true',
    })
    expect(done?.body.equals(body)).toBe(true)
    expect(under.cluster.seen(PATH, 'POST').at(-1)?.headers).toContain(`accept: ${accept}`)
    expect(sessions()).toEqual([])
  })

  it('is one to sit in when admission makes it one', async () => {
    debugging.admitPod = (spec) => ({ ...spec, hostNetwork: true })
    expect(text(await create(pod()))).toMatch(/^403 .*PODGATE-1034/)
    expect(made()).toEqual([])
  })

  it('is refused in the API server’s own words, in full', async () => {
    await create(pod())
    expect(text(await create(pod()))).toBe('409 pods "mine" already exists')
    expect(debugging.writes.filter(({ dryRun }) => !dryRun)).toHaveLength(1)
  })

  it('of a client that only tries passes, whatever it is', async () => {
    expect(text(await create(pod(ON_NODE), '?dryRun=All'))).toBe('201 made')
    expect([made(), sessions()]).toEqual([[], []])
  })
})

describe('a pod that is applied', () => {
  async function apply(spec: Partial<PodSpec>, type: string): Promise<Answered> {
    return await askGateway(
      under,
      ground,
      `${PATH}/mine`,
      { method: 'PATCH', query: '?fieldManager=x', headers: { 'content-type': type } },
      Buffer.from(JSON.stringify(pod(spec))),
    )
  }

  it.each(['application/apply-patch+yaml', 'application/apply-patch+cbor; charset=utf-8'])(
    'is decided like one that is created: %s',
    async (type) => {
      expect(text(await apply(ON_NODE, type))).toMatch(/^403 .*PODGATE-1034/)
      expect(made()).toEqual([])
      expect(text(await apply(SITTING, type))).toBe('201 made')
      expect(sessions()[0]?.end?.created?.pod).toBe('mine')
    },
  )

  it('passes when nobody sits in it', async () => {
    expect(text(await apply({}, 'application/apply-patch+yaml'))).toBe('201 made')
    expect(sessions()).toEqual([])
    expect(debugging.writes.at(-1)?.query).toBe('?fieldManager=x')
  })

  it('passes untried by another patch, which makes none', async () => {
    await apply(SITTING, 'application/merge-patch+json')
    expect(debugging.writes).toHaveLength(1)
  })
})

describe('a pod to sit in', () => {
  it('is made as it was sent, marked, and its uid is in the record', async () => {
    const labels = { app: 'mine' }
    const answer = await create(pod(SITTING, { name: 'mine', labels }), '?fieldManager=x&dry=1', {
      accept: 'application/vnd.kubernetes.protobuf',
      'user-agent': 'kubectl/v1.34',
    })
    expect(text(answer)).toBe('201 made')
    const [pod0] = made()
    const [session] = sessions()
    expect(session).toMatchObject({
      operation: 'Debug',
      target: { pod: 'mine', podUID: '', container: '', image: 'sh:1' },
      tty: true,
      stdin: true,
      debug: { privileged: false },
      end: {
        outcome: 'Completed',
        created: { pod: 'mine', podUID: pod0?.metadata.uid, container: '' },
      },
    })
    expect(debugging.writes.at(-1)).toMatchObject({
      mark: session?._id,
      query: '?fieldManager=x',
      dryRun: false,
    })
  })

  it('has the name that the API server gave it', async () => {
    await create(pod(SITTING, { generateName: 'mine-' }))
    const [session] = sessions()
    expect(session?.target.pod).toBe('mine')
    expect(session?.end?.created?.pod).toBe(made()[0]?.metadata.name)
  })

  it.each<[string, NewPod, RegExp]>([
    ['on the node', pod(ON_NODE), /privileged or shares something with the node.*PODGATE-1034/],
    [
      'with one container of another image',
      pod({ containers: [...(SITTING.containers ?? []), { name: 'b', image: 'evil:1' }] }),
      /image evil:1 is not among.*PODGATE-1034/,
    ],
  ])('is refused %s', async (_name, body, words) => {
    await under.close()
    await start({ debug: { images: ['sh:*'] } })
    expect(text(await create(body))).toMatch(words)
    expect(made()).toEqual([])
  })

  it('on the node is made where a policy says so', async () => {
    await under.close()
    await start({ debug: { privileged: true } })
    expect(text(await create(pod(ON_NODE)))).toBe('201 made')
    expect(sessions()[0]?.debug?.privileged).toBe(true)
  })

  it('is not made without the right in the cluster, nor without a store', async () => {
    under.cluster.allows = () => false
    expect(text(await create(pod(SITTING)))).toMatch(/cannot create resource "pods".*PODGATE-1006/)
    under.cluster.allows = () => true
    under.store.mode = 'down'
    expect(text(await create(pod(SITTING)))).toContain('PODGATE-1012')
    expect(made()).toEqual([])
  })

  it('is not made for somebody who is revoked while the record of it is being stored', async () => {
    const { store, revoking } = under
    store.holding = true
    const answer = create(pod(SITTING))
    answer.catch(() => undefined)
    await eventually('a frame', () => store.held.length > 0)
    const target = { kind: 'User', username: 'ana' } as const
    await revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'left' })
    store.holding = false
    for (const seq of store.held) store.answer(seq)
    // Requests of somebody who is revoked are cut.
    await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' })
    await eventually('the record', () => sessions()[0]?.end !== undefined)
    expect(made()).toEqual([])
    expect(sessions()[0]?.end).toMatchObject({
      outcome: 'Refused',
      message: expect.stringContaining('your access was revoked by bo'),
    })
  })

  it('needs one approval, whatever kubectl calls it at each try', async () => {
    await under.close()
    await start({ ...NEEDS_APPROVAL, debug: { privileged: true } })
    const named = (random: string, nodeName = 'n1'): NewPod => ({
      ...pod({ ...ON_NODE, nodeName }, { name: `node-debugger-n1-${random}` }),
    })
    expect(text(await create(named('aaaaa')))).toContain('PODGATE-1004')
    await approve()
    expect(text(await create(named('bbbbb', 'n2')))).toContain('PODGATE-1004')
    expect(text(await create(named('ccccc')))).toBe('201 made')
    expect(sessions()[0]?.target.pod).toBe('node-debugger-n1')
  })
})

async function approve(): Promise<void> {
  const [request] = under.cluster.objects.list('approvalrequests', 'shop')
  const decision = {
    approver: 'bo',
    groups: ['oncall'],
    verdict: 'Approve',
    reason: 'INC-1',
    time: new Date().toISOString(),
  }
  const status = { decisions: [decision] }
  under.cluster.objects.put('approvalrequests', { ...request, status } as StoredObject)
  await eventually('Approved', () =>
    JSON.stringify(under.cluster.objects.list('approvalrequests', 'shop')).includes('"Approved"'),
  )
}

describe('attaching to it', () => {
  /** The scheduler and the kubelet have done their part. */
  function runs(image = 'sh:1'): void {
    const [pod0] = made()
    const spec = pod0?.spec as PodSpec
    const containers = spec.containers.map((one) => ({ ...one, image }))
    under.cluster.objects.put('pods', {
      ...pod0,
      spec: { ...spec, containers, nodeName: 'n1' },
      status: { phase: 'Running' },
    } as StoredObject)
  }

  async function attach(person: Person = 'ana'): Promise<SessionDocument | string> {
    const known = sessions().length
    const target = { namespace: 'shop', pod: 'mine', subresource: 'attach' as const }
    const streams = { stdin: false, stdout: true, stderr: true, tty: false }
    const result = await under
      .kubectl(person)
      .dial(
        { ...target, ...streams, container: 'main', command: [] },
        {},
        new AbortController().signal,
      )
      .catch((error: unknown) => (error as { status: { message: string } }).status.message)
    if (typeof result === 'string') return result
    result.abort('test over')
    await eventually('the record', () => sessions().length > known)
    return sessions().at(-1) ?? 'no record'
  }

  it('belongs to the decision for its maker, and is decided anew for everybody else', async () => {
    await create(pod(SITTING))
    runs()
    const [parent] = sessions()
    expect(await attach()).toMatchObject({ operation: 'Debug', parent: parent?._id })
    const other = await attach('eve')
    expect(other).toMatchObject({ operation: 'Debug', user: { username: 'eve' } })
    expect(other).not.toHaveProperty('parent')
  })

  it('does not belong to it any more when the image was changed afterwards', async () => {
    await create(pod(SITTING))
    runs('evil:1')
    expect(await attach()).not.toHaveProperty('parent')
  })

  it('is Attach when nobody has made it through the gateway', async () => {
    under.cluster.objects.put('pods', {
      metadata: { name: 'mine', namespace: 'shop', uid: 'foreign' },
      spec: { ...SITTING, nodeName: 'n1' },
      status: { phase: 'Running' },
    })
    expect(await attach()).toMatch(/to attach to shop\/mine .*PODGATE-1002/)
  })
})
