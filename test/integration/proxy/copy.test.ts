/** kubectl cp: recognised, decided, read on its way and told file by file. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { ExecTarget } from '../../../lib/kube/dial-exec.ts'
import { parseEvent, type SessionEvent } from '../../../lib/recording/event.ts'
import { decodeFrame } from '../../../lib/recording/frame.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import { observe, type Observed } from '../../conformance/observe.ts'
import { eventually } from '../../fakes/eventually.ts'
import {
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

type CopySpec = NonNullable<Parameters<typeof policy>[1]>

let ground: Ground
let under: GatewayUnderTest

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

afterEach(async () => {
  await under.close()
})

async function start(copy?: CopySpec['copy'], changes: CopySpec = {}): Promise<void> {
  under = await startGatewayUnderTest(ground, [
    policy('copies', {
      match: { operations: ['Copy'] },
      ...(copy === undefined ? {} : { copy }),
      ...changes,
    }),
  ])
  under.cluster.requests.length = 0
}

const NO_SIGNAL = new AbortController().signal
const SUCCESS = Buffer.from('{"metadata":{},"status":"Success"}')

type Client = Observed & { session: StreamSession }

async function dial(command: string[], stdin: boolean): Promise<Client> {
  const target: ExecTarget = {
    namespace: 'shop',
    pod: 'web-0',
    subresource: 'exec',
    container: 'main',
    command,
    stdin,
    stdout: true,
    stderr: true,
    tty: false,
  }
  const session = await under.kubectl('ana', 'WebSocket').dial(target, {}, NO_SIGNAL)
  return Object.assign(observe(session), { session })
}

async function refusalOf(command: string[], stdin = false): Promise<string> {
  return await dial(command, stdin).then(
    () => 'it was opened',
    (error: unknown) => (error as { status: { message: string } }).status.message,
  )
}

function archive(files: Record<string, string | { link: string }>): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'podgate-copy-'))
  try {
    for (const [name, content] of Object.entries(files)) {
      const path = join(dir, name)
      mkdirSync(dirname(path), { recursive: true })
      if (typeof content === 'string') writeFileSync(path, content, { mode: 0o640 })
      else symlinkSync(content.link, path)
    }
    const args = ['cf', '-', '-C', dir, ...Object.keys(files)]
    return spawnSync('tar', args, { maxBuffer: 1 << 26 }).stdout
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function sealed(): Promise<SessionDocument> {
  const find = (): SessionDocument | undefined =>
    [...under.store.sessions.values()].find(({ end }) => end !== null)
  await eventually('a sealed record', () => find() !== undefined)
  return find() as SessionDocument
}

async function events(session: string): Promise<SessionEvent[]> {
  const found: SessionEvent[] = []
  for (let seq = 0; ; seq++) {
    const frame = await under.store.getFrame(session, seq)
    if (frame === undefined || frame.kind === 'end') return found
    for (const { kind, data } of await decodeFrame(frame)) {
      const event = kind === 'event' ? parseEvent(data) : undefined
      if (event !== undefined) found.push(event)
    }
  }
}

async function filesTold(): Promise<SessionEvent[]> {
  const { _id } = await sealed()
  return (await events(_id)).filter(({ type }) => type === 'file')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function bytesOf(observed: Observed, channel: StreamName): Buffer {
  return Buffer.concat(observed.chunks(channel))
}

function upstream() {
  const session = under.cluster.sessions.at(-1)
  if (session === undefined) throw new Error('nothing was dialled')
  return { session, seen: observe(session) }
}

const DOWN = ['tar', 'cf', '-', '/data/a.txt']
const UP = ['tar', '-xmf', '-', '-C', '/data']

describe('a download', () => {
  const FILES = { 'data/a.txt': 'mail ana@example.com\n', 'data/b': { link: 'a.txt' } }

  it('arrives as it was sent, and each file is in the record', async () => {
    await start()
    const bytes = archive(FILES)
    const client = await dial(DOWN, false)
    const { session } = upstream()
    for (let at = 0; at < bytes.length; at += 700)
      session.write('stdout', bytes.subarray(at, at + 700))
    await session.finish(SUCCESS)
    await client.until(() => client.closes.length > 0)
    expect(bytesOf(client, 'stdout').equals(bytes)).toBe(true)
    const record = await sealed()
    expect(record).toMatchObject({
      operation: 'Copy',
      content: 'Digest',
      end: { outcome: 'Completed', exitCode: 0, files: 2, bytes: { stdout: bytes.length } },
    })
    expect(await filesTold()).toEqual([
      {
        type: 'file',
        direction: 'Download',
        path: '/data/a.txt',
        kind: 'File',
        size: 21,
        mode: 0o640,
        sha256: sha256('mail ana@example.com\n'),
      },
      expect.objectContaining({ path: 'data/b', kind: 'SymbolicLink', linkTarget: 'a.txt' }),
    ])
  })

  it('masks text where the policy says so, and keeps its length', async () => {
    await start({ maskText: true }, { masking: { detectors: ['Email'] } })
    const bytes = archive(FILES)
    const client = await dial(DOWN, false)
    const { session } = upstream()
    session.write('stdout', bytes)
    await session.finish(SUCCESS)
    await client.until(() => client.closes.length > 0)
    const text = bytesOf(client, 'stdout').toString('latin1')
    expect(text).toHaveLength(bytes.length)
    expect(text).toContain('mail ***************\n')
    expect((await sealed()).end?.masked).toEqual([{ name: 'Email', count: 1 }])
    expect((await filesTold())[0]).toMatchObject({
      sha256: sha256('mail ana@example.com\n'),
      maskedSha256: sha256('mail ***************\n'),
      masked: 1,
    })
  })

  it('ends before a file that the policy does not allow', async () => {
    await start({ paths: ['/data/**'] })
    const client = await dial(['tar', 'cf', '-', '/data'], false)
    const { session } = upstream()
    session.write('stdout', archive({ 'data/a.txt': 'fine', 'etc/shadow': 'SECRET' }))
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('PODGATE-1040')
    expect(client.text('stdout')).toContain('fine')
    expect(client.text('stdout')).not.toContain('SECRET')
    expect(client.text('stdout')).not.toContain('shadow')
    expect(await sealed()).toMatchObject({ end: { outcome: 'Failed' } })
  })

  it('of what is no archive ends in words', async () => {
    await start()
    const client = await dial(DOWN, false)
    upstream().session.write('stdout', Buffer.alloc(1024, 'this is not an archive. '))
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('PODGATE-1041')
    expect(client.text('stdout')).toBe('')
  })
})

describe('an upload', () => {
  it('reaches the pod as it was sent, and each file is in the record', async () => {
    await start()
    const bytes = archive({ 'in/one': 'eins', 'in/two': 'zwei' })
    const client = await dial(UP, true)
    const { session, seen } = upstream()
    for (let at = 0; at < bytes.length; at += 999)
      client.session.write('stdin', bytes.subarray(at, at + 999))
    client.session.end('stdin')
    await seen.until(() => seen.ended.includes('stdin'))
    expect(bytesOf(seen, 'stdin').equals(bytes)).toBe(true)
    await session.finish(SUCCESS)
    await client.until(() => client.closes.length > 0)
    expect(await filesTold()).toMatchObject([
      { direction: 'Upload', path: '/data/in/one', sha256: sha256('eins'), size: 4 },
      { direction: 'Upload', path: '/data/in/two', sha256: sha256('zwei'), size: 4 },
    ])
  })

  it.each([
    ['a path outside', { paths: ['/data/in/*'] }, { 'in/one': 'eins', 'out/two': 'TWO' }],
    ['too many bytes', { maxBytes: '1Ki' }, { 'in/one': 'eins', 'in/two': 'TWO'.repeat(400) }],
    [
      'a link that leads out',
      { paths: ['/data/**'] },
      { 'in/one': 'eins', 'in/TWO': { link: '/etc/passwd' } },
    ],
  ])('is stopped before %s reaches the pod', async (_what, copy, files) => {
    await start(copy)
    const client = await dial(UP, true)
    const { seen } = upstream()
    client.session.write('stdin', archive(files))
    await client.until(() => client.closes.length > 0)
    expect(client.text('error')).toContain('PODGATE-1040')
    expect(seen.text('stdin')).not.toContain('TWO')
  })
})

describe('without a word of Copy', () => {
  beforeEach(async () => {
    under = await startGatewayUnderTest(ground, [
      policy('shell', { match: { operations: ['Exec'] } }),
    ])
    under.cluster.requests.length = 0
  })

  it.each([
    ['a download', DOWN, false],
    ['an upload', UP, true],
    ['a download that is tried again', ['sh', '-c', 'tar cf - /data | tail -c+1'], false],
  ])('%s is refused', async (_what, command, stdin) => {
    expect(await refusalOf(command, stdin)).toContain('PODGATE-1002')
    expect(under.cluster.sessions).toEqual([])
  })

  it('the question whether there is a folder is an exec', async () => {
    const client = await dial(['test', '-d', '/tmp'], false)
    await upstream().session.finish(SUCCESS)
    await client.until(() => client.closes.length > 0)
    expect(await sealed()).toMatchObject({ operation: 'Exec', content: 'Full' })
  })
})

describe('with Copy alone', () => {
  it('the question whether there is a folder needs no approval of its own', async () => {
    await start(undefined, {
      approval: { mode: 'Session', approvers: [{ kind: 'Group', name: 'oncall' }] },
    })
    expect(await refusalOf(UP, true)).toContain('PODGATE-1004')
    const client = await dial(['test', '-d', '/data'], false)
    await upstream().session.finish(SUCCESS)
    await client.until(() => client.closes.length > 0)
    expect(await sealed()).toMatchObject({ operation: 'Copy' })
  })

  it.each([
    ['an exec', ['cat', '/etc/passwd'], 'PODGATE-1002'],
    ['a shell that looks like a copy', ['sh', '-c', 'tar cf - /d | tail -c+1; id'], 'PODGATE-1002'],
    ['a way that the policy closes', DOWN, 'PODGATE-1040'],
    ['a folder that it does not name', ['tar', '-xmf', '-', '-C', '/etc'], 'PODGATE-1040'],
    ['a question about another folder', ['test', '-d', '/etc'], 'PODGATE-1040'],
  ])('%s is refused before anything is dialled', async (_what, command, code) => {
    await start({ directions: ['Upload'], paths: ['/data/**'] })
    expect(await refusalOf(command, command[1] === '-xmf')).toContain(code)
    expect(under.cluster.sessions).toEqual([])
    expect(under.store.sessions.size).toBe(0)
  })
})
