/**
 * Peers that vanish at every state of a session: by a reset, or by ending their side and staying.
 * Another session goes on all the while, and nothing of theirs is left: no socket on either side,
 * no session without its terminal record.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import { prepareGround, type Ground } from './gateway-under-test.ts'
import {
  ATTACH,
  STDIN_ID,
  SPDY,
  SpdyWords,
  ask,
  openHostileBed,
  spdyData,
  switched,
  webSocketFrame,
  type HostileBed,
} from './hostile-bed.ts'
import { RawClient, signedHead } from './raw-client.ts'

let ground: Ground
let bed: HostileBed

beforeAll(async () => {
  ground = await prepareGround()
  bed = await openHostileBed(ground)
})

afterAll(async () => {
  await bed.close()
  await ground.people.close()
})

const held: (() => void)[] = []

afterEach(() => {
  bed.under.cluster.intercept = undefined
})

/** Whatever the gateway asks of this kind is answered only when the peer has gone. */
function hold(kind: RegExp): void {
  bed.under.cluster.intercept = (_request, response: ServerResponse, url) => {
    if (!kind.test(url.pathname)) return false
    held.push(() => refuse(response, 403, 'Forbidden', 'too late'))
    return true
  }
}

function release(): void {
  bed.under.cluster.intercept = undefined
  for (const answer of held.splice(0)) answer()
}

type Stage = (client: RawClient) => Promise<void> | void

/** A SPDY session that runs, with the pod's leg. */
async function running(client: RawClient): Promise<SpdyWords> {
  const before = bed.under.cluster.sessions.length
  const words = new SpdyWords()
  ask(bed.under, client, 'SPDY')
  await switched(client)
  client.send(words.all())
  await eventually('a session', () => bed.under.cluster.sessions.length > before)
  return words
}

async function runningWebSocket(client: RawClient): Promise<void> {
  const before = bed.under.cluster.sessions.length
  ask(bed.under, client, 'WebSocket')
  await switched(client)
  await eventually('a session', () => bed.under.cluster.sessions.length > before)
}

