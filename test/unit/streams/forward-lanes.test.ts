/** One connection on a lane at a time, over real SPDY legs; `nodes` are their other ends. */
import { afterEach, expect, it } from '@jest/globals'

import { openSpdyForward } from '../../../lib/spdy/forward-client.ts'
import { acceptSpdyForward } from '../../../lib/spdy/forward-server.ts'
import type {
  ForwardClientSession,
  ForwardConnection,
  ForwardServerSession,
  ForwardUpstream,
} from '../../../lib/streams/forward.ts'
import { createForwardLanes } from '../../../lib/streams/forward-lanes.ts'
import { WatchedConnection } from '../../conformance/forward-suite.ts'
import { bytesOf } from '../../conformance/observe.ts'
import { FakeClock } from '../spdy/fake-clock.ts'
import { openWire, type Wire } from '../spdy/raw-peer.ts'

interface Node {
  lane: ForwardClientSession
  server: ForwardServerSession
  served: ForwardConnection[]
  isGone: boolean
}

interface Bed {
  lanes: ForwardUpstream
  nodes: Node[]
  signals: AbortSignal[]
  /** What the next dial rejects with. */
  refusal: Error | undefined
}

const wires: Wire[] = []

afterEach(async () => {
  for (const wire of wires.splice(0)) await wire.close()
})

async function node(): Promise<Node> {
  const wire = await openWire()
  wires.push(wire)
  wire.peer.socket.removeAllListeners('data')
  const server = acceptSpdyForward(wire.peer.socket, new Uint8Array(0))
  const lane = openSpdyForward(wire.socket, new Uint8Array(0))
  const made: Node = { lane, server, served: [], isGone: false }
  server.start({
    onConnection(connection) {
      made.served.push(connection)
      connection.start({
        onData: (data) => void connection.write(data),
        onEnd: () => connection.finish(),
        onDrain() {},
        onClose() {},
      })
    },
    onClose: () => (made.isGone = true),
  })
  return made
}

async function prepare(): Promise<Bed> {
  const first = await node()
  const bed: Omit<Bed, 'lanes'> = { nodes: [first], signals: [], refusal: undefined }
  const lanes = createForwardLanes({
    first: first.lane,
    async dial(signal) {
      bed.signals.push(signal)
      if (bed.refusal !== undefined) throw bed.refusal
      const dialled = await node()
      bed.nodes.push(dialled)
      return dialled.lane
    },
  })
  return Object.assign(bed, { lanes })
}

async function open({ lanes }: Bed): Promise<WatchedConnection> {
  return new WatchedConnection(await lanes.open(80))
}

async function talk(watched: WatchedConnection, text: string): Promise<void> {
  watched.connection.write(bytesOf(text))
  await watched.until(() => watched.text.endsWith(text))
}

/** Ends it as a browser does; resolves when every lane that can be free is. */
async function finish(bed: Bed, watched: WatchedConnection): Promise<void> {
  watched.connection.end()
  await watched.until(() => watched.ends.length > 0)
  // Behind the question of the lanes themselves, on each.
  await Promise.all(bed.nodes.map(({ lane }) => lane.settled(10_000)))
}

it('one connection after the other needs one lane', async () => {
  const bed = await prepare()
  for (let n = 0; n < 10; n += 1) {
    const watched = await open(bed)
    await talk(watched, `${n}`)
    await finish(bed, watched)
    expect(watched.ends[0]?.kind).toBe('clean')
  }
  expect(bed.nodes.map(({ served }) => served.length)).toEqual([10])
})

it('connections at the same time have a lane each, of which a few are kept', async () => {
  const bed = await prepare()
  const connections = await Promise.all(Array.from({ length: 40 }, () => open(bed)))
  expect(bed.nodes.map(({ served }) => served.length)).toEqual(Array.from({ length: 40 }, () => 1))
  for (const watched of connections) await finish(bed, watched)
  expect(bed.nodes.filter(({ lane }) => lane.isOpen)).toHaveLength(32)
})

it('a lane that breaks ends its own connection alone, and the next has a new one', async () => {
  const bed = await prepare()
  const broken = await open(bed)
  const whole = await open(bed)
  bed.nodes[0]?.server.abort('the kubelet is gone')
  await broken.until(() => broken.ends.length > 0)
  expect(broken.ends[0]?.kind).toBe('reset')
  await talk(whole, 'still here')
  await talk(await open(bed), 'next')
  expect(bed.nodes).toHaveLength(3)
})

it('a lane that broke while nobody used it is not noticed', async () => {
  const bed = await prepare()
  // Closed, and our end does not know it yet.
  wires[0]?.peer.socket.resetAndDestroy()
  await talk(await open(bed), 'hello')
  expect(bed.nodes).toHaveLength(2)
})

it('a lane whose end does not answer is given up after 5 s, and nobody waits for it', async () => {
  const wire = await openWire()
  wires.push(wire)
  const { peer, socket } = wire
  const clock = new FakeClock()
  const dialled: Node[] = []
  const lanes = createForwardLanes({
    first: openSpdyForward(socket, new Uint8Array(0), { clock }),
    async dial() {
      const fresh = await node()
      dialled.push(fresh)
      return fresh.lane
    },
  })
  const opening = lanes.open(80)
  await peer.until(() => peer.has('SYN_STREAM 3'))
  peer.send(peer.synReply(1), peer.synReply(3))
  const watched = new WatchedConnection(await opening)
  watched.connection.write(bytesOf('unread'))
  watched.connection.fail()
  await peer.until(() => peer.has('PING 9'))
  peer.send(...[1, 3, 5, 7].map((id) => ({ type: 'PING' as const, id })))
  await talk(new WatchedConnection(await lanes.open(80)), 'not held up')
  expect(dialled).toHaveLength(1)
  clock.advance(5000)
  await peer.until(() => peer.closed || peer.ended)
  lanes.abort('test over')
})

it('what the dial says is what the connection is refused with', async () => {
  const bed = await prepare()
  const first = await open(bed)
  bed.refusal = new Error('pods "web-0" is forbidden')
  await expect(bed.lanes.open(80)).rejects.toBe(bed.refusal)
  await talk(first, 'unharmed')
})

it('the end of the session ends every lane: used, free and just being dialled', async () => {
  const bed = await prepare()
  const used = await open(bed)
  const free = await open(bed)
  await finish(bed, free)
  const reopened = await open(bed)
  const late = bed.lanes.open(80)
  bed.lanes.abort('session over')
  await expect(late).rejects.toMatchObject({ id: 1513 })
  await Promise.all([used, reopened].map((one) => one.until(() => one.ends.length > 0)))
  expect(bed.signals.every(({ aborted }) => aborted)).toBe(true)
  expect(bed.nodes.filter(({ lane }) => lane.isOpen)).toEqual([])
  await expect(bed.lanes.open(80)).rejects.toBeDefined()
})
