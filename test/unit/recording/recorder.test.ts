import { describe, expect, it } from '@jest/globals'

import type { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { decodeFrame, type Entry } from '../../../lib/recording/frame.ts'
import { createLeaseKeeper } from '../../../lib/recording/lease.ts'
import {
  openRecording,
  type Recording,
  type RecordingOptions,
} from '../../../lib/recording/recorder.ts'
import { sealSession } from '../../../lib/recording/seal.ts'
import type { SessionEnd } from '../../../lib/recording/session-document.ts'
import { endFrame } from '../../conformance/store-suite.ts'
import { createManualTimers, settle, type ManualTimers } from '../../fakes/manual-timers.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { sessionStart } from '../../fakes/session-start.ts'

const ID = 's-1'
const END: SessionEnd = {
  outcome: 'Completed',
  exitCode: 0,
  bytes: { stdin: 0, stdout: 3, stderr: 0 },
  masked: { Email: 2 },
  endedAt: new Date('2026-11-22T10:05:00Z'),
}

interface Bench {
  store: MemoryStore
  timers: ManualTimers
  recording: Recording
  released: string[]
  failures: GatewayError[]
  append(text: string): void
}

async function open(options: RecordingOptions = {}, store = createMemoryStore()): Promise<Bench> {
  const timers = createManualTimers()
  const released: string[] = []
  const failures: GatewayError[] = []
  const recording = await openRecording(
    store,
    sessionStart({ id: ID }),
    {
      onRelease: (entries) => released.push(...entries.map(textOf)),
      onFailure: (error) => failures.push(error),
    },
    { timers, leases: createLeaseKeeper(store, { timers }), ...options },
  )
  let atMs = 0
  const append = (text: string): void => {
    // So far apart that each stays an entry of its own; see gather.ts.
    recording.append({ kind: 'stdout', atMs: (atMs += 20), data: Buffer.from(text) })
  }
  return { store, timers, recording, released, failures, append }
}

function textOf(entry: Entry): string {
  return Buffer.from(entry.data).toString()
}

/** What the store holds, frame by frame: the texts, or the outcome. */
async function stored(store: MemoryStore): Promise<unknown[]> {
  const frames = [...store.frames.values()].sort((left, right) => left.seq - right.seq)
  return await Promise.all(
    frames.map(async (frame) =>
      frame.kind === 'end' ? frame.end.outcome : (await decodeFrame(frame)).map(textOf),
    ),
  )
}

async function until(condition: () => boolean): Promise<void> {
  // Compressing runs on other threads, which a busy machine serves when it pleases.
  const deadline = performance.now() + 10_000
  while (!condition() && performance.now() < deadline) await settle(1)
  expect(condition()).toBe(true)
}

describe('releasing', () => {
  it('waits for the store', async () => {
    const { store, recording, released, append } = await open()
    store.holding = true
    append('a')
    await until(() => store.held.length === 1)
    expect(released).toEqual([])
    expect(recording.outstandingBytes).toBeGreaterThan(0)
    store.answer(0)
    await settle()
    expect(released).toEqual(['a'])
    expect(recording.outstandingBytes).toBe(0)
  })

  it('keeps the order when the store answers out of order', async () => {
    const { store, released, append } = await open({ frameBytes: 1, maxInFlight: 4 })
    store.holding = true
    for (const text of ['a', 'b', 'c', 'd', 'e']) append(text)
    await until(() => store.held.length === 4)
    store.answer(2)
    store.answer(1)
    await settle()
    expect(released).toEqual([])
    store.answer(0)
    await until(() => store.held.length === 2)
    expect(released).toEqual(['a', 'b', 'c'])
    expect(store.held).toEqual([3, 4])
    store.answer(4)
    store.answer(3)
    await settle()
    expect(released).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('sends the first entry at once and gathers the rest meanwhile', async () => {
    const { store, released, append } = await open({ frameBytes: 10_000 })
    store.holding = true
    for (const text of ['a', 'b', 'c']) append(text)
    await until(() => store.held.length === 1)
    store.answer(0)
    await until(() => store.held.length === 1)
    store.answer(1)
    await settle()
    expect(await stored(store)).toEqual([['a'], ['b', 'c']])
    expect(released).toEqual(['a', 'b', 'c'])
  })

  it('stores what a stream of one-byte entries holds in few frames', async () => {
    const { store, released, append } = await open({ frameBytes: 768 * 1024 })
    store.holding = true
    for (let index = 0; index < 5000; index++) append('x')
    for (let seq = 0; seq < 3; seq++) {
      await until(() => store.held.includes(seq))
      store.answer(seq)
    }
    await until(() => released.length === 5000)
    expect(store.puts).toBe(3)
  })

  it('counts what tiny entries take in memory, not only their bytes', async () => {
    const { store, recording, append } = await open()
    store.holding = true
    for (let index = 0; index < 1000; index++) append('x')
    expect(recording.outstandingBytes).toBeGreaterThanOrEqual(200 * 1000)
  })

  it('gathers what comes byte by byte while it waits', async () => {
    const { store, recording, released } = await open()
    store.holding = true
    for (let index = 0; index <= 10_000; index++) {
      recording.append({ kind: 'stdout', atMs: 1, data: Buffer.from([97 + (index % 26)]) })
    }
    expect(recording.outstandingBytes).toBeLessThan(12_000)
    await until(() => store.held.includes(0))
    store.answer(0)
    await until(() => store.held.includes(1))
    store.answer(1)
    await until(() => released.join('').length === 10_001)
    expect(released.length).toBeLessThan(5)
    expect(released.join('').slice(0, 30)).toBe('abcdefghijklmnopqrstuvwxyzabcd')
  })

  it('hands back the bytes that were stored, whatever became of those that were appended', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    const got: Entry[] = []
    const recording = await openRecording(
      store,
      sessionStart({ id: ID }),
      { onRelease: (entries) => got.push(...entries), onFailure: () => {} },
      { timers, leases: createLeaseKeeper(store, { timers }) },
    )
    store.holding = true
    const data = Buffer.from('what the pod wrote')
    recording.append({ kind: 'stderr', atMs: 7, data })
    await until(() => store.held.includes(0))
    data.fill('x')
    store.answer(0)
    await until(() => got.length === 1)
    expect(got.map(({ kind, atMs }) => [kind, atMs])).toEqual([['stderr', 7]])
    expect(got.map(textOf)).toEqual(['what the pod wrote'])
    expect((await stored(store)).flat()).toEqual(['what the pod wrote'])
  })

  it('ends its own session alone when the caller’s hook throws', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    const failures: GatewayError[] = []
    const recording = await openRecording(
      store,
      sessionStart({ id: ID }),
      {
        onRelease: () => {
          throw new Error('a bug of the pump')
        },
        onFailure: (error) => failures.push(error),
      },
      { timers, leases: createLeaseKeeper(store, { timers }) },
    )
    recording.append({ kind: 'stdout', atMs: 0, data: Buffer.from('x') })
    await until(() => failures.length === 1)
    await recording.seal(END)
    expect(await stored(store)).toEqual([['x'], 'StoreLost'])
  })
})

describe('a store that goes away', () => {
  it('is waited for, and nothing is lost or stored twice', async () => {
    const { store, timers, released, failures, append } = await open({ frameBytes: 1 })
    store.mode = 'forgetful'
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) append(text)
    await timers.advance(5_000)
    store.mode = 'down'
    await timers.advance(10_000)
    expect(released).toEqual([])
    store.mode = 'up'
    await timers.advance(1_000)
    expect(released).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    expect((await stored(store)).flat()).toEqual(released)
    expect(failures).toEqual([])
  })

  const stalls = ['down', 'silent'] as const
  it.each(stalls)('ends the session after stallMs when it is %s, once', async (mode) => {
    const { store, timers, recording, released, failures, append } = await open({ frameBytes: 1 })
    store.mode = mode
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) append(text)
    await timers.advance(19_999)
    expect(failures).toEqual([])
    await timers.advance(2)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({ reason: 'ServiceUnavailable', id: 1012 })
    expect(failures[0]?.message).toContain('has not answered for 20s')
    append('later')
    await timers.advance(2_000)
    const { puts } = store
    await timers.advance(30_000)
    expect(store.puts).toBe(puts)
    store.mode = 'up'
    await timers.advance(60_000)
    expect(released).toEqual([])
    expect(failures).toHaveLength(1)
    expect(recording.outstandingBytes).toBe(0)
  })

  it('may answer each write slowly without ending the session', async () => {
    const { store, timers, released, failures, append } = await open()
    store.holding = true
    for (let seq = 0; seq < 20; seq++) {
      append('x')
      await until(() => store.held.includes(seq))
      await timers.advance(2_000)
      store.answer(seq)
      await settle()
    }
    expect(released).toHaveLength(20)
    expect(failures).toEqual([])
  })

  it('ends the session at once when it refuses for good', async () => {
    const { store, timers, released, failures, append } = await open()
    store.mode = 'refusing'
    append('a')
    await timers.advance(1_000)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({ reason: 'ServiceUnavailable', id: 1012 })
    expect(released).toEqual([])
  })
})