const STAGES: [string, Stage][] = [
  ['after the TLS handshake', (): void => undefined],
  ['in the request line', (client): void => client.send('POST /api/v1/na')],
  ['in the headers', (client): void => client.send('POST / HTTP/1.1\r\nHost: gateway\r\nAuthor')],
  ['behind the headers', (client): void => ask(bed.under, client, 'SPDY')],
  ['behind the headers of a WebSocket', (client): void => ask(bed.under, client, 'WebSocket')],
  [
    'while its rights are looked up',
    async (client): Promise<void> => {
      hold(/selfsubjectaccessreviews$/)
      ask(bed.under, client, 'SPDY')
      await eventually('a review', () => held.length > 0)
    },
  ],
  [
    'while the pod is read',
    async (client): Promise<void> => {
      hold(/\/pods\/web-0$/)
      ask(bed.under, client, 'SPDY')
      await eventually('a read', () => held.length > 0)
    },
  ],
  [
    'while it waits for an approval',
    async (client): Promise<void> => {
      client.send(signedHead(bed.under, 'ana', `POST ${ATTACH}`, ...SPDY))
      await switched(client)
      const words = new SpdyWords()
      client.send(...['error', 'stdin', 'stdout', 'resize'].map((name) => words.syn(name)))
      await eventually('words', () => client.received.includes('[podgate]'))
    },
  ],
  [
    'right behind the 101',
    async (client): Promise<void> => {
      ask(bed.under, client, 'SPDY')
      await switched(client)
    },
  ],
  [
    'between two streams',
    async (client): Promise<void> => {
      ask(bed.under, client, 'SPDY')
      await switched(client)
      const words = new SpdyWords()
      client.send(words.syn('error'), words.syn('stdin'))
    },
  ],
  [
    'in the middle of the frame that opens a stream',
    async (client): Promise<void> => {
      ask(bed.under, client, 'SPDY')
      await switched(client)
      client.send(new SpdyWords().syn('error').subarray(0, 11))
    },
  ],
  [
    'in the middle of a data frame',
    async (client): Promise<void> => {
      await running(client)
      client.send(spdyData(STDIN_ID, Buffer.alloc(5000)).subarray(0, 3000))
    },
  ],
  [
    'right behind the 101 of a WebSocket',
    async (client): Promise<void> => {
      ask(bed.under, client, 'WebSocket')
      await switched(client)
    },
  ],
  [
    'in the middle of a WebSocket message',
    async (client): Promise<void> => {
      await runningWebSocket(client)
      client.send(webSocketFrame(2, Buffer.alloc(5000)).subarray(0, 3000))
    },
  ],
  [
    'between two pieces of a WebSocket message',
    async (client): Promise<void> => {
      await runningWebSocket(client)
      client.send(webSocketFrame(2, Buffer.alloc(100), false))
    },
  ],
  [
    'while output flows',
    async (client): Promise<void> => {
      await running(client)
      client.socket.pause()
      const pod = bed.upstream()
      for (let n = 0; n < 16; n += 1) pod.write('stdout', Buffer.alloc(256 * 1024, 'x'))
    },
  ],
  [
    'while output flows over a WebSocket',
    async (client): Promise<void> => {
      await runningWebSocket(client)
      client.socket.pause()
      const pod = bed.upstream()
      for (let n = 0; n < 16; n += 1) pod.write('stdout', Buffer.alloc(256 * 1024, 'x'))
    },
  ],
  [
    'while it sends input that the pod does not read',
    async (client): Promise<void> => {
      await running(client)
      const pod = bed.upstream()
      pod.pause()
      held.push(() => pod.resume())
      for (let n = 0; n < 16; n += 1) client.send(spdyData(STDIN_ID, Buffer.alloc(256 * 1024)))
    },
  ],
  [
    'behind the status',
    async (client): Promise<void> => {
      await running(client)
      void bed.upstream().finish(Buffer.from('{"metadata":{},"status":"Success"}'))
      await eventually('the status', () => client.received.includes('"Success"'))
    },
  ],
]

describe.each(STAGES)('a peer that goes %s', (_name, stage) => {
  it.each([
    ['by a reset', (client: RawClient) => client.reset()],
    ['by ending its side', (client: RawClient) => void client.socket.end()],
  ])('%s', async (_how, leave) => {
    const client = await RawClient.openResettable(bed.under)
    try {
      await stage(client)
      leave(client)
      release()
      await bed.onlyTheBystander()
    } finally {
      client.socket.destroy()
    }
  })
})

/** The first bytes of a ClientHello that says it has 512. */
const HELLO = Buffer.from('16030102000100', 'hex')

async function tcp(): Promise<Socket> {
  const socket = connectTcp({ port: bed.under.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'connect')
  return socket
}

describe.each([
  ['nothing', ''],
  ['the beginning of a ClientHello', HELLO],
  ['HTTP without TLS', 'GET / HTTP/1.1\r\nHost: gateway\r\n\r\n'],
  ['a record of TLS that is too long', Buffer.concat([Buffer.from('160301ffff', 'hex'), HELLO])],
  ['64 KiB of zeros', Buffer.alloc(65_536)],
])('before TLS, a peer that sends %s and goes', (_name, bytes) => {
  it.each([
    ['by a reset', (socket: Socket) => void socket.resetAndDestroy()],
    ['by ending its side', (socket: Socket) => void socket.end()],
  ])('%s', async (_how, leave) => {
    const socket = await tcp()
    if (bytes.length > 0) socket.write(bytes)
    leave(socket)
    await bed.onlyTheBystander()
    socket.destroy()
  })
})

it('500 peers at a time that connect and reset leave nothing', async () => {
  const sockets = await Promise.all(Array.from({ length: 500 }, () => tcp()))
  for (const [n, socket] of sockets.entries()) {
    if (n % 2 === 0) socket.write(HELLO)
    socket.resetAndDestroy()
  }
  await bed.onlyTheBystander()
  expect(bed.under.log.filter((line) => line.includes('"level":50'))).toEqual([])
})
