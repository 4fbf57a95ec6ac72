/** Port-forward from a real client leg through the gateway to a real upstream leg. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { createForwardDialer } from '../../../lib/kube/dial-forward.ts'
import { acceptForward } from '../../../lib/proxy/accept-forward.ts'
import { parseEvent, type SessionEvent } from '../../../lib/recording/event.ts'
import { decodeFrame } from '../../../lib/recording/frame.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type {
  ForwardClientSession,
  ForwardConnection,
  ForwardServerSession,
} from '../../../lib/streams/forward.ts'
import { negotiateForward } from '../../../lib/streams/subprotocol.ts'
import { eventually } from '../../fakes/eventually.ts'
import { connect } from './conversation.ts'
import {
  pod,
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

type Spec = NonNullable<Parameters<typeof policy>[1]>

let ground: Ground
let under: GatewayUnderTest
/** What the node was asked for, by port. */
let dialled: { port: number; connection: ForwardConnection }[] = []
let upstreams: ForwardServerSession[] = []
/** What a port of the pod does; by default it repeats what it hears. */
let serve: (connection: ForwardConnection) => void = echo

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

afterEach(async () => {
  for (const session of upstreams) session.abort('test over')
  await under.close()
})

function echo(connection: ForwardConnection): void {
  connection.start({
    onData: (data) => connection.write(data),
    onEnd: () => connection.finish(),
    onDrain: () => undefined,
    onClose: () => undefined,
  })
}

/** The node's end of a port-forward. */
async function acceptUpstream(socket: Duplex, request: IncomingMessage, head: Buffer) {
  const negotiation = negotiateForward(request)
  if (negotiation.kind === 'refused') throw negotiation.error
  const session = await acceptForward(request, socket, head, negotiation, { query: '' })
  upstreams.push(session)
  session.start({
    onConnection(connection) {
      dialled.push({ port: connection.port, connection })
      serve(connection)
    },
    onClose: () => undefined,
  })
}

const PORTS: Spec = { match: { operations: ['PortForward'], ports: [80, 81] } }

async function start(...specs: Spec[]): Promise<void> {
  dialled = []
  upstreams = []
  serve = echo
  const policies = (specs.length === 0 ? [PORTS] : specs).map((spec, n) => policy(`p${n}`, spec))
  under = await startGatewayUnderTest(ground, policies)
  under.cluster.requests.length = 0
  under.cluster.upgrade = acceptUpstream
}

async function open(): Promise<ForwardClientSession> {
  const dialer = createForwardDialer({
    endpoint: {
      ...under.cluster.endpoint,
      port: under.port,
      authorization: () => Promise.resolve(ground.people.bearer('ana')),
    },
  })
  const session = await dialer.dial(
    { namespace: 'shop', pod: 'web-0' },
    {},
    new AbortController().signal,
  )
  session.start({ onClose: () => undefined })
  return session
}

async function refusalOf(): Promise<string> {
  return await open().then(
    () => 'it was opened',
    (error: unknown) => (error as { status: { message: string } }).status.message,
  )
}

async function sealed(): Promise<SessionDocument> {
  const find = (): SessionDocument | undefined =>
    [...under.store.sessions.values()].find(({ end }) => end !== null)
  await eventually('a sealed record', () => find() !== undefined)
  return find() as SessionDocument
}

async function events(): Promise<SessionEvent[]> {
  const { _id } = await sealed()
  const found: SessionEvent[] = []
  for (let seq = 0; ; seq++) {
    const frame = await under.store.getFrame(_id, seq)
    if (frame === undefined || frame.kind === 'end') return found
    for (const { kind, data } of await decodeFrame(frame)) {
      const event = kind === 'event' ? parseEvent(data) : undefined
      if (event !== undefined) found.push(event)
    }
  }
}

