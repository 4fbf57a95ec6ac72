/**
 * What every TranscriptStore must do. Run against the memory store (test/unit) and against a real
 * server of the MongoDB wire protocol (test/integration).
 */
import { randomUUID } from 'node:crypto'

import { beforeAll, describe, expect, it } from '@jest/globals'

import { encodeFrame, frameId, type DataFrame, type EndFrame } from '../../lib/recording/frame.ts'
import {
  sessionDocument,
  type SessionDocument,
  type SessionStart,
  type TerminalRecord,
} from '../../lib/recording/session-document.ts'
import type { TranscriptStore } from '../../lib/recording/store.ts'
import { sessionStart } from '../fakes/session-start.ts'

export async function textFrame(
  session: string,
  seq: number,
  text: string,
  writer = 'writer-1',
): Promise<DataFrame> {
  const data = Buffer.from(text)
  return await encodeFrame([{ kind: 'stdout', atMs: seq, data }], { session, seq, writer })
}

export function endFrame(session: string, seq: number, sealedBy: string): EndFrame {
  return {
    _id: frameId(session, seq),
    session,
    seq,
    schemaVersion: 1,
    writer: sealedBy,
    kind: 'end',
    end: terminal(seq, sealedBy),
  }
}

function terminal(frames: number, sealedBy: string): TerminalRecord {
  return {
    outcome: 'Completed',
    exitCode: 3,
    bytes: { stdin: 1, stdout: 2, stderr: 3 },
    masked: [{ name: 'customer.no', count: 2 }],
    endedAt: new Date('2026-11-22T10:01:00Z'),
    frames,
    sealedBy,
  }
}

