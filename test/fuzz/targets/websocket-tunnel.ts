/**
 * The tunnel of port-forward: binary messages whose boundaries mean nothing, and the bytes that come
 * out of them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'

import { acceptTunnel } from '../../../lib/websocket/tunnel.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'
import { cutsOf } from '../cuts.ts'
import { broken, type Target } from '../target.ts'
import { clientFrame, opcode, upgradeRequest, Wire } from '../websocket-wire.ts'

/** Small, so that inputs of this size get past them. */
const LIMITS = { maxMessageBytes: 300, maxFragments: 6 }
/** The answer to the upgrade and a close frame. */
const OWN_BYTES = 400
const LONGEST_WAIT_MS = 900_000

interface Told {
  bytes: string
  ends: string[]
}

async function converse(pieces: readonly Uint8Array[]): Promise<Told> {
  const [wire, clock] = [new Wire(), new FakeClock()]
  const told: Told = { bytes: '', ends: [] }
  const request = upgradeRequest('SPDY/3.1+portforward.k8s.io')
  const tunnel = await acceptTunnel(request, wire, Buffer.alloc(0), { clock, limits: LIMITS })
  tunnel.on('data', (chunk: Buffer) => (told.bytes += chunk.toString('latin1')))
  tunnel.on('end', () => told.ends.push('end'))
  tunnel.on('error', (error) => told.ends.push(error.message))
  await nextTurn()
  let sent = 0
  for (const piece of pieces) {
    if (!wire.destroyed) wire.push(piece)
    sent += piece.length
    await nextTurn()
  }
  if (wire.taken > sent + OWN_BYTES)
    throw broken('more is answered than was sent', wire.taken, sent)
  if (told.bytes.length > sent) throw broken('more comes out than went in', told, sent)
  if (!wire.destroyed) wire.push(null)
  await nextTurn()
  tunnel.destroy()
  await nextTurn()
  clock.advance(LONGEST_WAIT_MS)
  await nextTurn()
  if (!wire.destroyed) throw broken('the socket outlives its end', told)
  if (clock.pending !== 0) throw broken('timers outlive the tunnel', told)
  if (told.ends.length > 1) throw broken('the end is told twice', told)
  return told
}

const frame = fc.record({
  first: opcode,
  masked: fc.constantFrom(128, 128, 128, 128, 128, 128, 0),
  payload: fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 20 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 310 }) },
  ),
})

export const target: Target = {
  about: 'the tunnel of port-forward in a WebSocket (lib/websocket/tunnel.ts, with ws)',
  covers: ['lib/websocket/', 'node_modules/ws/lib/receiver.js'],
  maxBytes: 700,
  inputs: fc.array(frame, { maxLength: 8 }).map((frames) => Buffer.concat(frames.map(clientFrame))),
  async check(input) {
    const whole = await converse([Buffer.from(input)])
    for (const pieces of cutsOf(input)) {
      // ws unmasks in place, so each conversation gets bytes of its own.
      const cut = await converse(pieces.map((piece) => Buffer.from(piece)))
      if (!isDeepStrictEqual(cut, whole))
        throw broken('a cut of the bytes changes what comes out', pieces.length, whole, cut)
    }
  },
}
