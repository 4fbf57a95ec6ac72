import { createHash } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'

import type { Payload } from '../../../../lib/proxy/forward/payload.ts'
import { ForwardTranscript } from '../../../../lib/proxy/forward/transcript.ts'
import { parseEvent, type SessionEvent } from '../../../../lib/recording/event.ts'
import type { Entry } from '../../../../lib/recording/frame.ts'
import { createManualTimers } from '../../../fakes/manual-timers.ts'

const MIB = 1024 * 1024

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The store answers when `acknowledge` is called. */
function bed(content: 'Full' | 'Digest') {
  const timers = createManualTimers()
  const stored: Entry[] = []
  const passed: Payload[] = []
  let reliefs = 0
  let acknowledged = 0
  const transcript = new ForwardTranscript({
    recording: {
      id: 's-1',
      get outstandingBytes() {
        return stored.slice(acknowledged).reduce((sum, { data }) => sum + data.length, 0)
      },
      append: (entry) => stored.push(entry),
      seal: async () => {},
    },
    content,
    elapsedMs: () => 7,
    timers,
    onStored: (payload) => passed.push(payload),
    onRelief: () => {
      reliefs += 1
    },
  })
  return {
    timers,
    transcript,
    passed,
    events: () => stored.flatMap(({ kind, data }) => (kind === 'event' ? [parseEvent(data)] : [])),
    reliefs: () => reliefs,
    acknowledge() {
      const fresh = stored.slice(acknowledged)
      acknowledged = stored.length
      transcript.onRelease(fresh)
    },
  }
}

function up(text: string | Uint8Array, connection = 1): Payload {
  return { direction: 'up', connection, data: Buffer.from(text) }
}

const OPENED: SessionEvent = { type: 'connectionOpened', connection: 1, port: 80, policies: [] }

describe('with content: Full', () => {
  it('bytes go on when the store has them, in order, and so does the end of a side', () => {
    const { transcript, passed, acknowledge } = bed('Full')
    expect(transcript.take(up('one'))).toBe(false)
    expect(transcript.take({ ...up('two', 2), direction: 'down' })).toBe(false)
    expect(transcript.takeEnd(1, 'up')).toBe(false)
    expect(passed).toEqual([])
    acknowledge()
    expect(
      passed.map(({ connection, direction, data }) => [
        connection,
        direction,
        Buffer.from(data).toString(),
      ]),
    ).toEqual([
      [1, 'up', 'one'],
      [2, 'down', 'two'],
      [1, 'up', ''],
    ])
  })

  it('everybody waits above the bound, until the store has caught up', () => {
    const { transcript, acknowledge, reliefs } = bed('Full')
    transcript.take(up(Buffer.alloc(600 * 1024)))
    expect(transcript.isStopped).toBe(true)
    acknowledge()
    expect([transcript.isStopped, reliefs()]).toEqual([false, 1])
  })
})

describe('with content: Digest', () => {
  it('bytes go on at once, and the digests of what has gone are told every second', async () => {
    const { transcript, timers, events } = bed('Digest')
    expect(transcript.take(up('one'))).toBe(true)
    expect(transcript.take({ ...up('answer', 2), direction: 'down' })).toBe(true)
    expect(transcript.takeEnd(1, 'up')).toBe(true)
    await timers.advance(1000)
    transcript.take(up(' more'))
    await timers.advance(1000)
    const none = { bytes: 0, sha256: sha256('') }
    expect(events()).toEqual([
      {
        type: 'connectionDigests',
        connections: [
          { connection: 1, up: { bytes: 3, sha256: sha256('one') }, down: none },
          { connection: 2, up: none, down: { bytes: 6, sha256: sha256('answer') } },
        ],
      },
      {
        type: 'connectionDigests',
        connections: [{ connection: 1, up: { bytes: 8, sha256: sha256('one more') }, down: none }],
      },
    ])
  })

  it('and every 4 MiB; above 16 MiB that no stored digest covers everybody waits', () => {
    const { transcript, events, acknowledge, reliefs } = bed('Digest')
    for (let n = 0; n < 16; n++) {
      expect(transcript.isStopped).toBe(false)
      transcript.take(up(Buffer.alloc(MIB)))
    }
    expect([transcript.isStopped, events().length]).toEqual([true, 4])
    acknowledge()
    expect([transcript.isStopped, reliefs()]).toEqual([false, 1])
  })
})

describe('an event', () => {
  it('is told when the store has it', async () => {
    const { transcript, acknowledge } = bed('Digest')
    let isTold = false
    const told = transcript.tell(OPENED).then(() => (isTold = true))
    await Promise.resolve()
    expect(isTold).toBe(false)
    acknowledge()
    await told
    expect(isTold).toBe(true)
  })

  it('after the end is none any more', () => {
    const { transcript, events } = bed('Full')
    transcript.stop()
    void transcript.tell(OPENED)
    transcript.take(up('late'))
    expect(events()).toEqual([])
  })
})
