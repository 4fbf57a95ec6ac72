/** Logs over a WebSocket, as some web consoles read them. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { WebSocket } from 'ws'

import { eventually, settled } from '../../fakes/eventually.ts'
import { refuse } from '../../fakes/scripted-cluster.ts'
import { policy, prepareGround, type Ground } from './gateway-under-test.ts'
import { LOGS, LOG_PATH, LogBed } from './log-bed.ts'

let ground: Ground
let bed: LogBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

beforeEach(async () => {
  bed = await LogBed.start(ground)
})

afterEach(async () => {
  await bed.under.close()
})

interface Reader {
  socket: WebSocket
  messages: { data: Buffer; isBinary: boolean }[]
  text(): string
  /** Close code; 1006 where there was none. */
  closed: Promise<number>
}

function read(protocols: string[] = ['binary.k8s.io'], query = ''): Reader {
  const socket = new WebSocket(`wss://127.0.0.1:${bed.under.port}${LOG_PATH}${query}`, protocols, {
    ca: bed.under.ca,
    headers: { authorization: ground.people.bearer('ana') },
  })
  const messages: Reader['messages'] = []
  socket.on('message', (data: Buffer, isBinary) => messages.push({ data, isBinary }))
  socket.on('error', () => undefined)
  const closed = once(socket, 'close').then(([code]) => code as number)
  const text = (): string => Buffer.concat(messages.map(({ data }) => data)).toString()
  return { socket, messages, text, closed }
}

async function refusal(protocols?: string[], query?: string): Promise<[number, string]> {
  const { socket } = read(protocols, query)
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    AsyncIterable<Buffer> & { statusCode: number },
  ]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const { message } = JSON.parse(Buffer.concat(chunks).toString()) as { message: string }
  return [response.statusCode, message]
}

describe('a log over a WebSocket', () => {
  it.each([
    ['binary.k8s.io', ['binary.k8s.io'], true],
    ['no subprotocol', [], true],
    ['base64.binary.k8s.io', ['base64.binary.k8s.io'], false],
  ])('with %s is the same log', async (_name, protocols, isBinary) => {
    bed.says('one\ntwo\n')
    const { socket, messages, text, closed } = read(protocols, '?tailLines=2')
    expect(await closed).toBe(1000)
    expect(socket.protocol).toBe(protocols[0] ?? '')
    expect(new Set(messages.map((message) => message.isBinary))).toEqual(new Set([isBinary]))
    const shown = isBinary ? text() : Buffer.from(text(), 'base64').toString()
    expect(shown).toBe('one\ntwo\n')
    expect(bed.asked().map(String)).toEqual(['container=main&tailLines=2'])
    expect(await bed.sealed()).toMatchObject({
      operation: 'Logs',
      protocol: { client: `websocket ${protocols[0] ?? ''}`.trim() },
      end: { outcome: 'Completed', bytes: { stdout: 8 } },
    })
  })

  it('is masked', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { ...LOGS, masking: { detectors: ['Email'] } }),
    )
    await eventually('the mask', () => bed.under.policies.current()[0]?.masking !== undefined)
    bed.says('mail alice@example.com\n')
    const { text, closed } = read()
    await closed
    expect(text()).toBe('mail *****************\n')
  })

  it('comes line by line, and ends upstream when the client closes', async () => {
    const writing = bed.live()
    const { socket, text } = read(undefined, '?follow=true')
    const log = await writing
    log.write('first\n')
    await eventually('the first line', () => text() === 'first\n')
    log.write('second\n')
    await eventually('the second line', () => text() === 'first\nsecond\n')
    // Whatever a client says is ignored, as by the API server.
    socket.send('hello')
    socket.close(1000)
    await eventually('upstream is closed', () => log.destroyed)
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'Completed',
      message: 'the client stopped following',
    })
  })

  it('does not look whole when the node breaks off', async () => {
    const writing = bed.live()
    const { text, closed } = read(undefined, '?follow=true')
    const log = await writing
    log.write('half')
    await eventually('the half', () => text() === 'half')
    log.destroy()
    expect(await closed).not.toBe(1000)
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'UpstreamLost' })
  })

  it('of 16 MB is the same bytes, and the node waits while nobody reads', async () => {
    const block = Buffer.alloc(64 * 1024, 'all work and no play\n')
    const blocks = 256
    let sent = 0
    bed.node((response) => {
      response.writeHead(200)
      const next = (): void => {
        while (sent < blocks) {
          sent += 1
          if (!response.write(block)) {
            response.once('drain', next)
            return
          }
        }
        response.end()
      }
      next()
    })
    const { socket, text, closed } = read()
    await once(socket, 'open')
    socket.pause()
    expect(await settled(() => sent * block.length)).toBeLessThan(12 * 1024 * 1024)
    socket.resume()
    expect(await closed).toBe(1000)
    const whole = createHash('sha256')
    for (let n = 0; n < blocks; n += 1) whole.update(block)
    expect(createHash('sha256').update(text()).digest('hex')).toBe(whole.digest('hex'))
  })
})

describe('is refused before the handshake is answered:', () => {
  it('a subprotocol of streams', async () => {
    expect(await refusal(['v4.channel.k8s.io'])).toEqual([
      403,
      expect.stringContaining('PODGATE-1203'),
    ])
  })

  it('a wrong parameter', async () => {
    expect(await refusal(undefined, '?tailLines=x')).toEqual([
      400,
      expect.stringContaining('PODGATE-1011'),
    ])
  })

  it('who has no policy', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { match: { operations: ['Exec'] } }),
    )
    await eventually(
      'the policy',
      () => bed.under.policies.current()[0]?.operations.includes('Exec') === true,
    )
    expect(await refusal()).toEqual([403, expect.stringContaining('PODGATE-1002')])
    expect(bed.asked()).toEqual([])
  })

  it('what the API server refuses, in its own words', async () => {
    const words = 'container "main" in pod "web-0" is waiting to start: ContainerCreating'
    bed.node((response) => refuse(response, 400, 'BadRequest', words))
    expect(await refusal()).toEqual([400, words])
  })

  it('a pod without a node', async () => {
    bed.node((response) => response.writeHead(204).end())
    expect(await refusal()).toEqual([400, expect.stringContaining('does not have a host assigned')])
  })
})
