/** What happens when a part goes away: refusals in words, nothing unrecorded, recovery without help. */
import { afterAll, beforeAll, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import type { RunResult } from './support/kubectl.ts'
import { COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'

let shop: Shop

beforeAll(async () => {
  shop = await openShop()
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

const TOOLS = ['-n', 'shop', 'exec', 'tools-0', '--']
const COUNT = 'n=0; while :; do n=$((n+1)); echo "line $n"; sleep 0.05; done'

async function worksAgain(what: string): Promise<void> {
  await eventually(
    what,
    async () => {
      const result = await shop.ana([...TOOLS, 'echo', 'back'], { timeoutMs: 15_000 })
      return result.code === 0 && result.stdout === 'back\n'
    },
    60_000,
  )
}

async function ready(): Promise<{ code: number; text: string }> {
  const response = await fetch(new URL('/readyz?verbose', shop.sandbox.json.metrics))
  return { code: response.status, text: await response.text() }
}

function sessions() {
  return shop.mongo.db(shop.sandbox.json.mongodb.database).collection<SessionDocument>('sessions')
}

interface Running {
  result: Promise<RunResult>
  /** Resolves when the session has shown its first lines. */
  shown: Promise<void>
}

function startCounting(): Running {
  const shown = Promise.withResolvers<void>()
  const result = shop.ana([...TOOLS, 'sh', '-c', COUNT], {
    timeoutMs: 120_000,
    onOutput: (text) => {
      if (text.includes('line 3\n')) shown.resolve()
    },
  })
  return { result, shown: shown.promise }
}

it('is ready, alive and measured', async () => {
  expect(await ready()).toMatchObject({
    code: 200,
    text: expect.stringContaining('[+]mongodb ok'),
  })
  const live = await fetch(new URL('/livez', shop.sandbox.json.metrics))
  expect(live.status).toBe(200)
  await shop.ana([...TOOLS, 'true'])
  // The session is counted when it is over for the gateway, a moment after kubectl has gone.
  const metrics = await eventually('the counter', async () => {
    const text = await (await fetch(new URL('/metrics', shop.sandbox.json.metrics))).text()
    return /podgate_sessions_ended_total\{outcome="Completed"\} [1-9]/.test(text) && text
  })
  expect(metrics).not.toMatch(/"(ana|tools-0|shop)"/)
})

it('MongoDB stopped: new sessions are refused soon and in words, running ones end in words, and it recovers', async () => {
  const running = startCounting()
  await running.shown
  await shop.sandbox.mongo.stop()
  const startedAt = performance.now()
  const refused = await shop.ana([...TOOLS, 'id'])
  const refusedAfterMs = performance.now() - startedAt
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('PODGATE-1012')
  // kubectl asks twice (WebSocket, then SPDY); only the first try waits for the store. The bound
  // leaves a busy machine time to start kubectl, and is shorter than two waits.
  expect(refusedAfterMs).toBeLessThan(4500)
  expect(await ready()).toMatchObject({
    code: 503,
    text: expect.stringContaining('[-]mongodb failed'),
  })

  const ended = await running.result
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('PODGATE-1012')
  await shop.sandbox.mongo.start()
  await worksAgain('an exec after MongoDB came back')
  // I2: every line that was shown is in the transcript.
  const [record] = await sessions()
    .find({ command: ['sh', '-c', COUNT] })
    .sort({ startedAt: -1 })
    .limit(1)
    .toArray()
  const replay = await shop.podgate('ana', ['replay', record?._id ?? '', '--speed', '0'])
  expect(replay.stdout.startsWith(ended.stdout)).toBe(true)
}, 150_000)

it('API server restarted: the gateway recovers by itself, and a running session ends with an error', async () => {
  const running = startCounting()
  await running.shown
  await shop.sandbox.cluster.restartApiServer?.()
  const ended = await running.result
  expect(ended.code).not.toBe(0)
  await worksAgain('an exec after the API server came back')
  await eventually('readiness', async () => (await ready()).code === 200)
}, 150_000)

it('API server down: exec is refused in words', async () => {
  await shop.sandbox.cluster.stopApiServer?.()
  try {
    const refused = await shop.ana(['get', '--raw', '/api/v1/namespaces/shop/pods/web-0'])
    expect(refused.stderr).toMatch(/ServiceUnavailable|cannot be reached/)
  } finally {
    await shop.sandbox.cluster.startApiServer?.()
  }
  await worksAgain('an exec after the API server started')
}, 120_000)

it('a policy that is deleted counts at once, and a policy that cannot be compiled fails closed and says why', async () => {
  const broken = {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'broken', namespace: 'shop' },
    spec: {
      effect: 'Allow',
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: { operations: ['Exec'], podSelector: { matchLabels: { app: 'tools' } } },
      masking: { patterns: [{ name: 'bad', pattern: '(?=look)ahead' }] },
    },
  }
  await shop.apply(broken)
  await eventually('a refusal by the broken policy', async () =>
    (await shop.ana([...TOOLS, 'id'])).stderr.includes('PODGATE-1003'),
  )
  const status = await shop.admin([
    'get',
    'apol',
    'broken',
    '-n',
    'shop',
    '-o',
    'jsonpath={.status.conditions[0].message}',
  ])
  expect(status.stdout).toContain('spec.masking.patterns[0].pattern')
  await shop.admin(['delete', 'apol', 'broken', '-n', 'shop'])
  await worksAgain('an exec without the broken policy')
})

it('I8: a session of a gateway that was killed is sealed as unclean by its successor', async () => {
  const running = startCounting()
  await running.shown
  const pid = shop.sandbox.gateway.pid
  if (pid === undefined) throw new Error('no gateway')
  process.kill(pid, 'SIGKILL')
  const ended = await running.result
  expect(ended.code).not.toBe(0)
  await eventually('a new gateway', async () => {
    await shop.sandbox.gateway.start().catch(() => undefined)
    return (await ready().catch(() => ({ code: 0 }))).code === 200
  })
  const record = await eventually(
    'the terminal record',
    async () => {
      const [newest] = await sessions()
        .find({ command: ['sh', '-c', COUNT] })
        .sort({ startedAt: -1 })
        .limit(1)
        .toArray()
      return newest?.end === null ? undefined : newest
    },
    90_000,
  )
  expect(record.end).toMatchObject({ outcome: 'Unclean' })
  const replay = await shop.podgate('dpo', ['replay', record._id, '--speed', '0'])
  expect(replay.stdout.startsWith(ended.stdout)).toBe(true)
}, 180_000)

it('a gateway that is told to end ends its sessions in words and seals them', async () => {
  const running = startCounting()
  await running.shown
  await shop.sandbox.gateway.restart()
  const ended = await running.result
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('PODGATE-1031')
  const [newest] = await sessions()
    .find({ command: ['sh', '-c', COUNT] })
    .sort({ startedAt: -1 })
    .limit(1)
    .toArray()
  expect(newest?.end).toMatchObject({ outcome: expect.not.stringMatching(/Unclean/) })
}, 60_000)
