/** Output as fast as it goes: kubectl exec of `cat`, whole runs of stock kubectl. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

import { createMongoStore } from '../../lib/recording/mongo-store.ts'
import { FRAME_BYTES, IN_FLIGHT } from '../../lib/recording/recorder.ts'
import { runKubectl } from '../../lib/sandbox/run-kubectl.ts'
import { logText } from '../fixtures/log-text.ts'
import type { Bed } from './bed.ts'
import { MASKED_DIGEST_POD, NAMESPACE, PLAIN_POD, POD } from './manifests.ts'
import { atLeast, type Findings, Notebook } from './measurement.ts'
import { cpuSeconds } from './process-usage.ts'
import type { Route } from './routes.ts'
import { medianOfRounds } from './statistics.ts'
import { measureStoreRate } from './store-rate.ts'

export interface BulkOptions {
  rounds: number
  mebibytes: number
  /** Called around each run through the gateway. */
  profile?: <T>(name: string, run: () => Promise<T>) => Promise<T>
}

const MIB = 1024 * 1024
/** A file is this block over and over; far more than zstd, frame by frame, could see again. */
const BLOCK_MIB = 16
const UPLOAD_BYTES = 1 * MIB
const TIMEOUT_MS = 300_000
const SEAL_PATIENCE_MS = 10_000
const SEAL_POLL_MS = 50
/** Bytes that one masked match may be shorter, in random bytes. */
const MAX_SHRINK = 64
const run = promisify(execFile)

/** A file in a pod. */
export interface BulkFile {
  pod: string
  name: string
  bytes: number
}

/** In pieces, and with a command after `cat`: a shell that execs its last command ends the upload early. */
async function putFile(bed: Bed, { pod, name, bytes }: BulkFile, block: Uint8Array): Promise<void> {
  const blocks = bytes / block.length
  const part = `/tmp/${name}.part`
  const exec = ['exec', '-i', '-n', NAMESPACE, pod, '--', 'sh', '-c']
  await runKubectl([...exec, `rm -f ${part} /tmp/${name}; true`], bed.admin)
  for (let at = 0; at < block.length; at += UPLOAD_BYTES) {
    const piece = Buffer.from(block.subarray(at, at + UPLOAD_BYTES)).toString('base64')
    await runKubectl([...exec, `base64 -d >> ${part}; true`], { ...bed.admin, input: piece })
  }
  const repeat = `for i in $(seq ${blocks}); do cat ${part}; done > /tmp/${name}; rm ${part}; wc -c < /tmp/${name}`
  const size = await runKubectl([...exec, repeat], { ...bed.admin, timeoutMs: TIMEOUT_MS })
  if (Number(size) !== bytes) {
    throw new Error(`the file ${name} in the pod has ${size.trim()} bytes`)
  }
}

/** Log text of which one line in a hundred holds personal data. */
export async function putText(bed: Bed, pod: string, mebibytes: number): Promise<BulkFile> {
  const file: BulkFile = { pod, name: 'text', bytes: mebibytes * MIB }
  await putFile(bed, file, logText(BLOCK_MIB * MIB, 1))
  return file
}

/**
 * One `kubectl exec -- cat`, whose every byte is counted. The node cuts the end off when a reader is
 * slow just as the command ends, also without a gateway (docs/performance.md); then the rate is of
 * the bytes that came.
 */
async function cat(bed: Bed, route: Route, { pod, name, bytes }: BulkFile): Promise<number> {
  const args = [`--kubeconfig=${route.kubeconfig}`, 'exec', '-n', NAMESPACE, pod, '--']
  const begin = performance.now()
  const { stdout, stderr } = await run(
    'sh',
    [
      '-c',
      '{ "$@"; echo "exit code $?" >&2; } | wc -c',
      'sh',
      bed.sandbox.json.kubectl,
      ...args,
      'cat',
      `/tmp/${name}`,
    ],
    {
      timeout: TIMEOUT_MS,
      env: { ...process.env, KUBERC: 'off' },
      ...(bed.admin.signal === undefined ? {} : { signal: bed.admin.signal }),
    },
  )
  const seconds = (performance.now() - begin) / 1000
  const received = Number(stdout)
  if (received === 0 || received > bytes || !stderr.includes('exit code 0'))
    throw new Error(`${route.name}: ${received} of ${bytes} bytes of ${name}; ${stderr.trim()}`)
  if (received < bytes)
    process.stderr.write(`${route.name}: the node kept ${bytes - received} bytes of ${name}\n`)
  if (route.name === 'gateway')
    await assertRecorded(bed, received, name === 'random' ? MAX_SHRINK : 0)
  return received / 1e6 / seconds
}

