/** exec and attach by kubectl of three generations, against a real kubelet. */
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { kubectlVersion } from '../../lib/cluster/kubectl-versions.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import {
  BULK_POLICY,
  COLD_START_MS,
  bulkPod,
  eventually,
  openShop,
  type Shop,
} from './support/shop.ts'
import type { Kubectl, RunResult } from './support/kubectl.ts'

const MEGABYTES = 100
const BIG_MS = 180_000

let shop: Shop
const programs: Record<string, Kubectl> = {}

beforeAll(async () => {
  shop = await openShop()
  programs['1.34'] = shop.ana
  programs['1.29'] = shop.kubectl(await kubectlVersion('1.29'), 'ana')
  programs['1.35'] = shop.kubectl(await kubectlVersion('1.35'), 'ana')
  await shop.apply(BULK_POLICY)
  await shop.apply(bulkPod(shop.sandbox.cluster.demoImage))
  const ready = await shop.admin([
    'wait',
    '-n',
    'shop',
    '--for=condition=Ready',
    'pod/bulk-0',
    '--timeout=60s',
  ])
  expect(ready.code).toBe(0)
  await shop.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'ended-0', namespace: 'shop' },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'main', image: shop.sandbox.cluster.demoImage, command: ['true'] }],
    },
  })
  const over = ['--for=jsonpath={.status.phase}=Succeeded', 'pod/ended-0', '--timeout=60s']
  expect((await shop.admin(['wait', '-n', 'shop', ...over])).code).toBe(0)
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

function kubectl(version: string): Kubectl {
  const program = programs[version]
  if (program === undefined) throw new Error(version)
  return program
}

const POD = ['-n', 'shop', 'exec', 'bulk-0']

/** Reads the big file; fails unless kubectl got exactly what the gateway was given. */
async function readBig(version: string): Promise<RunResult & { given: number }> {
  const command = ['cat', '/tmp/big']
  const startedAt = new Date()
  const result = await kubectl(version)([...POD, '--', ...command], {
    keepBytes: 0,
    timeoutMs: BIG_MS,
  })
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  const end = await eventually('the terminal record', async () => {
    const [newest] = await sessions.find({ command }).sort({ startedAt: -1 }).limit(1).toArray()
    if (newest === undefined || newest.startedAt < startedAt) return undefined
    return newest.end ?? undefined
  })
  const given = end.bytes?.stdout ?? -1
  expect(result.bytes).toBe(given)
  return { ...result, given }
}

function* megabytes(count: number, hash: ReturnType<typeof createHash>): Generator<Buffer> {
  const block = randomBytes(1_000_000)
  for (let i = 0; i < count; i += 1) {
    block.writeUInt32LE(i)
    hash.update(block)
    yield Buffer.from(block)
  }
}

describe.each(['1.34', '1.29', '1.35'])('kubectl %s', (version) => {
  it('runs a command and shows both streams', async () => {
    const result = await kubectl(version)([...POD, '--', 'sh', '-c', 'echo out; echo err >&2'])
    expect(result).toMatchObject({ code: 0, stdout: 'out\n' })
    expect(result.stderr).toContain('err\n')
  })

  it.each([0, 3, 137, 255])('exits with the command, code %d', async (code) => {
    const result = await kubectl(version)([...POD, '--', 'sh', '-c', `exit ${code}`])
    expect(result.code).toBe(code)
  })

  it('passes input on, and its end', async () => {
    const result = await kubectl(version)(['-n', 'shop', 'exec', '-i', 'bulk-0', '--', 'cat'], {
      input: 'one\ntwo\n',
    })
    expect(result).toMatchObject({ code: 0, stdout: 'one\ntwo\n' })
  })

  it(
    `takes ${MEGABYTES} MB of input whole`,
    async () => {
      const hash = createHash('sha256')
      const result = await kubectl(version)(
        ['-n', 'shop', 'exec', '-i', 'bulk-0', '--', 'sha256sum'],
        {
          input: Readable.from(megabytes(MEGABYTES, hash)),
          timeoutMs: BIG_MS,
        },
      )
      expect(result).toMatchObject({ code: 0, stdout: `${hash.digest('hex')}  -\n` })
    },
    BIG_MS,
  )

  it(
    `gives ${MEGABYTES} MB of output whole`,
    async () => {
      const make = `head -c ${MEGABYTES}000000 /dev/urandom > /tmp/big && sha256sum < /tmp/big`
      const made = await kubectl(version)([...POD, '--', 'sh', '-c', make])
      const whole = MEGABYTES * 1_000_000
      let result = await readBig(version)
      // The node itself sometimes loses the end of what a slow reader is owed, also without a gateway
      // (kubernetes#124571). The record tells what the gateway was given.
      for (let turn = 1; turn < 3 && result.given < whole; turn += 1) {
        result = await readBig(version)
      }
      expect(result).toMatchObject({ code: 0, bytes: whole })
      expect(`${result.sha256}  -\n`).toBe(made.stdout)
    },
    BIG_MS,
  )

  it('takes a command of 20,000 characters', async () => {
    const long = 'x'.repeat(20_000)
    const result = await kubectl(version)([...POD, '--', 'echo', long])
    expect(result).toMatchObject({ code: 0, stdout: `${long}\n` })
  })

  it('attaches to a running process', async () => {
    const result = await kubectl(version)(['-n', 'shop', 'attach', '-i', 'tools-0'], {
      onOutput: (text, child) => {
        if (text.includes('you said: hello')) child.kill('SIGINT')
      },
      input: 'hello\n',
    })
    expect(result.stdout).toContain('you said: hello')
  })

  it('masks what comes out', async () => {
    const result = await kubectl(version)([
      '-n',
      'shop',
      'exec',
      'tools-0',
      '--',
      'cat',
      '/data/customers.csv',
    ])
    expect(result.code).toBe(0)
    const [, alice] = result.stdout.split('\n')
    expect(alice).toBe(
      `${'*'.repeat(11)},Alice Example,${'*'.repeat(17)},${'*'.repeat(15)},${'*'.repeat(19)},${'*'.repeat(27)},${'*'.repeat(10)}`,
    )
    expect(result.stdout).not.toMatch(/@|4111|CUST-/)
  })

  it('says which container it took when there are several', async () => {
    const result = await kubectl(version)(['-n', 'shop', 'exec', 'multi-0', '--', 'hostname'])
    expect(result).toMatchObject({ code: 0, stdout: 'multi-0\n' })
    expect(result.stderr).toContain('Defaulted container "main" out of: main, sidecar')
  })

  it.each([
    ['a pod that is not there', ['exec', 'nobody-0', '--', 'id'], 'pods "nobody-0" not found'],
    ['a pod that has ended', ['exec', 'ended-0', '--', 'id'], 'completed pod'],
    [
      'a container that is not there',
      ['exec', 'bulk-0', '-c', 'nope', '--', 'id'],
      'container nope is not valid for pod bulk-0',
    ],
    [
      'a program that is not there',
      ['exec', 'bulk-0', '--', 'nothing-of-that-name'],
      'nothing-of-that-name',
    ],
    ['a pod no policy names', ['exec', 'ledger-0', '--', 'id'], 'PODGATE-1002'],
    ['somebody else', ['get', 'pods', '--as=cy'], 'PODGATE-1002'],
  ])('refuses %s in words', async (_name, args, words) => {
    const result = await kubectl(version)(['-n', 'shop', ...args])
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain(words)
    expect(result.stderr).not.toMatch(/Error from server: *\n/)
  })
})