describe.each(['Digest', 'Full'] as const)('with content: %s', (content) => {
  it('bytes go both ways, and each connection is told by itself', async () => {
    await start({ ...PORTS, recording: { content } })
    const session = await open()
    const one = await connect(session, 80)
    const two = await connect(session, 81)
    one.connection.write(Buffer.from('eins'))
    two.connection.write(Buffer.from('zwei!'))
    await eventually('answers', () => one.heard() === 'eins' && two.heard() === 'zwei!')
    one.connection.end()
    await eventually('the end', () => one.end !== undefined)
    expect([one.ended, one.end?.kind, two.end]).toEqual([true, 'clean', undefined])
    two.connection.end()
    await eventually('the other end', () => two.end !== undefined)
    await session.finish()
    expect(await sealed()).toMatchObject({
      operation: 'PortForward',
      content,
      end: { outcome: 'Completed', connections: 2, bytes: { stdin: 9, stdout: 9 } },
    })
    const told = await events()
    expect(told.filter(({ type }) => type === 'connectionOpened')).toEqual([
      {
        type: 'connectionOpened',
        connection: 1,
        port: 80,
        policies: ['AccessPolicy shop/p0'],
      },
      expect.objectContaining({ connection: 2, port: 81 }),
    ])
    expect(told).toContainEqual(
      expect.objectContaining({
        type: 'connectionClosed',
        connection: 1,
        reason: 'ended',
        up: expect.objectContaining({ bytes: 4 }) as unknown,
      }),
    )
  })

  it('a connection that is cut leaves the others alone', async () => {
    await start({ ...PORTS, recording: { content } })
    const session = await open()
    const one = await connect(session, 80)
    const two = await connect(session, 80)
    await eventually('both', () => dialled.length === 2)
    dialled[0]?.connection.fail()
    await eventually('the reset', () => one.end !== undefined)
    expect(one.end?.kind).toBe('reset')
    two.connection.write(Buffer.from('still here'))
    await eventually('an answer', () => two.heard() === 'still here')
    await session.finish()
    expect((await sealed()).end).toMatchObject({ outcome: 'Completed', connections: 2 })
  })
})

it.each(['Digest', 'Full'] as const)(
  'a pod that ends a connection ends it for the client too, whose own half is open (%s)',
  async (content) => {
    await start({ ...PORTS, recording: { content } })
    serve = (connection) => {
      echo(connection)
      connection.write(Buffer.from('all I have to say'))
      connection.finish()
    }
    const session = await open()
    const talk = await connect(session, 80)
    await eventually('the end', () => talk.end !== undefined)
    expect([talk.heard(), talk.end?.kind]).toEqual(['all I have to say', 'clean'])
    await session.finish()
    expect((await sealed()).end).toMatchObject({ connections: 1, bytes: { stdout: 17 } })
  },
)

describe('a port', () => {
  it('that no policy names is refused in words when it is the only one', async () => {
    await start()
    const session = await open()
    const lonely = await connect(session, 5432)
    await eventually('the refusal', () => lonely.end !== undefined)
    expect(lonely.end).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('PODGATE-1002') as unknown,
    })
    expect(dialled).toEqual([])
    await session.finish()
    expect(await events()).toContainEqual(
      expect.objectContaining({ type: 'connectionRefused', port: 5432 }),
    )
  })

  it('that is refused beside another is only reset: kubectl would end all at the first word', async () => {
    await start()
    const session = await open()
    const good = await connect(session, 80)
    const bad = await connect(session, 5432)
    await eventually('the refusal', () => bad.end !== undefined)
    expect(bad.end?.kind).toBe('reset')
    good.connection.write(Buffer.from('hello'))
    await eventually('an answer', () => good.heard() === 'hello')
    await session.finish()
  })

  it('where nobody listens is told in the words of the node', async () => {
    await start()
    serve = (connection) => {
      connection.start({
        onData: () => undefined,
        onEnd: () => undefined,
        onDrain: () => undefined,
        onClose: () => undefined,
      })
      connection.fail('error forwarding port 80: connection refused')
    }
    const session = await open()
    const { end } = await connect(session, 80).then(async (conversation) => {
      await eventually('the failure', () => conversation.end !== undefined)
      return conversation
    })
    expect(end).toEqual({ kind: 'failed', detail: 'error forwarding port 80: connection refused' })
    await session.finish()
  })

  it('is refused as soon as a policy stops naming it', async () => {
    await start()
    const session = await open()
    const before = await connect(session, 80)
    await eventually('the node', () => dialled.length === 1)
    under.cluster.objects.put(
      'accesspolicies',
      policy('p0', { match: { operations: ['PortForward'], ports: [81] } }),
    )
    await eventually('the new policy', () =>
      under.policies.current().some(({ ports }) => ports.length === 1),
    )
    const after = await connect(session, 80)
    await eventually('the refusal', () => after.end !== undefined)
    expect(dialled).toHaveLength(1)
    before.connection.write(Buffer.from('as before'))
    await eventually('an answer', () => before.heard() === 'as before')
    await session.finish()
  })
})

