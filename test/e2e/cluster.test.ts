import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { type Cluster, localHindrance, openCluster } from '../../lib/cluster/cluster.ts'
import { demoImage } from '../../lib/cluster/images.ts'
import {
  type InstanceRecord,
  kubeletRootOf,
  listInstances,
  nodeNetworkOf,
} from '../../lib/cluster/instance.ts'
import { startMongo } from '../../lib/cluster/mongo.ts'
import { isAlive } from '../../lib/cluster/process-identity.ts'

const TIMEOUT_MS = 180_000
const IMAGE = demoImage({ '/data/customers.csv': { content: 'name,mail\nAda,ada@example.com\n' } })

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'podgate-cluster-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Answer {
  code: number
  stdout: string
  stderr: string
}

async function kubectl(cluster: Cluster, ...args: string[]): Promise<Answer> {
  const all = ['--kubeconfig', cluster.adminKubeconfig, ...args]
  try {
    return { code: 0, ...(await promisify(execFile)(cluster.kubectl, all)) }
  } catch (error) {
    const { code, stdout, stderr } = error as Answer
    return { code, stdout, stderr }
  }
}

async function runPod(cluster: Cluster, name: string): Promise<void> {
  await cluster.loadImage(IMAGE)
  await kubectl(cluster, 'run', name, `--image=${IMAGE.name}`, '--image-pull-policy=Never')
  const ready = ['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']
  expect(await kubectl(cluster, ...ready)).toMatchObject({ code: 0 })
}

async function open(name: string): Promise<Cluster> {
  const stateDir = join(folder, name)
  return await openCluster({ name, stateDir, prefer: { kind: 'local' }, audit: name === 'first' })
}

function recordOf(stateDir: string): InstanceRecord {
  const record = listInstances().find((candidate) => candidate.stateDir === stateDir)
  if (record === undefined) throw new Error(`no instance is recorded for ${stateDir}`)
  return record
}

