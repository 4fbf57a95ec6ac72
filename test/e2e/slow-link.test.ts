/**
 * Bulk output to somebody far away: kubectl in a network namespace of its own, behind 5 Mbit/s and
 * 80 ms each way. What the gateway was given, kubectl gets, to the last byte.
 *
 *   PODGATE_SLOW_LINK_RUNS=100 npm run test:e2e -- slow-link     five minutes; needs root
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { run, type RunResult } from './support/kubectl.ts'
import { BULK_POLICY, COLD_START_MS, bulkPod, eventually, openShop } from './support/shop.ts'
import type { Shop } from './support/shop.ts'
import {
  linksLeft,
  openSlowLink,
  removeAbandonedLinks,
  type SlowLink,
} from './support/slow-link.ts'
import { accessOf } from './support/token-of.ts'

const RUNS = Number(process.env['PODGATE_SLOW_LINK_RUNS'] ?? 4)
const AT_ONCE = 20
const MBIT_PER_SECOND = 5
const DELAY_MS = 80
const LAST = 2_000_000
/** 15 MB take 24 s at 5 Mbit/s. */
const RUN_MS = 120_000

let shop: Shop
let folder: string
const links: SlowLink[] = []
const whole: Buffer = Buffer.from(
  Array.from({ length: LAST }, (_, n) => `${n + 1}\n`).join(''),
  'latin1',
)

beforeAll(async () => {
  removeAbandonedLinks()
  shop = await openShop()
  folder = await mkdtemp(join(tmpdir(), 'podgate-slow-'))
  await shop.apply(BULK_POLICY)
  await shop.apply(bulkPod(shop.sandbox.cluster.demoImage))
  const args = ['wait', '-n', 'shop', '--for=condition=Ready', 'pod/bulk-0', '--timeout=60s']
  expect((await shop.admin(args)).code).toBe(0)
}, COLD_START_MS)

afterAll(async () => {
  for (const link of links) await link.close()
  await rm(folder, { recursive: true, force: true })
  await shop.close()
  expect(linksLeft()).toEqual([])
}, 60_000)

interface Outcome {
  name: string
  result: RunResult
  /** What the API server gave to the gateway. */
  given: number
}

/** The digest of that much of the beginning. */
function digestOf(length: number): string {
  return createHash('sha256').update(whole.subarray(0, length)).digest('hex')
}

async function givenTo(command: string[]): Promise<number> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  const end = await eventually('the terminal record', async () => {
    return (await sessions.findOne({ command }))?.end ?? undefined
  })
  return end.bytes?.stdout ?? -1
}

async function seqBehind(link: SlowLink, kubeconfig: string, n: number): Promise<Outcome> {
  const wire = n % 2 === 0 ? 'WebSocket' : 'SPDY'
  const name = `${wire} ${n}`
  const command = ['sh', '-c', `exec seq 1 ${LAST}`, `slow ${n}`]
  const kubectl = [shop.sandbox.json.kubectl, `--kubeconfig=${kubeconfig}`, '-n', 'shop', 'exec']
  const [ip = '', ...words] = [...link.within, ...kubectl, 'bulk-0', '--', ...command]
  const result = await run(ip, words, {
    keepBytes: 0,
    timeoutMs: RUN_MS,
    env: {
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(wire === 'WebSocket'),
      KUBECACHEDIR: join(folder, 'cache'),
    },
  })
  const given = await givenTo(command)
  return { name, result, given }
}

/** One run behind each of these links, at the same time. */
async function round(first: number): Promise<Outcome[]> {
  const access = await accessOf(shop, 'ana')
  return await Promise.all(
    links.slice(0, RUNS - first).map(async (link, at) => {
      const kubeconfig = join(folder, `${at}.kubeconfig`)
      await writeFile(kubeconfig, access.kubeconfigFor(link.address), { mode: 0o600 })
      return await seqBehind(link, kubeconfig, first + at)
    }),
  )
}

it(
  `seq 1 ${LAST} over a slow link, ${RUNS} times: no byte that the gateway received is lost`,
  async () => {
    const gatewayPort = Number(new URL(shop.sandbox.json.gateway.url).port)
    for (let index = 0; index < Math.min(RUNS, AT_ONCE); index += 1) {
      links.push(
        await openSlowLink({
          index,
          gatewayPort,
          mbitPerSecond: MBIT_PER_SECOND,
          delayMs: DELAY_MS,
        }),
      )
    }
    const outcomes: Outcome[] = []
    while (outcomes.length < RUNS) outcomes.push(...(await round(outcomes.length)))

    const lost = outcomes
      .filter(({ result, given }) => result.bytes !== given || result.sha256 !== digestOf(given))
      .map(({ name, result, given }) => `${name}: ${result.bytes} of ${given}. ${result.stderr}`)
    expect(lost).toEqual([])
    const failed = outcomes.filter(({ result }) => result.code !== 0).map(({ result }) => result)
    // The node itself may lose the end of what a slow reader is owed, and then says so in no way
    // (kubernetes#124571); such a run says nothing about the gateway, and must stay rare.
    const short = outcomes.filter(({ given }) => given < whole.length)
    process.stderr.write(
      `${RUNS} runs, ${failed.length} without code 0, ${short.length} cut short before the gateway; ` +
        `slowest ${Math.round(Math.max(...outcomes.map(({ result }) => result.ms)) / 1000)} s, ` +
        `fastest ${Math.round(Math.min(...outcomes.map(({ result }) => result.ms)) / 1000)} s\n`,
    )
    expect(failed).toEqual([])
    expect(short.length).toBeLessThanOrEqual(RUNS / 2)
    // A link that is not slow would prove nothing.
    const atLeastMs = ((whole.length * 8) / (MBIT_PER_SECOND * 1_000_000)) * 1000
    for (const { result, given } of outcomes) {
      expect(result.ms).toBeGreaterThan((atLeastMs * given) / whole.length / 1.1)
    }
  },
  Math.ceil(RUNS / AT_ONCE) * RUN_MS + 60_000,
)
