/** Port-forward from a real client leg through the gateway to a real upstream leg. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { afterAll, afterEach, beforeAll } from '@jest/globals'

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
import {
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

export type Spec = NonNullable<Parameters<typeof policy>[1]>

export const PORTS: Spec = { match: { operations: ['PortForward'], ports: [80, 81] } }

export function echo(connection: ForwardConnection): void {
  connection.start({
    onData: (data) => connection.write(data),
    onEnd: () => connection.finish(),
    onDrain: () => undefined,
    onClose: () => undefined,
  })
}

export class ForwardBed {
  /** What the node was asked for, by port. */
  dialled: { port: number; connection: ForwardConnection }[] = []
  upstreams: ForwardServerSession[] = []
  /** What a port of the pod does; by default it repeats what it hears. */
  serve: (connection: ForwardConnection) => void = echo
  #ground: Ground | undefined
  #under: GatewayUnderTest | undefined

  get under(): GatewayUnderTest {
    if (this.#under === undefined) throw new Error('not started')
    return this.#under
  }

  get #people(): Ground['people'] {
    if (this.#ground === undefined) throw new Error('not prepared')
    return this.#ground.people
  }

  async prepare(): Promise<void> {
    this.#ground = await prepareGround()
  }

  async start(...specs: Spec[]): Promise<void> {
    if (this.#ground === undefined) throw new Error('not prepared')
    this.dialled = []
    this.upstreams = []
    this.serve = echo
    const policies = (specs.length === 0 ? [PORTS] : specs).map((spec, n) => policy(`p${n}`, spec))
    const under = await startGatewayUnderTest(this.#ground, policies)
    this.#under = under
    under.cluster.requests.length = 0
    under.cluster.upgrade = (socket, request, head) => this.#acceptUpstream(socket, request, head)
  }

  async open(): Promise<ForwardClientSession> {
    const dialer = createForwardDialer({
      endpoint: {
        ...this.under.cluster.endpoint,
        port: this.under.port,
        authorization: () => Promise.resolve(this.#people.bearer('ana')),
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

  async refusalOf(): Promise<string> {
    return await this.open().then(
      () => 'it was opened',
      (error: unknown) => (error as { status: { message: string } }).status.message,
    )
  }

  async sealed(): Promise<SessionDocument> {
    const find = (): SessionDocument | undefined =>
      [...this.under.store.sessions.values()].find(({ end }) => end !== null)
    await eventually('a sealed record', () => find() !== undefined)
    return find() as SessionDocument
  }

  async events(): Promise<SessionEvent[]> {
    const { _id } = await this.sealed()
    const found: SessionEvent[] = []
    for (let seq = 0; ; seq++) {
      const frame = await this.under.store.getFrame(_id, seq)
      if (frame === undefined || frame.kind === 'end') return found
      for (const { kind, data } of await decodeFrame(frame)) {
        const event = kind === 'event' ? parseEvent(data) : undefined
        if (event !== undefined) found.push(event)
      }
    }
  }

  async stop(): Promise<void> {
    for (const session of this.upstreams) session.abort('test over')
    await this.#under?.close()
  }

  async close(): Promise<void> {
    await this.#people.close()
  }

  /** The node's end of a port-forward. */
  async #acceptUpstream(socket: Duplex, request: IncomingMessage, head: Buffer): Promise<void> {
    const negotiation = negotiateForward(request)
    if (negotiation.kind === 'refused') throw negotiation.error
    const session = await acceptForward(request, socket, head, negotiation, { query: '' })
    this.upstreams.push(session)
    session.start({
      onConnection: (connection) => {
        this.dialled.push({ port: connection.port, connection })
        this.serve(connection)
      },
      onClose: () => undefined,
    })
  }
}

/** Made before the tests of a file and ended after them. */
export function prepareForwardBed(): ForwardBed {
  const bed = new ForwardBed()
  beforeAll(() => bed.prepare())
  afterEach(() => bed.stop())
  afterAll(() => bed.close())
  return bed
}
