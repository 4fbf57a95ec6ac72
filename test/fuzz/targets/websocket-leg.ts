/**
 * The leg facing kubectl, `ws` included: masked frames on a wire, cut anywhere. The first byte of an
 * input chooses the protocol and what the session expects.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'

import type { StreamName } from '../../../lib/streams/channel.ts'
import { acceptWebSocketSession } from '../../../lib/websocket/server-session.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'
import { cutsOf } from '../cuts.ts'
import { broken, type Target } from '../target.ts'
import { clientFrame, opcode, upgradeRequest, Wire, type ClientFrame } from '../websocket-wire.ts'

/** Small, so that inputs of this size get past them. */
const LIMITS = { maxMessageBytes: 300, maxFragments: 6 }
/** The answer to the upgrade, the greeting and a close frame. */
const OWN_BYTES = 400
const LONGEST_WAIT_MS = 900_000

/** Everything the session told, in order. */
async function converse(choice: number, pieces: readonly Uint8Array[]): Promise<string[]> {
  const [wire, clock, events] = [new Wire(), new FakeClock(), [] as string[]]
  const expected: StreamName[] = ['error', 'stdout']
  if ((choice & 2) === 0) expected.push('stdin')
  if ((choice & 4) === 0) expected.push('resize')
  const protocol = (choice & 1) === 0 ? 'v5.channel.k8s.io' : 'v4.channel.k8s.io'
  const session = await acceptWebSocketSession(upgradeRequest(protocol), wire, Buffer.alloc(0), {
    protocol,
    expected,
    clock,
    limits: LIMITS,
  })
  session.start({
    onData: (channel, data) => events.push(`${channel} ${Buffer.from(data).toString('latin1')}`),
    onEnd: (channel) => events.push(`end ${channel}`),
    onDrain: () => undefined,
    onClose: ({ kind, detail }) => events.push(`close ${kind} ${detail}`),
  })
  await nextTurn()
  let sent = 0
  for (const piece of pieces) {
    if (!wire.destroyed) wire.push(piece)
    sent += piece.length
    await nextTurn()
  }
  // Each ping is answered by a pong that is shorter.
  if (wire.taken > sent + OWN_BYTES)
    throw broken('more is answered than was sent', wire.taken, sent)
  if (!wire.destroyed) wire.push(null)
  await nextTurn()
  clock.advance(LONGEST_WAIT_MS)
  await nextTurn()
  if (!wire.destroyed) throw broken('the socket outlives its end', events)
  if (clock.pending !== 0) throw broken('timers outlive the session', events)
  return events
}

function checkOrder(events: readonly string[]): void {
  const closes = events.filter((event) => event.startsWith('close '))
  if (closes.length !== 1 || events.at(-1) !== closes[0])
    throw broken('the end is not told once, and last', events)
  const end = events.indexOf('end stdin')
  if (end !== -1 && events.slice(end + 1).some((event) => event.startsWith('stdin ')))
    throw broken('stdin goes on after its end', events)
  if (events.some((event) => !/^(?:stdin|resize|end stdin|close) ?/.test(event)))
    throw broken('a channel is told that no client may write', events)
}

const channel = fc.constantFrom(0, 0, 0, 4, 4, 255, 1, 3, 5)
const payload = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(channel, fc.uint8Array({ maxLength: 20 })) },
  { weight: 1, arbitrary: fc.tuple(channel, fc.uint8Array({ minLength: 120, maxLength: 310 })) },
)
const frame: fc.Arbitrary<ClientFrame> = fc.record({
  first: opcode,
  masked: fc.constantFrom(128, 128, 128, 128, 128, 128, 0),
  payload: fc.oneof(
    { weight: 5, arbitrary: payload.map(([id, rest]) => Uint8Array.from([id, ...rest])) },
    { weight: 1, arbitrary: fc.constantFrom(Uint8Array.of(255, 0), Uint8Array.of(255, 4)) },
  ),
})

export const target: Target = {
  about: 'WebSocket frames of a client, up to the session (lib/websocket/leg.ts, with ws)',
  covers: ['lib/websocket/', 'node_modules/ws/lib/receiver.js'],
  maxBytes: 700,
  inputs: fc
    .tuple(fc.nat({ max: 7 }), fc.array(frame, { maxLength: 8 }))
    .map(([choice, frames]) => Buffer.concat([Buffer.from([choice]), ...frames.map(clientFrame)])),
  async check(input) {
    const choice = input[0] ?? 0
    const bytes = Buffer.from(input.subarray(1))
    const whole = await converse(choice, [Buffer.from(bytes)])
    checkOrder(whole)
    for (const pieces of cutsOf(bytes)) {
      // ws unmasks in place, so each conversation gets bytes of its own.
      const cut = await converse(
        choice,
        pieces.map((piece) => Buffer.from(piece)),
      )
      if (!isDeepStrictEqual(cut, whole))
        throw broken('a cut of the bytes changes what is told', pieces.length, whole, cut)
    }
  },
}
