/** Logs over HTTP, from a client's socket to a cluster that answers as the test wants. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually, settled } from '../../fakes/eventually.ts'
import { readBytes } from '../../fakes/scripted-cluster.ts'
import { pod, policy, prepareGround, type Ground } from './gateway-under-test.ts'
import { LOGS, LOG_PATH, LogBed, nextChunk } from './log-bed.ts'

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

describe('a log', () => {
  it('is shown whole, asked for as the person and marked as the session, and recorded', async () => {
    bed.says('one\ntwo\n')
    const { code, headers, body } = await bed.ask('?container=main&tailLines=10&pretty=true')
    expect([code, headers['content-type'], body.toString()]).toEqual([
      200,
      'text/plain',
      'one\ntwo\n',
    ])
    const [upstream] = bed.under.cluster.seen(LOG_PATH)
    expect(upstream?.url).toBe(`${LOG_PATH}?container=main&tailLines=10`)
    const record = await bed.sealed()
    expect(
      upstream?.headers
        .filter((line) => /^(?:impersonate|authorization|accept-enc)/.test(line))
        .sort(),
    ).toEqual([
      'accept-encoding: identity',
      'authorization: Bearer of-the-gateway',
      ...ground.people.originLines('ana').slice(0, 1),
      `impersonate-extra-podgate.dev%2fsession: ${record._id}`,
      ...ground.people.originLines('ana').slice(1),
      'impersonate-group: dev',
      'impersonate-group: staff',
      'impersonate-uid: ana',
      'impersonate-user: ana',
    ])
    expect(record).toMatchObject({
      operation: 'Logs',
      command: ['--tail=10'],
      content: 'Digest',
      target: { pod: 'web-0', podUID: 'pod-1', container: 'main', image: 'web:1' },
      protocol: { client: 'http' },
      end: { outcome: 'Completed', bytes: { stdin: 0, stdout: 8, stderr: 0 } },
    })
    expect(await bed.events()).toEqual([
      {
        type: 'digest',
        channel: 'stdout',
        bytes: 8,
        sha256: createHash('sha256').update(body).digest('hex'),
      },
      { type: 'request', method: 'GET', path: LOG_PATH, status: 200 },
    ])
  })

  it('is masked, and what is masked is nowhere', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { ...LOGS, masking: { detectors: ['Email'] } }),
    )
    await eventually('the mask', () => bed.under.policies.current()[0]?.masking !== undefined)
    bed.says('mail alice@example.com\n')
    const { body } = await bed.ask()
    expect(body.toString()).toBe('mail *****************\n')
    const record = await bed.sealed()
    expect(record.end).toMatchObject({
      masked: [{ name: 'Email', count: 1 }],
      bytes: { stdout: 23 },
    })
    expect(await bed.events()).toContainEqual(
      expect.objectContaining({ sha256: createHash('sha256').update(body).digest('hex') }),
    )
    expect(JSON.stringify([...bed.under.store.frames.values()])).not.toContain('alice')
  })

  it('is kept in full where a policy says so', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { ...LOGS, recording: { content: 'Full' } }),
    )
    await eventually('the policy', () => bed.under.policies.current()[0]?.content === 'Full')
    bed.says('kept\n')
    expect((await bed.ask()).body.toString()).toBe('kept\n')
    expect((await bed.sealed()).content).toBe('Full')
    const [first] = await bed.entries()
    expect([first?.kind, Buffer.from(first?.data ?? []).toString()]).toEqual(['stdout', 'kept\n'])
  })

  it('leaves the connection to the API server for the next one', async () => {
    bed.says('one\n')
    await bed.ask()
    const { connections } = bed.under.cluster
    for (let n = 0; n < 3; n += 1) expect((await bed.ask()).code).toBe(200)
    expect(bed.under.cluster.connections).toBe(connections)
  })

  it('may be empty', async () => {
    bed.says('')
    expect(await bed.ask()).toMatchObject({ code: 200, body: Buffer.alloc(0) })
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', bytes: { stdout: 0 } })
  })

  it('of a pod without a node is no content, as the API server says', async () => {
    bed.under.cluster.objects.put(
      'pods',
      pod('pod-1', { spec: { containers: [{ name: 'main' }] }, status: { phase: 'Pending' } }),
    )
    bed.node((response) => response.writeHead(204).end())
    expect(await bed.ask()).toMatchObject({ code: 204, body: Buffer.alloc(0) })
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed' })
  })

  it.each([
    ['has ended', { phase: 'Succeeded' }],
    ['waits for its node', { phase: 'Pending' }],
  ])('of a pod that %s is the API server’s to give', async (_name, status) => {
    bed.under.cluster.objects.put('pods', pod('pod-1', { status }))
    bed.says('last words\n')
    expect((await bed.ask()).body.toString()).toBe('last words\n')
  })

  it.each(['init', 'debugger'])('of the container %s is one as well', async (container) => {
    const spec = {
      nodeName: 'n1',
      containers: [{ name: 'main' }],
      initContainers: [{ name: 'init' }],
      ephemeralContainers: [{ name: 'debugger' }],
    }
    bed.under.cluster.objects.put('pods', pod('pod-1', { spec }))
    bed.says('x')
    expect((await bed.ask(`?container=${container}`)).code).toBe(200)
    expect(bed.asked()[0]?.get('container')).toBe(container)
  })

  it('of 24 MB is the same bytes, and the node waits while nobody reads', async () => {
    const block = Buffer.alloc(64 * 1024, 'all work and no play\n')
    const blocks = 384
    let sent = 0
    bed.node((response) => {
      response.writeHead(200)
      const next = (): void => {
        for (; sent < blocks;) {
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
    const response = await bed.follow('')
    const underWay = await settled(() => sent * block.length)
    // Ours is one mebibyte; the sockets of the test have buffers of their own.
    expect(underWay).toBeLessThan(12 * 1024 * 1024)
    const body = await readBytes(response)
    const whole = createHash('sha256')
    for (let n = 0; n < blocks; n += 1) whole.update(block)
    expect(createHash('sha256').update(body).digest('hex')).toBe(whole.digest('hex'))
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed' })
  })
})

describe('following a log', () => {
  it('gets the head at once, and each line as it is written', async () => {
    const writing = bed.live()
    const response = await bed.follow()
    expect([response.statusCode, response.headers['content-type']]).toEqual([200, 'text/plain'])
    const log = await writing
    for (const line of ['first\n', 'second\n']) {
      log.write(line)
      expect(await nextChunk(response)).toBe(line)
    }
    log.end()
    await once(response, 'end')
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', bytes: { stdout: 13 } })
  })

  it('shows a line that might become a value when nothing follows', async () => {
    bed.under.cluster.objects.put(
      'accesspolicies',
      policy('logs', { ...LOGS, masking: { detectors: ['Email'] } }),
    )
    await eventually('the mask', () => bed.under.policies.current()[0]?.masking !== undefined)
    const writing = bed.live()
    const response = await bed.follow()
    const log = await writing
    log.write('password for alice@')
    let shown = ''
    response.on('data', (chunk: Buffer) => (shown += chunk.toString()))
    await eventually('all of it', () => shown === 'password for alice@')
    log.end()
  })

  it('ends with the client, as it always does, and upstream ends within a second', async () => {
    const writing = bed.live()
    const response = await bed.follow()
    const log = await writing
    log.write('line\n')
    await nextChunk(response)
    response.destroy()
    const ms = await eventually('upstream is closed', () => log.destroyed)
    expect(ms).toBeLessThan(1000)
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'Completed',
      message: 'the client stopped following',
      bytes: { stdout: 5 },
    })
  })

  it('may be given up before the node has said anything', async () => {
    let waiting: ServerResponse | undefined
    bed.node((response) => (waiting = response))
    const head = bed.follow()
    head.catch(() => undefined)
    await eventually('the request', () => waiting !== undefined)
    for (const socket of bed.under.clients) socket.destroy()
    await eventually('upstream is closed', () => waiting?.destroyed === true)
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Completed', bytes: { stdout: 0 } })
  })

  it('breaks off when the gateway shuts down, and no new one begins', async () => {
    const writing = bed.live()
    const response = await bed.follow()
    await writing
    const broken = once(response, 'aborted')
    bed.under.shutDown()
    await broken
    await bed.under.gateway.drained()
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed' })
    expect(await bed.ask()).toMatchObject({ code: 503 })
  })
})

describe('a log that is not whole does not look whole', () => {
  it('when the client of one that is not followed leaves', async () => {
    const writing = bed.live()
    const response = await bed.follow('')
    await writing
    response.destroy()
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'ClientLost' })
  })

  it('when the node breaks off', async () => {
    const writing = bed.live()
    const response = await bed.follow()
    const log = await writing
    log.write('half')
    let shown = ''
    response.on('data', (chunk: Buffer) => (shown += chunk.toString()))
    const broken = once(response, 'aborted')
    await eventually('the half', () => shown === 'half')
    log.destroy()
    await broken
    expect([response.complete, shown]).toEqual([false, 'half'])
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'UpstreamLost',
      bytes: { stdout: 4 },
    })
  })

  it('when the store refuses in the middle', async () => {
    const writing = bed.live()
    const response = await bed.follow()
    const log = await writing
    log.write('shown\n')
    await nextChunk(response)
    const broken = once(response, 'aborted')
    bed.under.store.mode = 'refusing'
    log.end('the end\n')
    await broken
    expect(response.complete).toBe(false)
    bed.under.store.mode = 'up'
  })
})
