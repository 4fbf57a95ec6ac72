import { createHash } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { recordDigests, type DigestOptions } from '../../../lib/recording/digest-recording.ts'
import { parseEvent } from '../../../lib/recording/event.ts'
import type { Entry } from '../../../lib/recording/frame.ts'
import type { Recording, RecordingHooks } from '../../../lib/recording/recorder.ts'
import type { SessionEnd } from '../../../lib/recording/session-document.ts'
import { createManualTimers } from '../../fakes/manual-timers.ts'

const END: SessionEnd = {
  outcome: 'Completed',
  bytes: { stdin: 0, stdout: 0, stderr: 0 },
  masked: {},
  endedAt: new Date(0),
}

/** A recording that gives back what it was given when told to, as the store's acknowledgement would. */
function bed(options: DigestOptions = {}) {
  const timers = createManualTimers()
  const stored: Entry[] = []
  const released: Entry[] = []
  const failures: GatewayError[] = []
  const above: RecordingHooks = {
    onRelease: (entries) => released.push(...entries),
    onFailure: (error) => failures.push(error),
  }
  const digests = recordDigests(above, { timers, ...options })
  let acknowledged = 0
  const below: Recording = {
    id: 's-1',
    outstandingBytes: 0,
    append: (entry) => stored.push(entry),
    seal: async () => {},
  }
  const recording = digests.over(below)
  const acknowledge = (): void => {
    const fresh = stored.slice(acknowledged)
    acknowledged = stored.length
    // As the recorder does: the same bytes in another memory.
    digests.hooks.onRelease(fresh.map((entry) => ({ ...entry, data: Buffer.from(entry.data) })))
  }
  return { timers, stored, released, failures, recording, acknowledge, hooks: digests.hooks }
}

function bytes(kind: Entry['kind'], text: string): Entry {
  return { kind, atMs: 0, data: Buffer.from(text) }
}

function told(stored: readonly Entry[]) {
  return stored.flatMap(({ kind, data }) => (kind === 'event' ? [parseEvent(data)] : []))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

describe('recordDigests', () => {
  it('lets bytes go at once and stores none of them', () => {
    const { recording, released, stored } = bed()
    recording.append(bytes('stdout', 'hello'))
    expect(released.map(({ data }) => Buffer.from(data).toString())).toEqual(['hello'])
    expect(stored).toEqual([])
  })

  it('tells the digest after a while, per channel, of all that was shown so far', async () => {
    const { recording, stored, timers } = bed()
    recording.append(bytes('stdout', 'one'))
    recording.append(bytes('stderr', 'two'))
    await timers.advance(1000)
    recording.append(bytes('stdout', ' more'))
    await timers.advance(1000)
    expect(told(stored)).toEqual([
      { type: 'digest', channel: 'stdout', bytes: 3, sha256: sha256('one') },
      { type: 'digest', channel: 'stderr', bytes: 3, sha256: sha256('two') },
      { type: 'digest', channel: 'stdout', bytes: 8, sha256: sha256('one more') },
    ])
  })

  it('tells the digest before anything that follows, so before the exit status', () => {
    const { recording, stored, released, acknowledge } = bed()
    recording.append(bytes('stdout', 'out'))
    recording.append(bytes('error', '{}'))
    expect(stored.map(({ kind }) => kind)).toEqual(['event', 'error'])
    acknowledge()
    expect(released.map(({ kind }) => kind)).toEqual(['stdout', 'error'])
  })

  it('holds back what would run too far ahead of the store, and counts it', async () => {
    const { recording, released, acknowledge, timers } = bed({ aheadBytes: 4, everyBytes: 1 << 20 })
    for (const text of ['aaa', 'bbb', 'ccc']) recording.append(bytes('stdout', text))
    expect(released).toHaveLength(2)
    expect(recording.outstandingBytes).toBe(3)
    await timers.advance(1000)
    acknowledge()
    expect(released).toHaveLength(3)
    expect(recording.outstandingBytes).toBe(0)
  })

  it('passes events of others on, also one that reads like a digest', () => {
    const { recording, released, acknowledge } = bed()
    recording.append(bytes('event', '{"type":"digest"}'))
    acknowledge()
    expect(released.map(({ kind }) => kind)).toEqual(['event'])
  })

  it('lets nothing go after the store has failed', async () => {
    const { recording, released, failures, hooks, timers, stored } = bed({ aheadBytes: 1 })
    recording.append(bytes('stdout', 'a'))
    recording.append(bytes('stdout', 'b'))
    hooks.onFailure(new GatewayError('ServiceUnavailable', 'away'))
    recording.append(bytes('stdout', 'c'))
    await timers.advance(5000)
    expect(failures).toHaveLength(1)
    expect(released).toHaveLength(1)
    expect(stored).toEqual([])
  })

  it('tells the last digest before the seal', async () => {
    const { recording, stored } = bed()
    recording.append(bytes('stdin', 'up'))
    await recording.seal(END)
    expect(told(stored)).toEqual([
      { type: 'digest', channel: 'stdin', bytes: 2, sha256: sha256('up') },
    ])
  })

  it('shows every byte in order, however they come and whenever the store answers', async () => {
    const step = fc.oneof(fc.string({ minLength: 1, maxLength: 9 }), fc.constant(undefined))
    await fc.assert(
      fc.asyncProperty(fc.array(step), async (steps) => {
        const { recording, released, acknowledge, stored, timers } = bed({
          aheadBytes: 8,
          everyBytes: 4,
        })
        let sent = ''
        for (const text of steps) {
          if (text === undefined) acknowledge()
          else {
            recording.append(bytes('stdout', text))
            sent += text
          }
        }
        for (let round = 0; recording.outstandingBytes > 0 && round < 1000; round++) {
          await timers.advance(1000)
          acknowledge()
        }
        recording.append(bytes('error', ''))
        acknowledge()
        const shown = released.filter(({ kind }) => kind === 'stdout')
        expect(Buffer.concat(shown.map(({ data }) => data)).toString()).toBe(sent)
        const last = told(stored).at(-1)
        const size = Buffer.byteLength(sent)
        if (size > 0) expect(last).toMatchObject({ bytes: size, sha256: sha256(sent) })
      }),
    )
  })
})
