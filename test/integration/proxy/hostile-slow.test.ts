/**
 * Peers that stay and say nothing, or a byte now and then: half-open connections, whose other end
 * has vanished without a word, look the same. The times are short here and the operator's to set.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { prepareGround, type Ground } from './gateway-under-test.ts'
import { SpdyWords, ask, openHostileBed, switched, type HostileBed } from './hostile-bed.ts'
import { RawClient } from './raw-client.ts'

const OPEN_MS = 300
const PING_MS = 100
const DEAD_AFTER_MS = 300
const DRIP_MS = 20

let ground: Ground
let bed: HostileBed

beforeAll(async () => {
  ground = await prepareGround()
  bed = await openHostileBed(ground, {
    openMs: OPEN_MS,
    pingMs: PING_MS,
    deadAfterMs: DEAD_AFTER_MS,
  })
})

afterAll(async () => {
  await bed.close()
  await ground.people.close()
})

/** Sends byte by byte until the connection is gone; the last byte of `bytes` for ever. */
function drip(client: RawClient, bytes: Uint8Array): void {
  let at = 0
  const timer = setInterval(() => {
    client.send(bytes.subarray(at, at + 1))
    at = Math.min(at + 1, bytes.length - 1)
  }, DRIP_MS)
  client.socket.once('close', () => clearInterval(timer))
}

type Peer = (client: RawClient) => Promise<void>

it.each<[string, Peer]>([
  [
    'opens its SPDY streams byte by byte',
    async (client) => {
      ask(bed.under, client, 'SPDY')
      await switched(client)
      drip(client, new SpdyWords().all())
    },
  ],
  [
    'opens two of four SPDY streams',
    async (client) => {
      ask(bed.under, client, 'SPDY')
      await switched(client)
      const words = new SpdyWords()
      client.send(words.syn('error'), words.syn('stdin'))
    },
  ],
  [
    'answers no SPDY ping',
    async (client) => {
      const before = bed.under.cluster.sessions.length
      ask(bed.under, client, 'SPDY')
      await switched(client)
      client.send(new SpdyWords().all())
      await eventually('a session', () => bed.under.cluster.sessions.length > before)
    },
  ],
  [
    'answers no WebSocket ping',
    async (client) => {
      const before = bed.under.cluster.sessions.length
      ask(bed.under, client, 'WebSocket')
      await switched(client)
      await eventually('a session', () => bed.under.cluster.sessions.length > before)
    },
  ],
])('a client that %s is given up, and it alone', async (_name, begin) => {
  const client = await RawClient.open(bed.under)
  await begin(client)
  const ms = await eventually('it is given up', () => client.closed)
  expect(ms).toBeLessThan(OPEN_MS + DEAD_AFTER_MS + 3000)
  await bed.onlyTheBystander()
})
