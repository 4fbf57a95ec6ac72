/** kubectl cp both ways, by real kubectl out of and into a real container. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { bulkPod, COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { transcriptEvents } from './support/transcript-events.ts'

const GIGABYTE = 1_000_000_000
const BIG_MS = 300_000

let shop: Shop
let dir: string

function policy(name: string, spec: object): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: 'shop' },
    spec: { effect: 'Allow', subjects: [{ kind: 'Group', name: 'dev' }], ...spec },
  }
}

async function applyPolicy(name: string, spec: object): Promise<void> {
  await shop.apply(policy(name, spec))
  const ready = ['wait', '-n', 'shop', '--for=condition=Ready', `apol/${name}`, '--timeout=30s']
  expect((await shop.admin(ready)).stderr).toBe('')
}

function podOf(app: string): object {
  const pod = bulkPod(shop.sandbox.cluster.demoImage) as {
    metadata: { name: string; labels: Record<string, string> }
  }
  return { ...pod, metadata: { ...pod.metadata, name: `${app}-0`, labels: { app } } }
}

beforeAll(async () => {
  shop = await openShop()
  dir = await mkdtemp(join(tmpdir(), 'podgate-e2e-copy-'))
  for (const app of ['copies', 'strict']) await shop.apply(podOf(app))
  await applyPolicy('copies', {
    match: { operations: ['Copy', 'Exec'], podSelector: { matchLabels: { app: 'copies' } } },
  })
  await applyPolicy('strict', {
    match: { operations: ['Copy'], podSelector: { matchLabels: { app: 'strict' } } },
    masking: { detectors: ['Email'] },
    copy: { paths: ['/tmp/**', '/etc/motd'], maxBytes: '1Mi', maskText: true },
  })
  const pods = ['pod/copies-0', 'pod/strict-0']
  const ready = ['wait', '-n', 'shop', '--for=condition=Ready', ...pods, '--timeout=60s']
  expect((await shop.admin(ready)).code).toBe(0)
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
  await rm(dir, { recursive: true, force: true })
}, 60_000)

async function newest(since: Date): Promise<SessionDocument> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  return await eventually('a sealed record', async () => {
    const [found] = await sessions
      .find({ operation: 'Copy' })
      .sort({ startedAt: -1 })
      .limit(1)
      .toArray()
    return found !== undefined && found.startedAt >= since && found.end !== null && found
  })
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

async function writeGigabyte(path: string): Promise<void> {
  const file = await open(path, 'w')
  const block = randomBytes(10_000_000)
  for (let n = 0; n < GIGABYTE / block.length; n += 1) {
    block.writeUInt32LE(n)
    await file.write(block)
  }
  await file.close()
}

describe('a file of 1 GB', () => {
  it(
    'goes up and comes down with equal digests, which the record has as well',
    async () => {
      const there = join(dir, 'big')
      const back = join(dir, 'big-back')
      await writeGigabyte(there)
      const sha256 = await sha256Of(there)
      let since = new Date()
      const up = await shop.ana(['-n', 'shop', 'cp', there, 'copies-0:/tmp/big'], {
        timeoutMs: BIG_MS,
      })
      expect([up.code, up.stdout, up.stderr]).toEqual([0, '', ''])
      const upload = await newest(since)
      expect(await transcriptEvents(shop, upload)).toContainEqual(
        expect.objectContaining({
          type: 'file',
          direction: 'Upload',
          path: '/tmp/big',
          size: GIGABYTE,
          sha256,
        }),
      )
      const inPod = ['-n', 'shop', 'exec', 'copies-0', '--', 'sha256sum', '/tmp/big']
      expect((await shop.ana(inPod)).stdout).toBe(`${sha256}  /tmp/big\n`)

      since = new Date()
      const down = await shop.ana(['-n', 'shop', 'cp', 'copies-0:/tmp/big', back], {
        timeoutMs: BIG_MS,
      })
      // kubectl shows what tar in the container says on its own stdout (pkg/cmd/cp); nothing is of ours.
      expect([down.code, down.stdout]).toEqual([0, "tar: removing leading '/' from member names\n"])
      expect(await sha256Of(back)).toBe(sha256)
      const download = await newest(since)
      expect(download).toMatchObject({ content: 'Digest', end: { outcome: 'Completed', files: 1 } })
      expect(await transcriptEvents(shop, download)).toContainEqual(
        expect.objectContaining({ type: 'file', direction: 'Download', size: GIGABYTE, sha256 }),
      )
      await shop.ana(['-n', 'shop', 'exec', 'copies-0', '--', 'rm', '/tmp/big'])
    },
    2 * BIG_MS,
  )
})

describe('a folder', () => {
  it('with links, modes and odd names comes back as it was', async () => {
    const tree = join(dir, 'tree')
    await mkdir(join(tree, 'deep', 'er'), { recursive: true })
    await writeFile(join(tree, 'a file with spaces'), 'one')
    await writeFile(join(tree, 'deep', 'er', `${'n'.repeat(140)}.txt`), 'two', { mode: 0o600 })
    await symlink('a file with spaces', join(tree, 'link'))
    const up = await shop.ana(['-n', 'shop', 'cp', tree, 'copies-0:/tmp/tree'])
    expect([up.code, up.stderr]).toEqual([0, ''])
    const back = join(dir, 'tree-back')
    expect((await shop.ana(['-n', 'shop', 'cp', 'copies-0:/tmp/tree', back])).code).toBe(0)
    expect(await readFile(join(back, 'a file with spaces'), 'utf8')).toBe('one')
    const long = join(back, 'deep', 'er', `${'n'.repeat(140)}.txt`)
    expect(await readFile(long, 'utf8')).toBe('two')
  })
})

describe('the rules of a policy', () => {
  it('let through what they name, masked', async () => {
    const file = join(dir, 'people.txt')
    await writeFile(file, 'ana@example.com\n')
    const up = await shop.ana(['-n', 'shop', 'cp', file, 'strict-0:/tmp/people.txt'])
    expect([up.code, up.stderr]).toEqual([0, ''])
    const back = join(dir, 'people-back.txt')
    expect((await shop.ana(['-n', 'shop', 'cp', 'strict-0:/tmp/people.txt', back])).code).toBe(0)
    expect(await readFile(back, 'utf8')).toBe('***************\n')
  })

  it.each([
    ['a path outside, down', ['strict-0:/etc/passwd', 'x'], 'PODGATE-1040'],
    ['a path outside, up', ['README', 'strict-0:/etc/README'], 'PODGATE-1040'],
    ['more than the limit', ['large', 'strict-0:/tmp/large'], 'PODGATE-1040'],
    ['a pod without a word of Copy', ['tools-0:/data/customers.csv', 'x'], 'PODGATE-1002'],
  ])('refuse %s in words', async (_what, args, code) => {
    await writeFile(join(dir, 'README'), 'read me')
    await writeFile(join(dir, 'large'), randomBytes(2 << 20))
    const local = args.map((arg) => (arg.includes(':') ? arg : join(dir, arg)))
    const result = await shop.ana(['-n', 'shop', 'cp', ...local])
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain(code)
  })

  it('leave a shell that is no copy to Exec', async () => {
    const exec = ['-n', 'shop', 'exec', 'strict-0', '--', 'cat', '/etc/passwd']
    expect((await shop.ana(exec)).stderr).toContain('PODGATE-1002')
  })
})
