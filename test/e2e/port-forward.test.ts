/** kubectl port-forward, over the WebSocket tunnel and over SPDY, to a real pod. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { closed } from '../fakes/closed.ts'
import { bulkPod, COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { transcriptEvents } from './support/transcript-events.ts'

/** Answers each line with itself; ends when the client has ended. */
const ECHO = 9001
/** Nobody listens. */
const CLOSED = 9002
/** Listens, and no policy names it. */
const FORBIDDEN = 9003
/** Hangs up without reading. */
const DEAF = 9004
const READY_MS = 30_000
const MANY_MS = 900_000

let shop: Shop

beforeAll(async () => {
  shop = await openShop()
  await shop.apply(podWithEcho('echo-0'))
  await shop.apply({
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'ports', namespace: 'shop' },
    spec: {
      effect: 'Allow',
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: {
        operations: ['PortForward'],
        podSelector: { matchLabels: { app: 'echo' } },
        ports: [ECHO, CLOSED, DEAF],
      },
    },
  })
  await ready('echo-0')
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

function podWithEcho(name: string): object {
  const pod = bulkPod(shop.sandbox.cluster.demoImage) as {
    metadata: object
    spec: { containers: object[] }
  }
  const listen = `nc -ll -p ${FORBIDDEN} -e cat & nc -ll -p ${DEAF} -e true & exec nc -ll -p ${ECHO} -e cat`
  const [container] = pod.spec.containers
  return {
    ...pod,
    metadata: { name, namespace: 'shop', labels: { app: 'echo' } },
    spec: { ...pod.spec, containers: [{ ...container, command: ['sh', '-c', listen] }] },
  }
}

async function ready(pod: string): Promise<void> {
  const wait = ['wait', '-n', 'shop', '--for=condition=Ready', `pod/${pod}`, '--timeout=60s']
  expect((await shop.admin(wait)).code).toBe(0)
}

interface Forward {
  child: ChildProcess
  /** Local port of each remote one. */
  ports: Map<number, number>
  stderr(): string
  ended: Promise<number | null>
}

const running: Forward[] = []

afterEach(async () => {
  for (const { child, ended } of running.splice(0)) {
    child.kill('SIGINT')
    await ended
  }
})

async function forward(pod: string, remote: number[], wire = 'WebSocket'): Promise<Forward> {
  const { kubectl, users } = shop.sandbox.json
  const args = [`--kubeconfig=${users.ana.kubeconfig}`, '-n', 'shop', 'port-forward', pod]
  const child = spawn(kubectl, [...args, ...remote.map((port) => `:${port}`)], {
    cwd: tmpdir(),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, KUBECTL_PORT_FORWARD_WEBSOCKETS: String(wire === 'WebSocket') },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const ports = new Map<number, number>()
  const started: Forward = { child, ports, stderr: () => stderr, ended }
  running.push(started)
  await eventually(
    `kubectl listens for ${remote.join(', ')}; ${stderr}`,
    async () => {
      for (const [, local, port] of stdout.matchAll(/127\.0\.0\.1:(\d+) -> (\d+)/g))
        ports.set(Number(port), Number(local))
      return ports.size === remote.length || child.exitCode !== null
    },
    READY_MS,
  )
  return started
}

async function dial({ ports }: Forward, remote: number): Promise<Socket> {
  const socket = connect(ports.get(remote) ?? 0, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/**
 * What comes back for `text`, as much of it as was sent. Our side ends when all is there: the node
 * gives a pod one second more once a client has half-closed (containerd, sandbox portforward).
 */
async function exchange(started: Forward, text: string | Buffer, remote = ECHO): Promise<Buffer> {
  const socket = await dial(started, remote)
  const wanted = Buffer.byteLength(text)
  const chunks: Buffer[] = []
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= wanted) socket.end()
  })
  socket.write(text)
  await closed(socket)
  return Buffer.concat(chunks)
}

async function answer(started: Forward, text: string, remote = ECHO): Promise<string> {
  return (await exchange(started, text, remote)).toString()
}

async function heard(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

async function sealed(since: Date): Promise<SessionDocument> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  return await eventually('a sealed record', async () => {
    const query = { operation: 'PortForward' as const }
    const [found] = await sessions.find(query).sort({ startedAt: -1 }).limit(1).toArray()
    return found !== undefined && found.startedAt >= since && found.end !== null && found
  })
}

describe.each(['WebSocket', 'SPDY'])('over %s', (wire) => {
  it('bytes go both ways, half-closed and whole, and every connection is in the record', async () => {
    const since = new Date()
    const started = await forward('echo-0', [ECHO], wire)
    const large = Buffer.alloc(8 << 20, 'podgate ')
    expect((await exchange(started, large)).equals(large)).toBe(true)
    const halfClosed = await dial(started, ECHO)
    halfClosed.end('hello')
    expect(await heard(halfClosed)).toBe('hello')
    started.child.kill('SIGINT')
    await started.ended
    const record = await sealed(since)
    expect(record.protocol.client).toContain(wire === 'SPDY' ? 'spdy' : 'tunnel')
    expect(record.end).toMatchObject({
      outcome: 'Completed',
      connections: 2,
      bytes: { stdin: large.length + 5, stdout: large.length + 5 },
    })
    const events = await transcriptEvents(shop, record)
    expect(events.filter(({ type }) => type === 'connectionOpened')).toHaveLength(2)
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'connectionClosed',
        port: ECHO,
        up: expect.objectContaining({ bytes: large.length }) as unknown as object,
      }),
    )
  })

  it('a port that no policy names is refused in words, and kubectl ends with them', async () => {
    const started = await forward('echo-0', [FORBIDDEN], wire)
    expect(await answer(started, 'hello', FORBIDDEN)).toBe('')
    await started.ended
    expect(started.stderr()).toContain('PODGATE-1002')
  })

  it('a port where nobody listens is told in the words of the node', async () => {
    const started = await forward('echo-0', [CLOSED], wire)
    await exchange(started, 'hello', CLOSED)
    await started.ended
    expect(started.stderr()).toMatch(/refused/)
  })

  it('a refused connection does not touch one that is open', async () => {
    const started = await forward('echo-0', [ECHO, CLOSED, FORBIDDEN], wire)
    const socket = await dial(started, ECHO)
    socket.write('one')
    expect(await heard(socket)).toBe('one')
    expect(await answer(started, 'x', CLOSED)).toBe('')
    expect(await answer(started, 'x', FORBIDDEN)).toBe('')
    socket.write('two')
    expect(await heard(socket)).toBe('two')
    socket.destroy()
  })

  it.each([
    { what: 'nobody listens', port: CLOSED },
    { what: 'the pod hangs up unread', port: DEAF },
  ])('what is sent where $what holds up no connection after it', async ({ port }) => {
    const started = await forward('echo-0', [ECHO, port], wire)
    const open = await dial(started, ECHO)
    open.write('one')
    expect(await heard(open)).toBe('one')
    for (let n = 0; n < 10; n += 1) {
      const unread = await dial(started, port)
      for (let piece = 0; piece < 20; piece += 1) unread.write(Buffer.alloc(4096))
      unread.resume()
      await closed(unread)
    }
    for (let n = 0; n < 10; n += 1) {
      const next = await dial(started, ECHO)
      next.write(`next ${n}`)
      expect(await heard(next)).toBe(`next ${n}`)
      next.destroy()
    }
    open.write('two')
    expect(await heard(open)).toBe('two')
    open.destroy()
  })

  it('200 connections that are open at once are all answered', async () => {
    const started = await forward('echo-0', [ECHO], wire)
    const sockets: Socket[] = []
    const ask = async (socket: Socket, text: string): Promise<string> => {
      socket.write(text)
      return await heard(socket)
    }
    // Ten at a time: the listener in the pod has room for a few that wait, as busybox is.
    for (let n = 0; n < 200; n += 10) {
      const batch = await Promise.all(
        Array.from({ length: 10 }, async () => await dial(started, ECHO)),
      )
      await Promise.all(batch.map(async (socket) => await ask(socket, 'hello')))
      sockets.push(...batch)
    }
    const answers = await Promise.all(
      sockets.map(async (socket, n) => await ask(socket, `number ${n}`)),
    )
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => `number ${n}`))
    for (const socket of sockets) socket.destroy()
  })

  it('ends with a reason as soon as its pod is gone', async () => {
    await shop.apply(podWithEcho('gone-0'))
    await ready('gone-0')
    const since = new Date()
    const started = await forward('gone-0', [ECHO], wire)
    expect(await answer(started, 'hello')).toBe('hello')
    await shop.admin(['-n', 'shop', 'delete', 'pod', 'gone-0', '--wait=false'])
    expect(await started.ended).not.toBe(0)
    expect((await sealed(since)).end).toMatchObject({
      outcome: 'UpstreamLost',
      message: expect.stringMatching(/pod gone-0 (was deleted|has ended)/) as unknown as string,
    })
  })
})