describe('sealing', () => {
  it('stores what is left, then the terminal record, and shows it in the session', async () => {
    const { store, recording, released, append } = await open({ frameBytes: 1 })
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) append(text)
    await recording.seal(END)
    expect(released.join('')).toBe('abcdef')
    expect((await stored(store)).at(-1)).toBe('Completed')
    const session = store.sessions.get(ID)
    expect(session?.leaseUntil).toBeNull()
    expect(session?.end).toMatchObject({
      outcome: 'Completed',
      exitCode: 0,
      masked: [{ name: 'Email', count: 2 }],
      frames: 6,
    })
  })

  it('twice is once', async () => {
    const { store, recording } = await open()
    await Promise.all([recording.seal(END), recording.seal({ ...END, outcome: 'Failed' })])
    await recording.seal({ ...END, outcome: 'Expired' })
    expect(await stored(store)).toEqual(['Completed'])
  })

  it('refuses what is appended afterwards', async () => {
    const { recording, append } = await open()
    const sealing = recording.seal(END)
    expect(() => append('late')).toThrow('after the end')
    await sealing
  })

  it('after a lost store says so, behind whatever had been stored', async () => {
    const { store, timers, recording, released, failures, append } = await open({ frameBytes: 1 })
    append('a')
    await settle()
    store.mode = 'forgetful'
    append('b')
    append('c')
    await timers.advance(21_000)
    expect(failures).toHaveLength(1)
    store.mode = 'up'
    await recording.seal(END)
    expect(released).toEqual(['a'])
    expect(await stored(store)).toEqual([['a'], ['b'], ['c'], 'StoreLost'])
    expect(store.sessions.get(ID)?.end?.frames).toBe(3)
  })

  it('is tried again while the store is away', async () => {
    const { store, timers, recording, append } = await open()
    append('a')
    await settle()
    store.mode = 'down'
    const sealing = recording.seal(END)
    await timers.advance(30_000)
    store.mode = 'up'
    await timers.advance(2_000)
    await sealing
    expect(await stored(store)).toEqual([['a'], 'Completed'])
  })

  it('is given up after sealMs, and left to a sweep', async () => {
    const { store, timers, recording } = await open()
    store.mode = 'down'
    const refused = expect(recording.seal(END)).rejects.toMatchObject({ id: 1012 })
    await timers.advance(62_000)
    await refused
    expect(timers.waiting).toBe(0)
  })

  it('fails the session when the store is lost while the rest is stored', async () => {
    const { store, timers, recording, released, failures, append } = await open()
    store.mode = 'silent'
    append('a')
    const sealing = recording.seal(END)
    await timers.advance(21_000)
    expect(failures).toHaveLength(1)
    store.mode = 'up'
    await timers.advance(2_000)
    await sealing
    expect(released).toEqual([])
    expect((await stored(store)).at(-1)).toBe('StoreLost')
  })

  it('leaves no timer behind', async () => {
    const { timers, recording, append } = await open()
    append('a')
    await recording.seal(END)
    expect(timers.waiting).toBe(0)
  })
})

describe('a writer that was taken for dead', () => {
  it('meets the end where its next frame should go, and releases nothing any more', async () => {
    const { store, recording, released, failures, append } = await open({ frameBytes: 1 })
    append('a')
    await until(() => released.length === 1)
    await store.putFrame(endFrame(ID, 1, 'another'))
    for (const text of ['b', 'c', 'd']) append(text)
    await until(() => failures.length === 1)
    expect(failures[0]?.message).toContain('another replica')
    expect(released).toEqual(['a'])
    await recording.seal(END)
    const ends = [...store.frames.values()].filter(({ kind }) => kind === 'end')
    expect(ends).toHaveLength(1)
    expect(store.sessions.get(ID)?.end?.sealedBy).toBe('another')
  })

  it('learns it from its lease while nothing is shown', async () => {
    const { store, timers, failures } = await open()
    await sealSession(store, ID, 0, { ...endFrame(ID, 0, 'another').end })
    await timers.advance(16_000)
    expect(failures).toHaveLength(1)
    expect(failures[0]?.message).toContain('another replica')
  })
})