/** Everything of an instance that can be seen on the machine. */
function remainsOf(record: InstanceRecord): string[] {
  const { bridge, cgroup } = nodeNetworkOf(record.index)
  const commands = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' '))
  const hierarchies = readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}${cgroup}`)
  const socketFolder = `/run/podgate/${record.index}/`
  const paths = [
    record.stateDir,
    socketFolder,
    `/run/podgate/${record.index}.json`,
    kubeletRootOf(record.index),
    `/sys/class/net/${bridge}`,
    ...hierarchies,
  ]
  return [
    ...record.processes.filter(isAlive).map(({ name }) => `process ${name}`),
    ...commands.filter((line) => line.includes('containerd-shim') && line.includes(socketFolder)),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(record.stateDir)),
    ...paths.filter((path) => existsSync(path)),
    ...listOrNothing('/var/log/containers').filter((name) => name.startsWith('demo_')),
    ...listOrNothing('/var/lib/cni/results').filter((name) => name.startsWith(`${bridge}-`)),
  ]
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function listOrNothing(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : []
}

async function waitFor(condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition() && Date.now() < deadline) await delay(50)
}

/** A process that opens a cluster with a pod and then only waits to be killed. */
async function startParent(stateDir: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, '..', 'fixtures', 'cluster-parent.ts')
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script, stateDir],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    },
  )
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', () => reject(new Error(`the parent ended too early: ${errors}`)))
  })
  return child
}

async function endOf(child: ChildProcess): Promise<string | number | null> {
  return await new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code))
  })
}

const hindrance = localHindrance()
if (hindrance !== undefined) throw new Error(`these tests start local clusters, but ${hindrance}`)

describe('two local clusters side by side', () => {
  let first: Cluster
  let second: Cluster
  let records: InstanceRecord[]

  beforeAll(async () => {
    const opened = await Promise.allSettled([open('first'), open('second')])
    for (const one of opened) if (one.status === 'rejected') throw one.reason
    ;[first, second] = opened.map((one) => (one as PromiseFulfilledResult<Cluster>).value) as [
      Cluster,
      Cluster,
    ]
    records = ['first', 'second'].map((name) => recordOf(join(folder, name)))
    await Promise.all([runPod(first, 'demo-first'), runPod(second, 'demo-second')])
  }, TIMEOUT_MS)
  afterAll(async () => {
    await Promise.allSettled([first?.close(), second?.close()])
  }, TIMEOUT_MS)

  it('each has its own pod and no other', async () => {
    const names = ['get', 'pods', '-A', '-o', 'jsonpath={.items[*].metadata.name}']
    expect((await kubectl(first, ...names)).stdout).toBe('demo-first')
    expect((await kubectl(second, ...names)).stdout).toBe('demo-second')
  })

  it.each([
    {
      does: 'prints a file of the image',
      script: 'cat /data/customers.csv',
      code: 0,
      out: 'name,mail\nAda,ada@example.com\n',
    },
    { does: 'ends with the exit code of the command', script: 'exit 3', code: 3, out: '' },
    {
      does: 'has the applets that demonstrations use',
      script: 'which vi tar nc stty od dd sha256sum seq head >/dev/null && echo all',
      code: 0,
      out: 'all\n',
    },
  ])('exec straight to the API server $does', async ({ script, code, out }) => {
    for (const [cluster, pod] of [
      [first, 'demo-first'],
      [second, 'demo-second'],
    ] as const) {
      const answer = await kubectl(cluster, 'exec', pod, '--', 'sh', '-c', script)
      expect(answer).toMatchObject({ code, stdout: out })
    }
  })

  it('gives pods of one cluster addresses of its own subnet', async () => {
    const ip = ['get', 'pods', '-o', 'jsonpath={.items[*].status.podIP}']
    const addresses = [await kubectl(first, ...ip), await kubectl(second, ...ip)]
    addresses.forEach(({ stdout }, index) => {
      const { gateway } = nodeNetworkOf(records[index]?.index ?? -1)
      expect(stdout.split('.').slice(0, 3)).toEqual(gateway.split('.').slice(0, 3))
    })
  })

  it('writes what the API server saw to the audit log where asked to', () => {
    expect(readFileSync(first.auditLog ?? '', 'utf8')).toContain('"subresource":"exec"')
    expect(second.auditLog).toBeUndefined()
  })

  it('listens on 127.0.0.1 only', async () => {
    const { stdout } = await promisify(execFile)('ss', ['-Hltnp'])
    const pids = records.flatMap(({ processes }) => processes.map(({ pid }) => `pid=${pid},`))
    const listening = stdout.split('\n').filter((line) => pids.some((pid) => line.includes(pid)))
    expect(listening.length).toBeGreaterThanOrEqual(10)
    expect(listening.filter((line) => !line.includes(' 127.0.0.1:'))).toEqual([])
  })

  it('works on after its API server was restarted, and its pods have not noticed', async () => {
    const started = [
      'get',
      'pod',
      'demo-first',
      '-o',
      'jsonpath={.status.containerStatuses[0].restartCount}',
    ]
    await first.restartApiServer?.()
    expect((await kubectl(first, ...started)).stdout).toBe('0')
    expect(await kubectl(first, 'exec', 'demo-first', '--', 'true')).toMatchObject({ code: 0 })
  })

  it('leaves nothing behind, and leaves the other one alone', async () => {
    await first.close()
    expect(remainsOf(records[0] as InstanceRecord)).toEqual([])
    expect(await kubectl(second, 'exec', 'demo-second', '--', 'true')).toMatchObject({ code: 0 })
    await second.close()
    expect(remainsOf(records[1] as InstanceRecord)).toEqual([])
  })
})

describe('the end of the parent', () => {
  it(
    'by kill -9 is noticed by the watchdog, which removes everything',
    async () => {
      const stateDir = join(folder, 'killed')
      const parent = await startParent(stateDir)
      const record = recordOf(stateDir)
      expect(remainsOf(record).length).toBeGreaterThan(10)
      parent.kill('SIGKILL')
      await waitFor(() => remainsOf(record).length === 0)
      expect(remainsOf(record)).toEqual([])
    },
    TIMEOUT_MS,
  )

  it(
    'by kill -9, its watchdog too, is cleaned up by the next start of anything',
    async () => {
      const stateDir = join(folder, 'abandoned')
      const parent = await startParent(stateDir)
      const record = recordOf(stateDir)
      if (record.watchdog !== null) process.kill(record.watchdog.pid, 'SIGKILL')
      const end = endOf(parent)
      parent.kill('SIGKILL')
      await end
      expect(remainsOf(record).length).toBeGreaterThan(10)
      const next = await startMongo({ uri: '', stateDir: join(folder, 'next') })
      await next.close()
      expect(remainsOf(record)).toEqual([])
    },
    TIMEOUT_MS,
  )

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s that it does not handle takes everything with it',
    async (signal) => {
      const stateDir = join(folder, signal)
      const parent = await startParent(stateDir)
      const record = recordOf(stateDir)
      const end = endOf(parent)
      parent.kill(signal)
      expect(await end).toBe(signal)
      expect(remainsOf(record)).toEqual([])
    },
    TIMEOUT_MS,
  )
})