/** `PODGATE_FORWARD_CONNECTIONS=10000` for the whole of it. */
const SEQUENTIAL = Number(process.env['PODGATE_FORWARD_CONNECTIONS'] ?? 1000)

it(
  `${SEQUENTIAL} connections one after another are all answered, and nothing of them is left`,
  async () => {
    const since = new Date()
    const started = await forward('echo-0', [ECHO])
    for (let n = 0; n < SEQUENTIAL; n += 1) {
      // Its end is not waited for: the node takes a second over each, also without a gateway.
      const socket = await dial(started, ECHO)
      socket.write(`${n}`)
      const came = await heard(socket)
      socket.destroy()
      if (came !== `${n}`) throw new Error(`connection ${n} was answered by ${came}`)
    }
    started.child.kill('SIGINT')
    await started.ended
    expect((await sealed(since)).end).toMatchObject({ connections: SEQUENTIAL })
  },
  MANY_MS,
)

it('a restart of the API server resets what is open, and the session goes on', async () => {
  const started = await forward('echo-0', [ECHO])
  const open = await dial(started, ECHO)
  open.write('before')
  expect(await heard(open)).toBe('before')
  const cut = closed(open)
  await shop.sandbox.cluster.restartApiServer?.()
  await cut
  const next = await dial(started, ECHO)
  next.write('after')
  expect(await heard(next)).toBe('after')
  expect(started.child.exitCode).toBeNull()
  next.destroy()
}, 150_000)

it('without a policy there is no port-forward at all', async () => {
  const result = await shop.ana(['-n', 'shop', 'port-forward', 'tools-0', ':1'])
  expect(result.code).not.toBe(0)
  expect(result.stderr).toContain('PODGATE-1002')
})
