/** The process that runs one target; run-target.ts watches it from outside. */
import process from 'node:process'

import { runCampaign } from './campaign.ts'
import { PROJECT, readCorpus, readInputs } from './corpus.ts'
import { measureCoverage } from './coverage.ts'
import { Random } from './random.ts'
import { openJournal } from './journal.ts'
import type { TargetReport } from './run-target.ts'
import type { Target } from './target.ts'

export interface WorkerTask {
  /** Folder beside this file: `targets`, or `planted` for what the fuzzer is tested with. */
  folder: 'targets' | 'planted'
  target: string
  /** Only these files, once each. */
  files: string[] | undefined
  seconds: number
  seed: number
  /** File that names the latest input. */
  journal: string
}

export type WorkerMessage =
  { kind: 'report'; report: TargetReport } | { kind: 'uncaught'; message: string }

async function work(task: WorkerTask): Promise<TargetReport> {
  const module = (await import(`./${task.folder}/${task.target}.ts`)) as { target: Target }
  const { target } = module
  const coverage = measureCoverage(PROJECT, target.covers)
  const journal = openJournal(task.journal)
  try {
    await target.open?.()
    const until = performance.now() + (task.files === undefined ? task.seconds * 1000 : 0)
    return await runCampaign({
      target,
      corpus: task.files?.flatMap(readInputs) ?? readCorpus(task.target),
      random: new Random(task.seed),
      coverage,
      isOver: () => performance.now() >= until,
      onInput: (input) => journal.note(input),
    })
  } finally {
    coverage.stop()
    journal.close()
    await target.close?.()
  }
}

function tell(message: WorkerMessage): void {
  process.send?.(message, () => process.exit())
}

function tellError(error: unknown): void {
  const isError = typeof error === 'object' && error !== null && 'stack' in error
  tell({ kind: 'uncaught', message: String(isError ? error.stack : error) })
}

process.once('uncaughtException', tellError)
process.once('message', (task) => {
  work(task as WorkerTask).then((report) => tell({ kind: 'report', report }), tellError)
})