describe('approval', () => {
  const APPROVED: Spec = {
    match: { operations: ['PortForward'], ports: [5432] },
    approval: { mode: 'Session', approvers: [{ kind: 'Group', name: 'oncall' }] },
  }

  it('is asked for before anything is opened when every port needs it', async () => {
    await start(APPROVED)
    expect(await refusalOf()).toContain('PODGATE-1004')
    expect(upstreams).toEqual([])
  })

  it('is asked for with the port when others need none', async () => {
    await start(PORTS, APPROVED)
    const session = await open()
    const free = await connect(session, 80)
    free.connection.write(Buffer.from('free'))
    await eventually('an answer', () => free.heard() === 'free')
    free.connection.end()
    await eventually('its end', () => free.end !== undefined)
    const asked = await connect(session, 5432)
    await eventually('the refusal', () => asked.end !== undefined)
    expect(asked.end?.detail).toContain('PODGATE-1004')
    const requests = under.cluster.objects.list('approvalrequests')
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({
      spec: { operation: 'PortForward', target: { ports: [5432] } },
    })
    await session.finish()
  })
})

describe('the end of a session', () => {
  it.each([
    ['deleted', () => under.cluster.objects.remove('pods', 'shop', 'web-0')],
    ['replaced', () => under.cluster.objects.put('pods', pod('pod-2'))],
    [
      'over',
      () => under.cluster.objects.put('pods', pod('pod-1', { status: { phase: 'Failed' } })),
    ],
  ])('comes at once, with a reason, when its pod is %s', async (_what, change) => {
    await start()
    const session = await open()
    const talk = await connect(session, 80)
    await eventually('the node', () => dialled.length === 1)
    change()
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.end).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('PODGATE-1050') as unknown,
    })
    expect((await sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })

  it('comes with words when the gateway shuts down', async () => {
    await start()
    const session = await open()
    const talk = await connect(session, 80)
    await eventually('the node', () => dialled.length === 1)
    under.shutDown()
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.end?.detail).toContain('PODGATE-1031')
    expect((await sealed()).end).toMatchObject({ outcome: 'Failed' })
  })

  it('comes when the node goes, and is told', async () => {
    await start()
    const session = await open()
    const talk = await connect(session, 80)
    await eventually('the node', () => dialled.length === 1)
    upstreams[0]?.abort('node gone')
    await eventually('the end', () => talk.end !== undefined)
    expect((await sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })

  it('comes when the store is gone: nothing passes that is not recorded', async () => {
    await start({ ...PORTS, recording: { content: 'Full' } })
    const session = await open()
    const talk = await connect(session, 80)
    await eventually('the node', () => dialled.length === 1)
    under.store.mode = 'refusing'
    talk.connection.write(Buffer.from('secret'))
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.heard()).toBe('')
    under.store.mode = 'up'
    expect((await sealed()).end).toMatchObject({ outcome: 'StoreLost' })
  })
})

it('a flood of one connection does not hold up another', async () => {
  await start()
  serve = (connection) => {
    if (connection.port === 80) echo(connection)
    else {
      // Floods, as fast as it is let.
      const block = Buffer.alloc(32 * 1024)
      const pour = (): void => {
        while (connection.write(block)) if (connection.bufferedBytes > 1 << 20) return
      }
      connection.start({
        onData: () => undefined,
        onEnd: () => undefined,
        onDrain: pour,
        onClose: () => undefined,
      })
      pour()
    }
  }
  const session = await open()
  const flood = await connect(session, 81)
  const quiet = await connect(session, 80)
  await eventually('the flood', () => flood.heard().length > 1 << 20)
  quiet.connection.write(Buffer.from('hello'))
  await eventually('an answer', () => quiet.heard() === 'hello')
  flood.connection.fail()
  await session.finish()
})