/** Nothing may be lost between the pod and kubectl, nor between kubectl and the transcript. */
async function assertRecorded(bed: Bed, received: number, shrink: number): Promise<void> {
  const { uri, database } = bed.sandbox.json.mongodb
  const store = createMongoStore({ uri, database })
  try {
    const deadline = performance.now() + SEAL_PATIENCE_MS
    for (;;) {
      const [session] = await store.listSessions({ limit: 1 })
      const end = session?.end ?? undefined
      const recorded = end?.bytes?.stdout
      // A character of several bytes is masked by one star.
      const hits = end?.masked.reduce((sum, { count }) => sum + count, 0) ?? 0
      if (recorded !== undefined && recorded - received <= hits * shrink) return
      if (recorded !== undefined || performance.now() > deadline)
        throw new Error(
          `kubectl has ${received} bytes, the transcript says ${recorded ?? 'nothing'}`,
        )
      await delay(SEAL_POLL_MS)
    }
  } finally {
    await store.close()
  }
}

/** All ways in turn, again and again; `run` gives the rate of one. */
export async function measureRuns(
  bed: Bed,
  notes: Notebook,
  options: BulkOptions,
  name: string,
  transfer: (route: Route) => Promise<number>,
  afterRoutes: () => Promise<void> = async () => {},
): Promise<void> {
  const profile = options.profile ?? (async (_name, task) => await task())
  const pid = bed.gatewayPid()
  // A gateway runs for weeks: its first bytes, while V8 still compiles, say nothing of the rest.
  for (const route of bed.routes.all) await transfer(route)
  for (let round = 0; round < options.rounds; round += 1) {
    for (const route of bed.routes.all) {
      const isGateway = route.name === 'gateway'
      const cpuBefore = cpuSeconds(pid)
      const rate = isGateway
        ? await profile(`${name}-${round}`, async () => await transfer(route))
        : await transfer(route)
      notes.of(route.name, 'throughput', 'MB/s').push(rate)
      if (isGateway)
        notes.of('gateway', 'CPU of the gateway', 's').push(cpuSeconds(pid) - cpuBefore)
    }
    await afterRoutes()
  }
}

/** Of what `kubectl proxy` carries. */
export function ofKubectlProxy(notes: Notebook): number {
  return medianOfRounds(
    notes.of('gateway', 'throughput', 'MB/s'),
    notes.of('kubectl proxy', 'throughput', 'MB/s'),
    (gateway, proxy) => gateway / proxy,
  )
}

/** One file of text out of one pod, whose labels choose the policy. */
export interface TextMeasurement {
  name: string
  pod: string
  /** What is measured, for the list of bars. */
  bar: string
  /** Of what `kubectl proxy` carries. */
  wanted: number
}

export async function measureTransfer(
  bed: Bed,
  options: BulkOptions,
  { name, pod, bar, wanted }: TextMeasurement,
  transfer: (bed: Bed, route: Route, file: BulkFile) => Promise<number>,
): Promise<Findings> {
  const notes = new Notebook(name)
  const file = await putText(bed, pod, options.mebibytes)
  const label = name.replaceAll(' ', '-')
  await measureRuns(bed, notes, options, label, (route) => transfer(bed, route, file))
  const found = atLeast(`${bar}, of kubectl proxy`, ofKubectlProxy(notes), wanted)
  return { series: notes.series, bars: [found] }
}

const TEXTS: Record<'text' | 'digest' | 'maskedDigest', TextMeasurement> = {
  /** Masked, and kept in full. */
  text: { name: 'text', pod: POD, bar: 'text', wanted: 0.75 },
  /** The same text, unmasked, of which only the digest is kept. */
  digest: {
    name: 'digest',
    pod: PLAIN_POD,
    bar: 'text without masks, content: Digest',
    wanted: 1,
  },
  /** Masked, of which only the digest is kept: what the gateway does by itself, without the store. */
  maskedDigest: {
    name: 'masked digest',
    pod: MASKED_DIGEST_POD,
    bar: 'text with masks, content: Digest',
    wanted: 0.75,
  },
}

export async function measureText(
  bed: Bed,
  options: BulkOptions,
  kind: keyof typeof TEXTS,
): Promise<Findings> {
  return await measureTransfer(bed, options, TEXTS[kind], cat)
}

export async function measureRandom(bed: Bed, options: BulkOptions): Promise<Findings> {
  const notes = new Notebook('random')
  const { uri } = bed.sandbox.json.mongodb
  const totalBytes = options.mebibytes * MIB
  const file: BulkFile = { pod: POD, name: 'random', bytes: totalBytes }
  await putFile(bed, file, randomBytes(BLOCK_MIB * MIB))
  const storeRate = async (): Promise<void> => {
    const { mbPerSecond } = await measureStoreRate(uri, {
      frameBytes: FRAME_BYTES,
      inFlight: IN_FLIGHT,
      totalBytes,
    })
    notes.of('store', 'its own insert rate', 'MB/s').push(mbPerSecond)
  }
  await measureRuns(bed, notes, options, 'random', (route) => cat(bed, route, file), storeRate)
  const ratio = medianOfRounds(
    notes.of('gateway', 'throughput', 'MB/s'),
    notes.of('store', 'its own insert rate', 'MB/s'),
    (gateway, store) => gateway / store,
  )
  return {
    series: notes.series,
    bars: [atLeast("random bytes, of the store's own rate", ratio, 0.9)],
  }
}
