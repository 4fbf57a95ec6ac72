import { describe, expect, it } from '@jest/globals'

import type { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createLeaseKeeper } from '../../../lib/recording/lease.ts'
import { createOrphanSealer } from '../../../lib/recording/orphan.ts'
import { openRecording, type Recording } from '../../../lib/recording/recorder.ts'
import { findEndOfData, sealSession } from '../../../lib/recording/seal.ts'
import { sessionDocument } from '../../../lib/recording/session-document.ts'
import { endFrame, textFrame } from '../../conformance/store-suite.ts'
import { createManualTimers, settle, type ManualTimers } from '../../fakes/manual-timers.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { sessionStart } from '../../fakes/session-start.ts'

const LEASE_UNTIL = new Date('2026-11-22T10:00:00Z')

/** A session whose process died after these frames were stored. */
async function abandoned(store: MemoryStore, id: string, seqs: number[]): Promise<void> {
  await store.putSession(sessionDocument(sessionStart({ id }), 'dead', LEASE_UNTIL))
  for (const seq of seqs) await store.putFrame(await textFrame(id, seq, `t${seq}`, 'dead'))
}

async function sweepFor(
  sealer: { sweep(): Promise<string[]> },
  timers: ManualTimers,
  ms: number,
): Promise<string[]> {
  const sealed = await sealer.sweep()
  for (let passed = 0; passed < ms; passed += 10_000) {
    await timers.advance(10_000)
    sealed.push(...(await sealer.sweep()))
  }
  return sealed
}

function endsOf(store: MemoryStore, id: string): number[] {
  return [...store.frames.values()]
    .filter(({ session, kind }) => session === id && kind === 'end')
    .map(({ seq }) => seq)
}

describe('a sweep', () => {
  it('seals a session whose lease has not moved, once, as unclean, within 60 s', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    await abandoned(store, 's-1', [0, 1, 2])
    const sealer = createOrphanSealer(store, { timers })
    expect(await sweepFor(sealer, timers, 30_000)).toEqual([])
    expect(await sweepFor(sealer, timers, 20_000)).toEqual(['s-1'])
    expect(await sweepFor(sealer, timers, 60_000)).toEqual([])
    expect(endsOf(store, 's-1')).toEqual([3])
    expect(store.sessions.get('s-1')?.end).toMatchObject({
      outcome: 'Unclean',
      frames: 3,
      bytes: null,
    })
  })

  it('leaves sessions alone that go on, however wrong the clocks are', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers(Date.UTC(2031, 0, 1))
    await abandoned(store, 's-1', [0])
    const sealer = createOrphanSealer(store, { timers })
    for (let round = 0; round < 20; round++) {
      await store.renewLeases(['s-1'], new Date(LEASE_UNTIL.getTime() + round))
      expect(await sealer.sweep()).toEqual([])
      await timers.advance(10_000)
    }
  })

  it('begins to watch anew after the store was away, when nobody could renew', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    await abandoned(store, 's-1', [0])
    const sealer = createOrphanSealer(store, { timers })
    await sealer.sweep()
    store.mode = 'down'
    await expect(sealer.sweep()).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
    await timers.advance(300_000)
    store.mode = 'up'
    expect(await sealer.sweep()).toEqual([])
    expect(await sweepFor(sealer, timers, 40_000)).toEqual(['s-1'])
  })

  it('by two replicas at once makes one end', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    for (let index = 0; index < 5; index++) await abandoned(store, `s-${index}`, [0, 1])
    const sealers = [1, 2, 3].map(() => createOrphanSealer(store, { timers }))
    for (let passed = 0; passed < 60_000; passed += 10_000) {
      await Promise.all(sealers.map((sealer) => sealer.sweep()))
      await timers.advance(10_000)
    }
    for (let index = 0; index < 5; index++) {
      expect(endsOf(store, `s-${index}`)).toEqual([2])
      const record = await store.getFrame(`s-${index}`, 2)
      expect(store.sessions.get(`s-${index}`)?.end).toEqual(record?.kind === 'end' && record.end)
    }
  })

  it('completes what a sealer left half done when it crashed', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    await abandoned(store, 's-1', [0])
    await store.putFrame(endFrame('s-1', 1, 'crashed'))
    const sealer = createOrphanSealer(store, { timers })
    expect(await sweepFor(sealer, timers, 40_000)).toEqual(['s-1'])
    expect(endsOf(store, 's-1')).toEqual([1])
    expect(store.sessions.get('s-1')?.end).toMatchObject({
      outcome: 'Completed',
      sealedBy: 'crashed',
    })
  })

  it('goes on with the others when one cannot be sealed', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    await abandoned(store, 's-1', [0])
    await abandoned(store, 's-2', [0])
    const failing = {
      ...store,
      setEnd: async (id: string, end: Parameters<MemoryStore['setEnd']>[1]): Promise<void> => {
        if (id === 's-1') throw new Error('poison')
        await store.setEnd(id, end)
      },
    }
    const errors: GatewayError[] = []
    const sealer = createOrphanSealer(failing, { timers, onError: (error) => errors.push(error) })
    expect(await sweepFor(sealer, timers, 40_000)).toEqual(['s-2'])
    expect(errors).toHaveLength(1)
  })

  it('repeats by itself until it is stopped', async () => {
    const store = createMemoryStore()
    const timers = createManualTimers()
    await abandoned(store, 's-1', [0])
    const sealed: string[] = []
    const sealer = createOrphanSealer(store, { timers, onSealed: (id) => sealed.push(id) })
    sealer.start()
    sealer.start()
    await timers.advance(60_000)
    expect(sealed).toEqual(['s-1'])
    await sealer.stop()
    expect(timers.waiting).toBe(0)
  })
})

