/**
 * Runs one target in a process of its own, so that an input which never ends, or eats all memory, is
 * a finding like any other and not the end of the run.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Crash } from './campaign.ts'
import { readJournal } from './journal.ts'
import type { WorkerMessage, WorkerTask } from './worker.ts'

export interface TargetReport {
  inputs: number
  /** They ran code that nothing before them ran. */
  interesting: Uint8Array[]
  crash: Crash | undefined
}

export type RunTargetOptions = Omit<WorkerTask, 'journal'> & {
  /** For one input. Generous: the machine may be busy with something else. */
  hangSeconds: number
  /** What the process prints as it dies, e.g. V8 without memory. */
  stderr?: 'inherit' | 'ignore'
}

/** Inputs are some KiB; the rest is the code, its compiler and what waits for the collector. */
const MAX_HEAP_MB = 512

export async function runTarget(options: RunTargetOptions): Promise<TargetReport> {
  const { hangSeconds, stderr = 'inherit', ...task } = options
  const folder = mkdtempSync(join(tmpdir(), 'podgate-fuzz-'))
  const journal = join(folder, 'latest')
  writeFileSync(journal, '')
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [], {
    execArgv: [`--max-old-space-size=${MAX_HEAP_MB}`],
    env: { ...process.env, NODE_OPTIONS: '' },
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', stderr, 'ipc'],
  })
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })

  let watch: NodeJS.Timeout | undefined
  try {
    return await new Promise<TargetReport>((resolve, reject) => {
      const crashed = (message: string): void => {
        const { begun, latest } = readJournal(journal)
        // Before the first input it is the target, or the corpus, that is broken.
        if (begun === 0) reject(new Error(message))
        else resolve({ inputs: begun, interesting: [], crash: { input: latest, message } })
      }
      child.once('message', (message: WorkerMessage) => {
        if (message.kind === 'report') resolve(message.report)
        else crashed(message.message)
      })
      child.once('error', reject)
      child.once('exit', (code, signal) =>
        crashed(`the process ended with ${signal ?? code}, as it does without memory`),
      )
      watch = watchProgress(journal, hangSeconds, () =>
        crashed(`did not end within ${hangSeconds} seconds`),
      )
      child.send({ ...task, journal } satisfies WorkerTask)
    })
  } finally {
    clearInterval(watch)
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

function watchProgress(path: string, hangSeconds: number, onHang: () => void): NodeJS.Timeout {
  let last = 0
  let quietSeconds = 0
  return setInterval(() => {
    const { begun } = readJournal(path)
    // A target may take its time before the first input: the oracle is built there.
    quietSeconds = begun === last && begun > 0 ? quietSeconds + 1 : 0
    last = begun
    if (quietSeconds >= hangSeconds) onHang()
  }, 1000)
}
