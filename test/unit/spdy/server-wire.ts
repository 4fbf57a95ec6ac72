/** A server leg under test with a raw client at the other end. */
import { acceptSpdySession, type AcceptSpdyOptions } from '../../../lib/spdy/server-session.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import { observe, type Observed } from '../../conformance/observe.ts'
import { FakeClock } from './fake-clock.ts'
import { openWire, type Wire } from './raw-peer.ts'

export const PIPE: StreamName[] = ['error', 'stdin', 'stdout', 'stderr']

const open: Wire[] = []

export async function closeWires(): Promise<void> {
  for (const wire of open.splice(0)) await wire.close()
}

export interface ServerWire extends Wire {
  clock: FakeClock
  session: Promise<StreamSession>
}

export async function wireWith(
  head: Uint8Array,
  options: Partial<AcceptSpdyOptions> = {},
): Promise<ServerWire> {
  const wire = await openWire()
  open.push(wire)
  const clock = new FakeClock()
  const session = acceptSpdySession(wire.socket, head, {
    protocol: 'v4.channel.k8s.io',
    expected: PIPE,
    clock,
    ...options,
  })
  return { ...wire, clock, session }
}

export interface AcceptedWire extends ServerWire {
  leg: StreamSession
  seen: Observed
}

/** Opens the streams as kubectl does, ids 1, 3, 5, ... */
export async function accepted(options: Partial<AcceptSpdyOptions> = {}): Promise<AcceptedWire> {
  const wire = await wireWith(new Uint8Array(0), options)
  const names = options.expected ?? PIPE
  wire.peer.send(...names.map((name, n) => wire.peer.synStream(2 * n + 1, name)))
  const leg = await wire.session
  return { ...wire, leg, seen: observe(leg) }
}
