/** Port-forward from a real client leg through the gateway to a real upstream leg. */
import { describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { connect } from './conversation.ts'
import { echo, PORTS, prepareForwardBed, type Spec } from './forward-bed.ts'
import { pod, policy } from './gateway-under-test.ts'

const bed = prepareForwardBed()

describe.each(['Digest', 'Full'] as const)('with content: %s', (content) => {
  it('bytes go both ways, and each connection is told by itself', async () => {
    await bed.start({ ...PORTS, recording: { content } })
    const session = await bed.open()
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
    expect(await bed.sealed()).toMatchObject({
      operation: 'PortForward',
      content,
      end: { outcome: 'Completed', connections: 2, bytes: { stdin: 9, stdout: 9 } },
    })
    const told = await bed.events()
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
    await bed.start({ ...PORTS, recording: { content } })
    const session = await bed.open()
    const one = await connect(session, 80)
    const two = await connect(session, 80)
    await eventually('both', () => bed.dialled.length === 2)
    bed.dialled[0]?.connection.fail()
    await eventually('the reset', () => one.end !== undefined)
    expect(one.end?.kind).toBe('reset')
    two.connection.write(Buffer.from('still here'))
    await eventually('an answer', () => two.heard() === 'still here')
    await session.finish()
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', connections: 2 })
  })
})

it.each(['Digest', 'Full'] as const)(
  'a pod that ends a connection ends it for the client too, whose own half is open (%s)',
  async (content) => {
    await bed.start({ ...PORTS, recording: { content } })
    bed.serve = (connection) => {
      echo(connection)
      connection.write(Buffer.from('all I have to say'))
      connection.finish()
    }
    const session = await bed.open()
    const talk = await connect(session, 80)
    await eventually('the end', () => talk.end !== undefined)
    expect([talk.heard(), talk.end?.kind]).toEqual(['all I have to say', 'clean'])
    await session.finish()
    expect((await bed.sealed()).end).toMatchObject({ connections: 1, bytes: { stdout: 17 } })
  },
)

describe('a port', () => {
  it('that no policy names is refused in words when it is the only one', async () => {
    await bed.start()
    const session = await bed.open()
    const lonely = await connect(session, 5432)
    await eventually('the refusal', () => lonely.end !== undefined)
    expect(lonely.end).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('PODGATE-1002') as unknown,
    })
    expect(bed.dialled).toEqual([])
    await session.finish()
    expect(await bed.events()).toContainEqual(
      expect.objectContaining({ type: 'connectionRefused', port: 5432 }),
    )
  })

  it('that is refused beside another is only reset: kubectl would end all at the first word', async () => {
    await bed.start()
    const session = await bed.open()
    const good = await connect(session, 80)
    const bad = await connect(session, 5432)
    await eventually('the refusal', () => bad.end !== undefined)
    expect(bad.end?.kind).toBe('reset')
    good.connection.write(Buffer.from('hello'))
    await eventually('an answer', () => good.heard() === 'hello')
    await session.finish()
  })

  it('where nobody listens is told in the words of the node', async () => {
    await bed.start()
    bed.serve = (connection) => {
      connection.start({
        onData: () => undefined,
        onEnd: () => undefined,
        onDrain: () => undefined,
        onClose: () => undefined,
      })
      connection.fail('error forwarding port 80: connection refused')
    }
    const session = await bed.open()
    const { end } = await connect(session, 80).then(async (conversation) => {
      await eventually('the failure', () => conversation.end !== undefined)
      return conversation
    })
    expect(end).toEqual({ kind: 'failed', detail: 'error forwarding port 80: connection refused' })
    await session.finish()
  })

  it('is refused as soon as a policy stops naming it', async () => {
    await bed.start()
    const session = await bed.open()
    const before = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('p0', { match: { operations: ['PortForward'], ports: [81] } }),
    )
    await eventually('the new policy', () =>
      bed.under.policies.current().some(({ ports }) => ports.length === 1),
    )
    const after = await connect(session, 80)
    await eventually('the refusal', () => after.end !== undefined)
    expect(bed.dialled).toHaveLength(1)
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
    await bed.start(APPROVED)
    expect(await bed.refusalOf()).toContain('PODGATE-1004')
    expect(bed.upstreams).toEqual([])
  })

  it('is asked for with the port when others need none', async () => {
    await bed.start(PORTS, APPROVED)
    const session = await bed.open()
    const free = await connect(session, 80)
    free.connection.write(Buffer.from('free'))
    await eventually('an answer', () => free.heard() === 'free')
    free.connection.end()
    await eventually('its end', () => free.end !== undefined)
    const asked = await connect(session, 5432)
    await eventually('the refusal', () => asked.end !== undefined)
    expect(asked.end?.detail).toContain('PODGATE-1004')
    const requests = bed.under.cluster.objects.list('approvalrequests')
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({
      spec: { operation: 'PortForward', target: { ports: [5432] } },
    })
    await session.finish()
  })
})

describe('the end of a session', () => {
  it.each([
    ['deleted', () => bed.under.cluster.objects.remove('pods', 'shop', 'web-0')],
    ['replaced', () => bed.under.cluster.objects.put('pods', pod('pod-2'))],
    [
      'over',
      () => bed.under.cluster.objects.put('pods', pod('pod-1', { status: { phase: 'Failed' } })),
    ],
  ])('comes at once, with a reason, when its pod is %s', async (_what, change) => {
    await bed.start()
    const session = await bed.open()
    const talk = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    change()
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.end).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('PODGATE-1050') as unknown,
    })
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })

  it('comes with words when the gateway shuts down', async () => {
    await bed.start()
    const session = await bed.open()
    const talk = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    bed.under.shutDown()
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.end?.detail).toContain('PODGATE-1031')
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed' })
  })

  it('comes when the store is gone: nothing passes that is not recorded', async () => {
    await bed.start({ ...PORTS, recording: { content: 'Full' } })
    const session = await bed.open()
    const talk = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    bed.under.store.mode = 'refusing'
    talk.connection.write(Buffer.from('secret'))
    await eventually('the end', () => talk.end !== undefined)
    expect(talk.heard()).toBe('')
    bed.under.store.mode = 'up'
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'StoreLost' })
  })
})

it('a flood of one connection does not hold up another', async () => {
  await bed.start()
  bed.serve = (connection) => {
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
  const session = await bed.open()
  const flood = await connect(session, 81)
  const quiet = await connect(session, 80)
  await eventually('the flood', () => flood.heard().length > 1 << 20)
  quiet.connection.write(Buffer.from('hello'))
  await eventually('an answer', () => quiet.heard() === 'hello')
  flood.connection.fail()
  await session.finish()
})