async function live(
  store: MemoryStore,
  released: string[],
  failures: GatewayError[],
): Promise<Recording> {
  const timers = createManualTimers()
  return await openRecording(
    store,
    sessionStart({ id: 's-1' }),
    {
      onRelease: (entries) => {
        released.push(...entries.map(({ data }) => Buffer.from(data).toString()))
      },
      onFailure: (error) => failures.push(error),
    },
    { timers, leases: createLeaseKeeper(store, { timers }), frameBytes: 1 },
  )
}

describe('a writer and a sweep that race', () => {
  // The sealer strikes after so many turns of the event loop, so at every stage of the writer's work.
  const delays = Array.from({ length: 30 }, (_, turns) => turns)
  it.each(delays)(
    'have one end and agree on what was shown (struck after %d turns)',
    async (turns) => {
      const store = createMemoryStore()
      const released: string[] = []
      const failures: GatewayError[] = []
      const recording = await live(store, released, failures)
      const strike = (async () => {
        await settle(turns)
        const firstFree = await findEndOfData(store, 's-1')
        await sealSession(store, 's-1', firstFree, {
          ...endFrame('s-1', 0, 'sweeper').end,
          outcome: 'Unclean',
        })
      })()
      for (let index = 0; index < 12; index++) {
        recording.append({ kind: 'stdout', atMs: index, data: Buffer.from(String(index)) })
        await settle(1)
      }
      await recording.seal({
        outcome: 'Completed',
        bytes: { stdin: 0, stdout: 0, stderr: 0 },
        masked: {},
        endedAt: new Date(0),
      })
      await strike
      const [end, ...more] = endsOf(store, 's-1')
      expect(more).toEqual([])
      // Frames hold one entry each: what was shown lies before the end, all of it.
      expect(released.length).toBeLessThanOrEqual(end ?? -1)
      expect(released).toEqual(released.map((_, index) => String(index)))
      const record = await store.getFrame('s-1', end ?? -1)
      expect(store.sessions.get('s-1')?.end).toEqual(record?.kind === 'end' && record.end)
      if (record?.kind === 'end' && record.end.outcome === 'Completed') {
        expect(released).toHaveLength(12)
        expect(failures).toEqual([])
      }
    },
  )
})

function many(count: number): number[] {
  return Array.from({ length: count }, (_, seq) => seq)
}

describe('the end of the data', () => {
  const cases: [string, number[], number][] = [
    ['nothing at all', [], 0],
    ['one frame', [0], 1],
    ['1000 frames', many(1000), 1000],
    ['a gap that was under way', [...many(100), 101, 102], 100],
    ['a gap a whole window wide', [...many(64), 79], 64],
    ['only frames behind a gap', [1, 2, 3], 0],
  ]
  it.each(cases)('is found after %s', async (_name, seqs, want) => {
    const store = createMemoryStore()
    await abandoned(store, 's-1', seqs)
    expect(await findEndOfData(store, 's-1')).toBe(want)
  })

  it('is found at every length and gap that a writer can leave', async () => {
    for (let length = 0; length < 40; length++) {
      for (let gap = 0; gap < 6; gap++) {
        const store = createMemoryStore()
        const late = many(length).slice(gap === 0 ? length : length - gap + 1)
        const seqs = gap === 0 ? many(length) : [...many(Math.max(0, length - gap)), ...late]
        const want = gap === 0 ? length : Math.max(0, length - gap)
        await abandoned(store, 's-1', seqs)
        if (length >= gap)
          expect([length, gap, await findEndOfData(store, 's-1')]).toEqual([length, gap, want])
      }
    }
  })
})