export function describeStore(name: string, open: () => Promise<TranscriptStore>): void {
  describe(name, () => {
    let store: TranscriptStore
    beforeAll(async () => {
      store = await open()
    })

    async function putNew(overrides: Partial<SessionStart> = {}): Promise<SessionDocument> {
      const start = sessionStart(overrides)
      const session = sessionDocument(start, 'writer-1', new Date('2026-11-22T10:00:30Z'))
      expect(await store.putSession(session)).toBe('stored')
      return session
    }

    it('can be prepared twice and answers a ping', async () => {
      await store.prepare()
      await store.prepare()
      await store.ping()
    })

    describe('sessions', () => {
      it('gives back what was put, to the last field', async () => {
        const session = await putNew()
        expect(await store.getSession(session._id)).toEqual(session)
      })

      it('knows nothing of a session that was never put', async () => {
        expect(await store.getSession('s-unknown')).toBeUndefined()
      })

      it('takes the same session of the same writer again, and that of no other writer', async () => {
        const session = await putNew()
        expect(await store.putSession(session)).toBe('stored')
        expect(await store.putSession({ ...session, writer: 'writer-2' })).toBe('taken')
        expect(await store.getSession(session._id)).toEqual(session)
      })

      it('shows the end in the session and takes it off the list of the open ones', async () => {
        const session = await putNew()
        const listed = { id: session._id, leaseUntil: session.leaseUntil }
        expect(await store.openSessions()).toContainEqual(listed)
        await store.setEnd(session._id, terminal(7, 'writer-1'))
        const ended = await store.getSession(session._id)
        expect(ended?.end).toEqual(terminal(7, 'writer-1'))
        expect((await store.openSessions()).map(({ id }) => id)).not.toContain(session._id)
      })

      it('renews the leases of the living and names those that have ended', async () => {
        const living = await putNew()
        const ended = await putNew()
        await store.setEnd(ended._id, terminal(0, 'other'))
        const leaseUntil = new Date('2026-11-22T11:00:00Z')
        const ids = [living._id, ended._id, 's-never-there']
        expect(await store.renewLeases(ids, leaseUntil)).toEqual([ended._id, 's-never-there'])
        expect(await store.renewLeases([living._id], leaseUntil)).toEqual([])
        expect((await store.getSession(living._id))?.leaseUntil).toEqual(leaseUntil)
        expect((await store.getSession(ended._id))?.leaseUntil).toBeNull()
      })
    })

    describe('what sessions of Debug have made', () => {
      const uid = `uid-${randomUUID()}`

      async function made(
        container: string,
        podUID: string = uid,
        minute = 0,
      ): Promise<SessionDocument> {
        const startedAt = new Date(Date.UTC(2026, 10, 22, 13, minute))
        const session = await putNew({ operation: 'Debug', startedAt })
        const created = { pod: 'web-0', podUID, container }
        await store.setEnd(session._id, { ...terminal(0, 'writer-1'), created })
        return session
      }

      it('is found by the pod’s uid and the container, newest first', async () => {
        const own = await made('debugger-1')
        await made('debugger-2', uid, 5)
        await made('debugger-1', `${uid}-other`, 6)
        const pod = await made('', uid, 7)
        const find = async (container: string): Promise<string | undefined> =>
          (await store.findDebug({ podUID: uid, container }))?._id
        expect(await find('debugger-1')).toBe(own._id)
        const newer = await made('debugger-1', uid, 9)
        expect(await find('debugger-1')).toBe(newer._id)
        expect(await find('')).toBe(pod._id)
      })

      it('is not found while the session runs, nor by an operator in place of a name', async () => {
        expect(await store.findDebug({ podUID: uid, container: 'never' })).toBeUndefined()
        const target = { ...sessionStart().target, podUID: `${uid}-running` }
        await putNew({ operation: 'Debug', target })
        expect(await store.findDebug({ podUID: target.podUID, container: '' })).toBeUndefined()
        const hostile = { $ne: 1 } as unknown as string
        expect(await store.findDebug({ podUID: hostile, container: '' })).toBeUndefined()
      })
    })

    describe('list', () => {
      const issuer = `https://idp.test/${randomUUID()}`
      const user = { username: 'bo', groups: [], issuer }
      const target = sessionStart().target
      const ids: string[] = []

      beforeAll(async () => {
        const rows: [string, string, string, number][] = [
          ['bo', 'shop', 'web-0', 1],
          ['bo', 'shop', 'web-1', 2],
          ['bo', 'bank', 'web-0', 2],
          ['cy', 'shop', 'web-0', 3],
          ['bo', 'shop', 'web-0', 4],
        ]
        for (const [index, [username, namespace, pod, minute]] of rows.entries()) {
          const { _id } = await putNew({
            id: `l${index}-${randomUUID()}`,
            user: { ...user, username },
            target: { ...target, namespace, pod },
            startedAt: new Date(Date.UTC(2026, 10, 22, 12, minute)),
          })
          ids.push(_id)
        }
      })

      const cases: [string, object, number[]][] = [
        ['everything of the issuer, newest first, then by id', {}, [4, 3, 2, 1, 0]],
        ['one user', { username: 'cy' }, [3]],
        ['one namespace', { namespace: 'shop' }, [4, 3, 1, 0]],
        ['one pod of one namespace', { namespace: 'shop', pod: 'web-1' }, [1]],
        ['another issuer’s user of the same name', { issuer: 'https://elsewhere' }, []],
        ['a limit', { limit: 2 }, [4, 3]],
      ]
      it.each(cases)('finds %s', async (_name, query, want) => {
        const found = await store.listSessions({ issuer, limit: 10, ...query })
        expect(found.map(({ _id }) => _id)).toEqual(want.map((index) => ids[index]))
      })

      it('goes on after any session, also among those of the same moment', async () => {
        const all = await store.listSessions({ issuer, limit: 10 })
        for (const [index, { startedAt, _id }] of all.entries()) {
          const rest = await store.listSessions({
            issuer,
            limit: 10,
            after: { startedAt, id: _id },
          })
          expect(rest.map((each) => each._id)).toEqual(all.slice(index + 1).map((each) => each._id))
        }
      })
    })

    describe('frames', () => {
      it('gives back the very bytes', async () => {
        const { _id } = await putNew()
        const frame = await textFrame(_id, 0, 'hello \u0000 \u{1f600}')
        expect(await store.putFrame(frame)).toBe('stored')
        const found = await store.getFrame(_id, 0)
        if (found?.kind !== 'data') throw new Error('no frame of data')
        expect(Buffer.from(found.data).equals(Buffer.from(frame.data))).toBe(true)
        expect({ ...found, data: null }).toEqual({ ...frame, data: null })
      })

      it('counts a repeated insert of the same writer as stored, once', async () => {
        const { _id } = await putNew()
        const frame = await textFrame(_id, 0, 'once')
        expect(await store.putFrame(frame)).toBe('stored')
        expect(await store.putFrame(frame)).toBe('stored')
        expect(await store.getFrame(_id, 1)).toBeUndefined()
      })

      it('gives a place to the first writer only, and to data or an end only', async () => {
        const { _id } = await putNew()
        const own = await textFrame(_id, 0, 'mine')
        expect(await store.putFrame(own)).toBe('stored')
        expect(await store.putFrame(await textFrame(_id, 0, 'late', 'writer-2'))).toBe('taken')
        expect(await store.putFrame(endFrame(_id, 0, 'writer-1'))).toBe('taken')
        expect(await store.putFrame(endFrame(_id, 1, 'writer-1'))).toBe('stored')
        expect(await store.putFrame(await textFrame(_id, 1, 'after the end'))).toBe('taken')
        expect(await store.getFrame(_id, 1)).toEqual(endFrame(_id, 1, 'writer-1'))
      })

      it('has one winner among many that want the same place at once', async () => {
        const { _id } = await putNew()
        const writers = Array.from({ length: 8 }, (_, index) => `sealer-${index}`)
        const results = await Promise.all(
          writers.map((writer) => store.putFrame(endFrame(_id, 0, writer))),
        )
        expect(results.filter((result) => result === 'stored')).toHaveLength(1)
        const found = await store.getFrame(_id, 0)
        expect(found?.writer).toBe(writers[results.indexOf('stored')])
      })

      it('tells what stands at a place without its bytes', async () => {
        const { _id } = await putNew()
        await store.putFrame(await textFrame(_id, 0, 'x'))
        await store.putFrame(endFrame(_id, 1, 'w'))
        expect(await store.peekFrame(_id, 0)).toBe('data')
        expect(await store.peekFrame(_id, 1)).toBe('end')
        expect(await store.peekFrame(_id, 2)).toBeUndefined()
      })
    })
  })
}
