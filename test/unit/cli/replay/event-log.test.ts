import { describe, expect, it } from '@jest/globals'

import { createEventLog } from '../../../../lib/cli/replay/event-log.ts'
import { encodePayload } from '../../../../lib/proxy/forward/payload.ts'
import { eventEntry, type SessionEvent } from '../../../../lib/recording/event.ts'

const SHA = 'ab'.repeat(32)

function said(event: SessionEvent): string | undefined {
  return createEventLog().line(eventEntry(event, 0))
}

describe('what happened is told in words', () => {
  const cases: [string, SessionEvent, string | undefined][] = [
    [
      'a connection',
      { type: 'connectionOpened', connection: 1, port: 8080, policies: ['web'] },
      'connection 1 to port 8080 opened',
    ],
    [
      'a connection that was refused',
      { type: 'connectionRefused', connection: 2, port: 22, message: 'no policy allows it' },
      'connection 2 to port 22 refused: no policy allows it',
    ],
    [
      'the end of a connection',
      {
        type: 'connectionClosed',
        connection: 1,
        port: 8080,
        reason: 'both sides have ended',
        up: { bytes: 5, sha256: SHA },
        down: { bytes: 2048, sha256: SHA },
      },
      `connection 1 to port 8080 closed (both sides have ended): to the pod 5, SHA-256 ${SHA}; from it 2.0Ki, SHA-256 ${SHA}`,
    ],
    ['digests in between', { type: 'connectionDigests', connections: [] }, undefined],
    [
      'a file that was taken',
      {
        type: 'file',
        direction: 'Download',
        path: 'etc/shop.conf',
        kind: 'file',
        size: 1536,
        mode: 0o644,
        sha256: SHA,
        masked: 2,
      },
      `etc/shop.conf (file from the pod, 1.5Ki, mode 0644, SHA-256 ${SHA}, 2 values masked)`,
    ],
    [
      'a link that was brought',
      {
        type: 'file',
        direction: 'Upload',
        path: 'a',
        kind: 'symlink',
        size: 0,
        mode: 0o777,
        linkTarget: '/etc/passwd',
      },
      'a -> /etc/passwd (symlink to the pod, 0, mode 0777)',
    ],
    [
      'a request',
      { type: 'request', method: 'GET', path: '/api/v1/nodes/n1/proxy/healthz', status: 200 },
      'GET /api/v1/nodes/n1/proxy/healthz: HTTP 200',
    ],
    [
      'a debug container',
      { type: 'debug', container: 'dbg', image: 'busybox', detail: { tty: true } },
      'debug container dbg of image busybox: {"tty":true}',
    ],
  ]
  it.each(cases)('%s', (_name, event, words) => {
    expect(said(event)).toBe(words)
  })

  it('an event of a later version is shown as it is', () => {
    const data = Buffer.from('{"type":"somethingNew","n":1}')
    expect(createEventLog().line({ kind: 'event', atMs: 0, data })).toBe(
      'event: {"type":"somethingNew","n":1}',
    )
  })

  it('so is what is no event', () => {
    const data = Buffer.from('oops')
    expect(createEventLog().line({ kind: 'event', atMs: 0, data })).toBe('event: oops')
  })
})

describe('what can only be told at the end', () => {
  it('is the last digest of each channel', () => {
    const log = createEventLog()
    for (const bytes of [10, 4096]) {
      const event: SessionEvent = { type: 'digest', channel: 'stdout', bytes, sha256: SHA }
      expect(log.line(eventEntry(event, 0))).toBeUndefined()
    }
    expect(log.summary()).toEqual([
      `The content of stdout was not kept, only its digest: 4.0Ki, SHA-256 ${SHA}`,
    ])
  })

  it('is how much there is of what is not shown', () => {
    const log = createEventLog()
    log.line({ kind: 'stdin', atMs: 0, data: Buffer.alloc(1024) })
    for (const connection of [1, 2]) {
      const up = encodePayload({ direction: 'up', connection, data: Buffer.alloc(3) })
      const down = encodePayload({ direction: 'down', connection, data: Buffer.alloc(512) })
      for (const data of [up, down]) log.line({ kind: 'forward', atMs: 0, data })
    }
    expect(log.summary()).toEqual([
      'The input was kept as well (1.0Ki); it is not shown.',
      'What 2 connections carried was kept as well (6 to the pod, 1.0Ki from it); it is not shown.',
    ])
  })

  it('is nothing where all was shown', () => {
    expect(createEventLog().summary()).toEqual([])
  })
})
