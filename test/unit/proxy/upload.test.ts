import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'

import { describe, expect, it } from '@jest/globals'

import { createUpload, type Upload } from '../../../lib/proxy/upload.ts'
import type { Entry } from '../../../lib/recording/frame.ts'
import type { Recording } from '../../../lib/recording/recorder.ts'
import { eventually } from '../../fakes/eventually.ts'
import { createManualTimers, type ManualTimers } from '../../fakes/manual-timers.ts'

const MIB = 1024 * 1024
const STUCK_MS = 1000

interface Bed {
  request: PassThrough
  upload: Upload
  timers: ManualTimers
  stuck(): number
}

function start(): Bed {
  const request = new PassThrough()
  const timers = createManualTimers()
  let stuck = 0
  const recording: Recording = {
    id: 's',
    outstandingBytes: 0,
    append: (entry: Entry) => upload.release([entry]),
    seal: () => Promise.resolve(),
  }
  const upload: Upload = createUpload({
    request: request as unknown as IncomingMessage,
    recording,
    elapsedMs: () => 0,
    onStuck: () => (stuck += 1),
    stuckMs: STUCK_MS,
    timers,
  })
  upload.start()
  return { request, upload, timers, stuck: () => stuck }
}

describe('a program that does not read', () => {
  it('is given up after a while, when the client has to wait for it', async () => {
    const { request, upload, timers, stuck } = start()
    request.write(Buffer.alloc(2 * MIB))
    await eventually('the client waits', () => request.isPaused())
    await timers.advance(STUCK_MS - 1)
    expect(stuck()).toBe(0)
    await timers.advance(1)
    expect(stuck()).toBe(1)
    upload.stop()
  })

  it('is not given up while it reads anything at all', async () => {
    const { request, upload, timers, stuck } = start()
    request.write(Buffer.alloc(2 * MIB))
    await eventually('the client waits', () => request.isPaused())
    for (let n = 0; n < 3; n += 1) {
      await timers.advance(STUCK_MS - 1)
      upload.body.read(1)
      await timers.advance(1)
    }
    expect(stuck()).toBe(0)
    upload.stop()
    await timers.advance(10 * STUCK_MS)
    expect(stuck()).toBe(0)
  })

  it('is not waited for by a client that has sent all', async () => {
    const { request, upload, timers, stuck } = start()
    request.end(Buffer.alloc(100))
    await eventually('all of it', () => upload.bytes === 100)
    await timers.advance(10 * STUCK_MS)
    expect(stuck()).toBe(0)
  })
})
