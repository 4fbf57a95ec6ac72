/** Every forwarded connection has its own way to the node, and what befalls that befalls it alone. */
import { describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { connect } from './conversation.ts'
import { prepareForwardBed } from './forward-bed.ts'
import { pod } from './gateway-under-test.ts'

const bed = prepareForwardBed()

describe('the way to the node', () => {
  it('breaks: its connection is reset, and the session goes on', async () => {
    await bed.start()
    const session = await bed.open()
    const broken = await connect(session, 80)
    const whole = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 2)
    bed.upstreams[0]?.abort('the kubelet restarts')
    await eventually('the reset', () => broken.end !== undefined)
    expect(broken.end?.kind).toBe('reset')
    for (const talk of [whole, await connect(session, 80)]) {
      talk.connection.write(Buffer.from('hello'))
      await eventually('an answer', () => talk.heard() === 'hello')
    }
    await session.finish()
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', connections: 3 })
  })

  it('is refused to a second connection: it has the words of the API server', async () => {
    await bed.start()
    const session = await bed.open()
    const first = await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    bed.under.cluster.upgrade = (socket) => {
      const body = JSON.stringify({ kind: 'Status', code: 403, message: 'no longer allowed' })
      socket.end(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      )
    }
    const second = await connect(session, 80)
    await eventually('the refusal', () => second.end !== undefined)
    first.connection.write(Buffer.from('hello'))
    await eventually('an answer', () => first.heard() === 'hello')
    await session.finish()
    expect(await bed.events()).toContainEqual(
      expect.objectContaining({ type: 'connectionRefused', message: 'no longer allowed' }),
    )
  })

  it('leads to another pod of the same name: nothing reaches it', async () => {
    await bed.start()
    const session = await bed.open()
    await connect(session, 80)
    await eventually('the node', () => bed.dialled.length === 1)
    // The watch is told late.
    const { upgrade } = bed.under.cluster
    bed.under.cluster.upgrade = async (socket, request, head) => {
      bed.under.cluster.objects.put('pods', pod('pod-2'))
      await upgrade?.(socket, request, head)
    }
    const swapped = await connect(session, 80)
    await eventually('the refusal', () => swapped.end !== undefined)
    expect(bed.dialled).toHaveLength(1)
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })
})
