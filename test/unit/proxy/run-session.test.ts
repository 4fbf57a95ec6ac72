import { afterEach, describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { compileMaskRules, createMasker } from '../../../lib/masking/masker.ts'
import { openRecording, type Recording } from '../../../lib/recording/recorder.ts'
import type { SessionEnd } from '../../../lib/recording/session-document.ts'
import { createRunningSession, type RunningSession } from '../../../lib/proxy/run-session.ts'
import { createMetrics } from '../../../lib/telemetry/metrics.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { fakeSession, type FakeSession } from '../../fakes/stream-session.ts'

const SUCCESS = '{"metadata":{},"status":"Success"}'
const EXIT_3 =
  '{"metadata":{},"status":"Failure","reason":"NonZeroExitCode","message":"x","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'

interface Setup {
  client: FakeSession
  upstream: FakeSession
  store: MemoryStore
  session: RunningSession
  stop: AbortController
  recording: Recording
  end: Promise<SessionEnd>
}

const open: Setup[] = []

afterEach(async () => {
  for (const setup of open.splice(0)) {
    setup.store.mode = 'up'
    for (const seq of setup.store.held) setup.store.answer(seq)
    setup.upstream.closeFromPeer({ kind: 'lost', detail: 'test over' })
    await setup.recording.seal(await setup.end)
  }
})

async function start(
  options: { expiresInMs?: number; protocol?: string; stallMs?: number } = {},
): Promise<Setup> {
  const client = fakeSession()
  const upstream = fakeSession(options.protocol)
  const store = createMemoryStore()
  const stop = new AbortController()
  const late: { session?: RunningSession } = {}
  const recording = await openRecording(
    store,
    {
      id: 's-1',
      user: { username: 'ana', groups: ['dev'], issuer: 'https://idp' },
      operation: 'Exec',
      target: {
        cluster: 'c',
        namespace: 'shop',
        pod: 'web-0',
        podUID: 'u',
        container: 'main',
        image: 'i',
      },
      command: ['sh'],
      tty: false,
      stdin: true,
      content: 'Full',
      policies: [],
      client: { address: '127.0.0.1', userAgent: 'kubectl' },
      protocol: {},
      startedAt: new Date(0),
    },
    {
      onRelease: (entries) => late.session?.pump.release(entries),
      onFailure: (error) => late.session?.pump.fail(error),
    },
    { stallMs: options.stallMs ?? 60_000 },
  )
  const rules = compileMaskRules({ detectors: ['Email'], patterns: [], mode: 'Redact' })
  const session = createRunningSession({
    client,
    upstream,
    recording,
    maskers: { stdout: createMasker(rules), stderr: createMasker(rules) },
    elapsedMs: () => 0,
    expiresInMs: options.expiresInMs,
    stop: stop.signal,
    metrics: createMetrics('test', () => 0),
  })
  late.session = session
  client.start(session.pump.clientHandlers)
  const setup = { client, upstream, store, session, stop, recording, end: session.run() }
  open.push(setup)
  return setup
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 4000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('the condition did not come true')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a session from its first byte to its end', () => {
  it('I10: delivers all output before the status, and the exit code as it was', async () => {
    const { client, upstream, end } = await start()
    upstream.send('stdout', 'hello ')
    upstream.send('stderr', 'oops')
    upstream.send('stdout', 'world')
    upstream.send('error', EXIT_3)
    upstream.closeFromPeer({ kind: 'clean', detail: '' })
    await expect(end).resolves.toMatchObject({
      outcome: 'Completed',
      exitCode: 3,
      bytes: { stdin: 0, stdout: 11, stderr: 4 },
    })
    expect(client.written).toEqual({ stdout: 'hello world', stderr: 'oops' })
    expect(client.log.at(-1)).toBe(`finish ${EXIT_3}`)
  })

  it('masks before it records and counts what it masked', async () => {
    const { client, upstream, store, end } = await start()
    upstream.send('stdout', 'mail ana@exam')
    upstream.send('stdout', 'ple.com now\n')
    upstream.send('error', SUCCESS)
    upstream.closeFromPeer({ kind: 'clean', detail: '' })
    await expect(end).resolves.toMatchObject({ masked: { Email: 1 }, exitCode: 0 })
    expect(client.written['stdout']).toBe(`mail ${'*'.repeat(15)} now\n`)
    expect(JSON.stringify([...store.frames.values()])).not.toContain('ana@')
  })

  it('I2: shows nothing that the store has not acknowledged', async () => {
    const { client, upstream, store, end } = await start()
    store.holding = true
    upstream.send('stdout', 'secret plan\n')
    await until(() => store.held.length > 0)
    expect(client.written).toEqual({})
    store.holding = false
    for (const seq of store.held) store.answer(seq)
    await until(() => client.written['stdout'] === 'secret plan\n')
    upstream.send('error', SUCCESS)
    upstream.closeFromPeer({ kind: 'clean', detail: '' })
    await end
  })

  it('ends with words when the store goes away, and shows nothing unrecorded', async () => {
    const { client, upstream, store, end } = await start({ stallMs: 20 })
    store.mode = 'down'
    upstream.send('stdout', 'never shown\n')
    await expect(end).resolves.toMatchObject({ outcome: 'StoreLost' })
    expect(client.written).toEqual({})
    expect(client.log.at(-1)).toContain('PODGATE-1012')
    expect(upstream.log).toContain('abort')
  })

  it('ends with words when the store goes away between the last output and the status', async () => {
    const { client, upstream, store, end } = await start({ stallMs: 20 })
    store.mode = 'down'
    upstream.send('stdout', 'never shown\n')
    upstream.send('error', SUCCESS)
    upstream.closeFromPeer({ kind: 'clean', detail: '' })
    await expect(end).resolves.toMatchObject({ outcome: 'StoreLost' })
    expect(client.log.at(-1)).toContain('PODGATE-1012')
  })

  it.each([
    {
      name: 'a cut before the status',
      protocol: 'SPDY/3.1 v4.channel.k8s.io',
      send: '',
      kind: 'lost' as const,
    },
    {
      name: 'a polite close without a status over WebSocket',
      protocol: 'WebSocket v5.channel.k8s.io',
      send: '',
      kind: 'clean' as const,
    },
    {
      name: 'a status that is no Status',
      protocol: 'SPDY/3.1 v4.channel.k8s.io',
      send: 'gibberish',
      kind: 'clean' as const,
    },
  ])('I10: $name never looks like success', async ({ protocol, send, kind }) => {
    const { client, upstream, end } = await start({ protocol })
    if (send !== '') upstream.send('error', send)
    upstream.closeFromPeer({ kind, detail: '' })
    await expect(end).resolves.toMatchObject({ outcome: 'UpstreamLost' })
    expect(client.log.at(-1)).toContain('"Failure"')
  })

  it('takes an empty error stream over SPDY for success, as kubectl does', async () => {
    const { upstream, end, session } = await start({ protocol: 'SPDY/3.1 v4.channel.k8s.io' })
    expect(session.pump.counts.stdout).toBe(0)
    for (const channel of ['stdout', 'stderr', 'error'] as const) upstream.handlers?.onEnd(channel)
    await expect(end).resolves.toMatchObject({ outcome: 'Completed', exitCode: 0 })
  })

  it('drops the upstream leg when the client vanishes', async () => {
    const { client, upstream, end } = await start()
    client.closeFromPeer({ kind: 'lost', detail: 'reset' })
    await expect(end).resolves.toMatchObject({ outcome: 'ClientLost' })
    expect(upstream.log).toEqual(['abort'])
  })

  it('ends when the approved time is over', async () => {
    const { client, end } = await start({ expiresInMs: 1 })
    await expect(end).resolves.toMatchObject({ outcome: 'Expired' })
    expect(client.log.at(-1)).toContain('PODGATE-1007')
  })

  it('ends with words when the gateway shuts down', async () => {
    const { client, stop, end } = await start()
    stop.abort(new GatewayError('ServiceUnavailable', 'shutting down', { id: 1031 }))
    await end
    expect(client.log.at(-1)).toContain('PODGATE-1031')
  })
})

