import { describe, expect, it } from '@jest/globals'

import { frameId } from '../../../lib/recording/frame.ts'
import { createLeaseKeeper } from '../../../lib/recording/lease.ts'
import { openRecording, type Recording } from '../../../lib/recording/recorder.ts'
import { createManualTimers, settle, type ManualTimers } from '../../fakes/manual-timers.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { sessionStart } from '../../fakes/session-start.ts'

const ID = 's-1'

async function open(store: MemoryStore, timers: ManualTimers): Promise<Recording> {
  return await openRecording(
    store,
    sessionStart({ id: ID }),
    { onRelease: () => {}, onFailure: () => {} },
    { timers, leases: createLeaseKeeper(store, { timers }) },
  )
}

describe('opening', () => {
  it('stores the session first', async () => {
    const store = createMemoryStore()
    await open(store, createManualTimers())
    expect(store.sessions.get(ID)).toMatchObject({
      schemaVersion: 1,
      end: null,
      command: expect.anything(),
    })
  })

  const modes = ['down', 'silent', 'refusing', 'forgetful'] as const
  it.each(modes)('is refused within 3 s when the store is %s', async (mode) => {
    const store = createMemoryStore()
    store.mode = mode
    const timers = createManualTimers()
    const opening = open(store, timers)
    const refused = expect(opening).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      id: 1012,
      message: expect.stringMatching(
        /^transcripts cannot be written \(MongoDB .*new sessions are refused/,
      ),
    })
    await timers.advance(3_000)
    await refused
  })

  it('gives its end to a session that the store took too late', async () => {
    const store = createMemoryStore()
    store.mode = 'silent'
    const timers = createManualTimers()
    const opening = open(store, timers)
    const refused = expect(opening).rejects.toMatchObject({ id: 1012 })
    await timers.advance(3_000)
    await refused
    store.mode = 'up'
    await settle()
    expect(store.frames.get(frameId(ID, 0))).toMatchObject({ end: { outcome: 'StoreLost' } })
    expect(store.sessions.get(ID)?.end).toMatchObject({ outcome: 'StoreLost', frames: 0 })
  })

  it('is refused when the id is in use, also by this process', async () => {
    const store = createMemoryStore()
    await open(store, createManualTimers())
    await expect(open(store, createManualTimers())).rejects.toMatchObject({
      reason: 'InternalError',
    })
  })

  const badIds = ['', 'a/b', 'A', 'a b', 'x'.repeat(64)]
  it.each(badIds)('is refused with the id %j', async (id) => {
    const store = createMemoryStore()
    const hooks = { onRelease: () => {}, onFailure: () => {} }
    await expect(openRecording(store, sessionStart({ id }), hooks)).rejects.toThrow('id')
    expect(store.sessions.size).toBe(0)
  })
})
