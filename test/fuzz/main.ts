/**
 * `npm run fuzz`: feeds readers of strangers' bytes what nobody would send. Each target replays its
 * corpus, then searches for a bounded time.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { targetNames, writeInput } from './corpus.ts'
import { runTarget } from './run-target.ts'
import type { Target } from './target.ts'

const DEFAULT_SECONDS = 60
const HANG_SECONDS = 30
const EXIT = { nothingFound: 0, crashFound: 1, wrongUsage: 2 } as const

class UsageError extends Error {}

interface Usage {
  targets: string[]
  files: string[] | undefined
  seconds: number
  seed: number
  keep: boolean
  help: boolean
}

function number(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} takes a whole number, not "${text}"`)
  return Number(text)
}

function readArguments(args: string[]): Usage {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const known = targetNames()
  const [first, ...rest] = positionals
  const files = rest.filter((word) => !known.includes(word))
  const missing = files.find((file) => !existsSync(file))
  const unknown = first !== undefined && !known.includes(first) ? first : missing
  if (unknown !== undefined)
    throw new UsageError(
      `"${unknown}" is neither a target nor a file; the targets are ${known.join(', ')}`,
    )
  if (files.length > 0 && files.length < rest.length)
    throw new UsageError('files are replayed with one target: npm run fuzz -- TARGET FILE...')
  return {
    targets: files.length > 0 ? positionals.slice(0, 1) : positionals,
    files: files.length > 0 ? files : undefined,
    seconds: number(values.seconds, 'seconds', DEFAULT_SECONDS),
    seed: number(values.seed, 'seed', Date.now() % 2 ** 29),
    keep: values.keep,
    help: values.help,
  }
}

async function printHelp(): Promise<void> {
  const lines = await Promise.all(
    targetNames().map(async (name) => {
      const { target } = (await import(`./targets/${name}.ts`)) as { target: Target }
      return `  ${name.padEnd(20)} ${target.about}`
    }),
  )
  console.log(`Feeds readers of strangers' bytes what nobody would send.

Usage:
  npm run fuzz                                all targets, ${DEFAULT_SECONDS} seconds each
  npm run fuzz -- --seconds N [TARGET...]     some of them, N seconds each; 0 replays the corpus only
  npm run fuzz -- TARGET FILE...              replays files, e.g. one that a crash has left

Options:
  --seed N    where the search begins; a run prints its own
  --keep      writes inputs that ran new code to .podgate/fuzz/, to choose corpus files from
  --help

Targets:
${lines.join('\n')}

Exit codes: 0 nothing found, 1 a crash, 2 wrong usage or a target that cannot run.`)
}

/** True: nothing found. */
async function fuzz(name: string, usage: Usage): Promise<boolean> {
  const startedAt = performance.now()
  const { seconds, seed, files } = usage
  const report = await runTarget({
    folder: 'targets',
    target: name,
    files,
    seconds,
    seed,
    hangSeconds: HANG_SECONDS,
  })
  const took = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(
    `${name.padEnd(20)} ${String(report.inputs).padStart(9)} inputs in ${took.padStart(5)} s` +
      `${String(report.interesting.length).padStart(6)} ran new code` +
      `   ${report.crash === undefined ? 'nothing found' : 'CRASH'}`,
  )
  if (usage.keep) for (const input of report.interesting) writeInput(name, input)
  if (report.crash === undefined) return true
  const path = files?.[0] ?? writeInput(name, report.crash.input)
  console.log(`
${report.crash.message}

  input:   ${path} (${report.crash.input.length} bytes)
  again:   npm run fuzz -- ${name} ${path}
  then:    a unit test, and the file in ${join('test', 'fuzz', 'corpus', name)}/
`)
  return false
}

async function main(args: string[]): Promise<number> {
  const usage = readArguments(args)
  if (usage.help) {
    await printHelp()
    return EXIT.nothingFound
  }
  console.log(`seed ${usage.seed}`)
  let clean = true
  for (const name of usage.targets.length === 0 ? targetNames() : usage.targets)
    clean = (await fuzz(name, usage)) && clean
  return clean ? EXIT.nothingFound : EXIT.crashFound
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException
  const isUsage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') === true
  console.error(isUsage ? `${message}; see npm run fuzz -- --help` : error)
  process.exitCode = EXIT.wrongUsage
}