describe('back-pressure', () => {
  it('stops reading the client while the pod takes no input', async () => {
    const { client, upstream } = await start()
    upstream.room = 3
    client.send('stdin', 'abcdef')
    expect(client.paused).toBe(true)
    upstream.drain()
    expect(client.paused).toBe(false)
  })

  it('I6: stops reading the pod while the store does not acknowledge', async () => {
    const { upstream, store } = await start()
    store.holding = true
    const chunk = 'x'.repeat(32 * 1024 - 1)
    for (let i = 0; i < 32 && !upstream.paused; i += 1) upstream.send('stdout', `${chunk}\n`)
    expect(upstream.paused).toBe(true)
    store.holding = false
    await until(() => {
      for (const seq of store.held) store.answer(seq)
      return !upstream.paused
    })
  })

  it('I6: stops reading the pod while the client reads nothing', async () => {
    const { client, upstream } = await start()
    client.buffered = 1024 * 1024
    upstream.send('stdout', 'a\n')
    expect(upstream.paused).toBe(true)
    await until(() => client.written['stdout'] === 'a\n')
    client.drain()
    expect(upstream.paused).toBe(false)
  })
})

it('half-close and window sizes reach the pod', async () => {
  const { client, upstream } = await start()
  client.send('resize', '{"Width":80,"Height":24}')
  client.handlers?.onEnd('stdin')
  expect(upstream.log).toEqual(['write resize {"Width":80,"Height":24}\n', 'end stdin'])
})

it('lets an echo go at once and other unfinished words after a pause', async () => {
  const { client, upstream } = await start()
  client.send('stdin', 'x')
  upstream.send('stdout', 'x')
  upstream.send('stdout', 'prompt')
  await until(() => client.written['stdout'] === 'xprompt')
  expect(client.log[0]).toBe('write stdout x')
})
