/**
 * Invariants I2 and I8 against a real server that is killed, frozen and restarted under load.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals'

import type { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createMongoStore } from '../../../lib/recording/mongo-store.ts'
import { createOrphanSealer } from '../../../lib/recording/orphan.ts'
import {
  openRecording,
  type Recording,
  type RecordingOptions,
} from '../../../lib/recording/recorder.ts'
import { replayEntries } from '../../../lib/recording/replay.ts'
import type { SessionEnd } from '../../../lib/recording/session-document.ts'
import type { TranscriptStore } from '../../../lib/recording/store.ts'
import { sessionStart } from '../../fakes/session-start.ts'
import { startFerretDb, type FerretDb } from './ferretdb.ts'

jest.setTimeout(60_000)

const END: SessionEnd = {
  outcome: 'Completed',
  bytes: { stdin: 0, stdout: 0, stderr: 0 },
  masked: {},
  endedAt: new Date(),
}

let server: FerretDb
let store: TranscriptStore
let running: Load[] = []

beforeAll(async () => {
  server = await startFerretDb()
})
afterAll(async () => {
  await server.close()
})
beforeEach(async () => {
  await server.start()
  // Short, so that frozen operations end while the session still has patience.
  store = createMongoStore({ uri: server.uri, serverSelectionMs: 500, operationMs: 700 })
  await store.prepare()
})
afterEach(async () => {
  server.thaw()
  await Promise.all(running.map((load) => load.stop()))
  running = []
  await store.close()
  await server.kill('SIGKILL')
})

interface Load {
  id: string
  recording: Recording
  released: string[]
  failures: GatewayError[]
  /** Goes on appending numbers until told to stop; never more than 64 KiB ahead. */
  stop(): Promise<number>
}

async function startLoad(options: RecordingOptions): Promise<Load> {
  const start = sessionStart()
  const released: string[] = []
  const failures: GatewayError[] = []
  const recording = await openRecording(
    store,
    start,
    {
      onRelease: (entries) => {
        for (const { data } of entries) released.push(Buffer.from(data).toString())
      },
      onFailure: (error) => failures.push(error),
    },
    { frameBytes: 2_000, ...options },
  )
  const state = { going: true }
  let appended = 0
  const loop = (async () => {
    while (state.going && failures.length === 0) {
      if (recording.outstandingBytes < 64 * 1024) {
        recording.append({ kind: 'note', atMs: appended, data: Buffer.from(String(appended++)) })
      }
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
    }
  })()
  const load: Load = {
    id: start.id,
    recording,
    released,
    failures,
    async stop() {
      state.going = false
      await loop
      return appended
    },
  }
  running.push(load)
  return load
}

async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('what was waited for did not happen')
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 10)
    })
  }
}

async function transcript(id: string): Promise<string[]> {
  const shown: string[] = []
  for await (const entries of replayEntries((seq) => store.getFrame(id, seq))) {
    for (const { data } of entries) shown.push(Buffer.from(data).toString())
  }
  return shown
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index))
}

describe('the store is killed in mid stream', () => {
  it('and stays away: the session fails once, and what was released is recorded', async () => {
    const load = await startLoad({ stallMs: 1_500 })
    await until(() => load.released.length > 200)
    await server.kill('SIGKILL')
    await until(() => load.failures.length > 0)
    const releasedAtFailure = load.released.length
    await server.start()
    await load.recording.seal(END)
    await load.stop()
    expect(load.failures).toHaveLength(1)
    expect(load.failures[0]).toMatchObject({ reason: 'ServiceUnavailable', id: 1012 })
    expect(load.failures[0]?.message).toMatch(
      /^the transcript of this session cannot be written any more/,
    )
    expect(load.released).toHaveLength(releasedAtFailure)
    const recorded = await transcript(load.id)
    expect(load.released).toEqual(numbers(releasedAtFailure))
    expect(recorded.slice(0, releasedAtFailure)).toEqual(load.released)
    expect(recorded).toEqual(numbers(recorded.length))
    expect((await store.getSession(load.id))?.end?.outcome).toBe('StoreLost')
  })

  it('and comes back in time: the session goes on, without loss or duplicates', async () => {
    const load = await startLoad({ stallMs: 20_000 })
    for (let round = 1; round <= 3; round++) {
      const before = load.released.length
      await until(() => load.released.length > before + 100)
      await server.kill('SIGKILL')
      await server.start()
    }
    const before = load.released.length
    await until(() => load.released.length > before + 100)
    const appended = await load.stop()
    await load.recording.seal(END)
    expect(load.failures).toEqual([])
    expect(load.released).toEqual(numbers(appended))
    expect(await transcript(load.id)).toEqual(load.released)
  })
})

