/**
 * `npm run bench`: the gateway beside the plain API server and `kubectl proxy`, in one run and in
 * turns, because the speed of a machine drifts. Needs what `npm start` needs.
 */
import { parseArgs } from 'node:util'

import { errorText } from '../../lib/errors/gateway-error.ts'
import { type Bed, openBed } from './bed.ts'
import { type BulkOptions, measureRandom, measureText } from './bulk.ts'
import { measureCopy } from './copy.ts'
import { measureForward } from './forward.ts'
import { measureEcho, measureOpen } from './latency.ts'
import { measureList } from './list.ts'
import type { Findings } from './measurement.ts'
import { measureMemory } from './memory.ts'
import { openProfiler, type Profiler } from './profiler.ts'
import { measureRevoke } from './revoke.ts'
import { machine, table, verdict, writeJson } from './report.ts'

const USAGE = `Usage: npm run bench -- [--only PART,...] [--rounds N] [--quick] [--json FILE] [--profile DIR]

Parts: memory, echo, open, revoke, list, forward, text, maskedDigest, digest, copy, maskedCopy, random
  --rounds N     runs of bulk transfers (default 3); each goes all ways in turn
  --quick        a quarter of everything, in one round
  --json FILE    writes all figures
  --profile DIR  writes CPU profiles of the gateway during bulk transfers
`

interface Settings {
  parts: readonly Part[]
  rounds: number
  quick: boolean
  json: string | undefined
  profile: string | undefined
}

interface Run {
  bed: Bed
  settings: Settings
  bulk: BulkOptions
}

const MEASURE = {
  memory: async ({ bed, settings }: Run) => await measureMemory(bed, settings.quick ? 50 : 200),
  echo: async ({ bed, settings }: Run) => await measureEcho(bed, settings.quick ? 100 : 400),
  open: async ({ bed, settings }: Run) => await measureOpen(bed, settings.quick ? 15 : 60),
  revoke: async ({ bed, settings }: Run) => await measureRevoke(bed, settings.quick ? 25 : 100),
  list: async ({ bed, settings }: Run) => await measureList(bed, settings.quick ? 15 : 50),
  forward: async ({ bed, bulk }: Run) => await measureForward(bed, bulk),
  text: async ({ bed, bulk }: Run) => await measureText(bed, bulk, 'text'),
  maskedDigest: async ({ bed, bulk }: Run) => await measureText(bed, bulk, 'maskedDigest'),
  digest: async ({ bed, bulk }: Run) => await measureText(bed, bulk, 'digest'),
  copy: async ({ bed, bulk }: Run) => await measureCopy(bed, bulk, 'copy'),
  maskedCopy: async ({ bed, bulk }: Run) => await measureCopy(bed, bulk, 'maskedCopy'),
  random: async ({ bed, bulk }: Run) => await measureRandom(bed, bulk),
} as const satisfies Record<string, (run: Run) => Promise<Findings>>

type Part = keyof typeof MEASURE

const PROFILED = new Set<Part>([
  'text',
  'maskedDigest',
  'digest',
  'random',
  'copy',
  'maskedCopy',
  'forward',
])

/** Memory first, which starts the gateway anew. */
const PARTS = Object.keys(MEASURE) as Part[]

function isPart(name: string): name is Part {
  return PARTS.some((part) => part === name)
}

function readSettings(args: string[]): Settings | undefined {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const wanted = values.only?.split(',') ?? PARTS
  const unknown = wanted.find((name) => !isPart(name))
  if (unknown !== undefined) throw new Error(`there is no part "${unknown}"`)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number')
  return {
    parts: PARTS.filter((part) => wanted.includes(part)),
    rounds,
    quick: values.quick,
    json: values.json,
    profile: values.profile,
  }
}

async function measure(bed: Bed, settings: Settings, signal: AbortSignal): Promise<Findings> {
  const all: Findings = { series: [], bars: [] }
  const mebibytes = settings.quick ? 64 : 256
  let profiler: Profiler | undefined
  try {
    for (const part of settings.parts) {
      signal.throwIfAborted()
      process.stderr.write(`Measuring ${part}\n`)
      if (settings.profile !== undefined && PROFILED.has(part))
        profiler ??= await openProfiler(bed.gatewayPid(), settings.profile)
      const bulk: BulkOptions = {
        rounds: settings.rounds,
        mebibytes,
        ...(profiler === undefined ? {} : { profile: profiler.around }),
      }
      const { series, bars } = await MEASURE[part]({ bed, settings, bulk })
      all.series.push(...series)
      all.bars.push(...bars)
    }
  } finally {
    profiler?.close()
  }
  return all
}

async function main(): Promise<number> {
  const settings = readSettings(process.argv.slice(2))
  if (settings === undefined) {
    process.stdout.write(USAGE)
    return 0
  }
  const asked = new AbortController()
  // `on`, not `once`: the cluster's own handler leaves the end to an owner that still listens.
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (asked.signal.aborted) process.exit(130)
      asked.abort(new Error('asked to end'))
    })
  }
  const bed = await openBed(asked.signal)
  try {
    const findings = await measure(bed, settings, asked.signal)
    const { processor, cores, memoryGiB, node } = machine()
    process.stdout.write(
      `\n${cores} x ${processor}, ${memoryGiB} GiB, Node ${node}; a MB is 10^6 bytes\n\n`,
    )
    process.stdout.write(`${table(findings.series)}\n\n`)
    for (const bar of findings.bars) process.stdout.write(`${verdict(bar)}\n`)
    if (settings.json !== undefined) await writeJson(settings.json, findings, settings.rounds)
  } finally {
    await bed.close()
  }
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`bench: ${errorText(error)}\n\n${USAGE}`)
  process.exitCode = 1
}
