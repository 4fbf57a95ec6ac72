/** What pods send while the one wire to the client, or the transcript, can take no more. */
import { describe, expect, it } from '@jest/globals'

import { createForward, type ForwardOptions } from '../../../../lib/proxy/forward/run-forward.ts'
import type { Entry } from '../../../../lib/recording/frame.ts'
import type { ConnectionHandlers, ForwardConnection } from '../../../../lib/streams/forward.ts'
import { eventually } from '../../../fakes/eventually.ts'

class ScriptedConnection implements ForwardConnection {
  readonly id: number
  readonly port = 80
  readonly bufferedBytes = 0
  handlers: ConnectionHandlers | undefined
  hasRoom = true
  isPaused = false

  constructor(id: number) {
    this.id = id
  }

  start(handlers: ConnectionHandlers): void {
    this.handlers = handlers
  }

  write(): boolean {
    return this.hasRoom
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  end(): void {}
  finish(): void {}

  fail(): void {
    this.handlers?.onClose({ kind: 'local', detail: 'cut' })
  }
}

interface Bed {
  clients: ScriptedConnection[]
  pods: ScriptedConnection[]
  /** The client opens one more. */
  connect(): Promise<void>
  stored: Entry[]
  acknowledge(): void
  paused(): boolean[]
}

async function bed(content: 'Full' | 'Digest', connections: number): Promise<Bed> {
  const clients: ScriptedConnection[] = []
  const pods: ScriptedConnection[] = []
  const stored: Entry[] = []
  let acknowledged = 0
  let onConnection: (connection: ForwardConnection) => void = () => {}
  const session = {
    admission: { decision: { obligations: { content } } },
    elapsedMs: () => 0,
    recording: {
      id: 's-1',
      get outstandingBytes() {
        return stored.slice(acknowledged).reduce((sum, { data }) => sum + data.length, 0)
      },
      append: (entry: Entry) => {
        stored.push(entry)
        if (entry.kind === 'event') queueMicrotask(acknowledge)
      },
      seal: async () => {},
    },
  }
  const forward = createForward({
    session: session as unknown as ForwardOptions['session'],
    gate: { pass: () => Promise.resolve({ policies: [] }) },
    upstream: {
      open() {
        const pod = new ScriptedConnection(0)
        pods.push(pod)
        return Promise.resolve(pod)
      },
      abort() {},
    },
    client: {
      protocol: 'scripted',
      start: (handlers) => ({ onConnection } = handlers),
      finish: () => Promise.resolve(),
      abort() {},
    },
  })
  function acknowledge(): void {
    const fresh = stored.slice(acknowledged)
    acknowledged = stored.length
    forward.hooks.onRelease(fresh)
  }
  void forward.run()
  const made: Bed = {
    clients,
    pods,
    stored,
    acknowledge,
    paused: () => pods.map(({ isPaused }) => isPaused),
    async connect() {
      const client = new ScriptedConnection(clients.length + 1)
      clients.push(client)
      onConnection(client)
      await eventually(
        'the pod',
        () => pods.at(-1)?.handlers !== undefined && client.handlers !== undefined,
      )
    },
  }
  for (let n = 0; n < connections; n += 1) await made.connect()
  return made
}

describe('a wire to the client that is full', () => {
  it('holds every pod, also of connections that come then, until there is room', async () => {
    const { clients, pods, paused, connect } = await bed('Digest', 3)
    for (const client of clients) client.hasRoom = false
    pods[0]?.handlers?.onData(Buffer.from('more'))
    expect(paused()).toEqual([true, true, true])
    await connect()
    expect(paused()).toEqual([true, true, true, true])
    for (const client of clients) client.hasRoom = true
    clients[0]?.handlers?.onDrain()
    expect(paused()).toEqual([false, false, false, false])
  })

  it('holds nobody any longer when the connection that would be told of room is gone', async () => {
    const { clients, pods, paused } = await bed('Digest', 2)
    for (const client of clients) client.hasRoom = false
    pods[0]?.handlers?.onData(Buffer.from('more'))
    expect(paused()).toEqual([true, true])
    clients[0]?.handlers?.onClose({ kind: 'reset', detail: 'cancelled' })
    expect(paused()[1]).toBe(false)
    pods[1]?.handlers?.onData(Buffer.from('and more'))
    expect(paused()[1]).toBe(true)
    clients[1]?.handlers?.onDrain()
    expect(paused()[1]).toBe(false)
  })
})

describe('a transcript that can take no more', () => {
  it('holds every pod until the store has answered', async () => {
    const { pods, paused, acknowledge } = await bed('Full', 3)
    pods[1]?.handlers?.onData(Buffer.alloc(600 * 1024))
    expect(paused()).toEqual([true, true, true])
    acknowledge()
    expect(paused()).toEqual([false, false, false])
  })
})