describe('the store freezes', () => {
  it('for longer than an operation may take: the repeated writes count once', async () => {
    const load = await startLoad({ stallMs: 20_000 })
    for (let round = 1; round <= 2; round++) {
      const before = load.released.length
      await until(() => load.released.length > before + 100)
      server.freeze()
      await new Promise<void>((resolve) => {
        setTimeout(resolve, 1_500)
      })
      server.thaw()
    }
    const before = load.released.length
    await until(() => load.released.length > before + 100)
    const appended = await load.stop()
    await load.recording.seal(END)
    expect(load.failures).toEqual([])
    expect(load.released).toEqual(numbers(appended))
    expect(await transcript(load.id)).toEqual(load.released)
  })

  const faults: [string, () => Promise<void> | void][] = [
    ['frozen', () => server.freeze()],
    ['killed', () => server.kill('SIGKILL')],
  ]
  it.each(faults)('and a new session is refused within 3 s when it is %s', async (_name, fault) => {
    const patient = createMongoStore({ uri: server.uri })
    try {
      await patient.prepare()
      await fault()
      const startMs = performance.now()
      const hooks = { onRelease: () => {}, onFailure: () => {} }
      await expect(openRecording(patient, sessionStart(), hooks)).rejects.toMatchObject({
        reason: 'ServiceUnavailable',
        id: 1012,
        message: expect.stringContaining('new sessions are refused'),
      })
      expect(performance.now() - startMs).toBeLessThan(3_000)
    } finally {
      server.thaw()
      await patient.close()
    }
  })
})

describe('the recording process is killed', () => {
  const killPoints = [40, 300, 900]
  it.each(killPoints)(
    'after %d releases: all it showed is recorded, and two sweepers make one end',
    async (releases) => {
      const { id } = sessionStart()
      const victim = spawn(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          join(import.meta.dirname, 'victim.ts'),
          server.uri,
          id,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
      )
      const shown: string[] = []
      const lines = createInterface({ input: victim.stdout })
      lines.on('line', (line) => {
        shown.push(line)
        if (shown.length === releases) victim.kill('SIGKILL')
      })
      await Promise.all([once(victim, 'exit'), once(lines, 'close')])
      expect(shown.length).toBeGreaterThanOrEqual(releases)

      const sealers = [1, 2].map(() => createOrphanSealer(store, { leaseMs: 300, sweepMs: 300 }))
      const sealed: string[][] = []
      await until(async () => {
        const round = await Promise.all(sealers.map((sealer) => sealer.sweep()))
        sealed.push(...round)
        return sealed.flat().includes(id)
      })
      const recorded = await transcript(id)
      expect(recorded.slice(0, shown.length)).toEqual(shown)
      expect(recorded).toEqual(numbers(recorded.length))
      const end = (await store.getSession(id))?.end
      const record = await store.getFrame(id, end?.frames ?? -1)
      expect(end?.outcome).toBe('Unclean')
      expect(record).toMatchObject({ kind: 'end', end })
    },
  )
})

describe('many sealers at once', () => {
  it('leave one terminal record, which all of them and the session agree on', async () => {
    const load = await startLoad({})
    await until(() => load.released.length > 100)
    const sealers = [1, 2, 3].map(() => createOrphanSealer(store, { leaseMs: 0 }))
    await Promise.all([
      ...sealers.map((sealer) => sealer.sweep()),
      load.stop().then(() => load.recording.seal(END)),
    ])
    const recorded = await transcript(load.id)
    expect(recorded.slice(0, load.released.length)).toEqual(load.released)
    const end = (await store.getSession(load.id))?.end
    expect(await store.getFrame(load.id, end?.frames ?? -1)).toMatchObject({ kind: 'end', end })
    expect(end?.outcome === 'Completed' ? load.failures.length : 1).toBe(
      end?.outcome === 'Completed' ? 0 : 1,
    )
  })
})
