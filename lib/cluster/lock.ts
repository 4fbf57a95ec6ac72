/**
 * A lock between processes: a file that names its holder. A lock whose holder
 * is dead is taken over.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errorCode } from '../errors/gateway-error.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

const POLL_MS = 100

export interface LockOptions {
  /** Called once, when somebody alive holds the lock. */
  onWait?(holder: ProcessIdentity): void
}

export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  mkdirSync(dirname(file), { recursive: true })
  let waited = false
  for (;;) {
    const holder = tryLock(file)
    if (holder === undefined) break
    if (!waited) options.onWait?.(holder)
    waited = true
    await delay(POLL_MS)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

/** Takes the lock and returns undefined, or returns who holds it. */
function tryLock(file: string): ProcessIdentity | undefined {
  for (;;) {
    if (createWhole(file, JSON.stringify(identify(process.pid)))) return undefined
    const text = readText(file)
    if (text === undefined) continue
    const holder = parseHolder(text)
    if (holder !== undefined && isAlive(holder)) return holder
    removeStale(file, text)
  }
}

/** Creates the file with its whole content at once, or returns false where it exists. */
export function createWhole(file: string, content: string, mode = 0o600): boolean {
  const draft = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, content, { mode })
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Two waiters may find the same stale lock: what was moved away is looked at again, and put back if it is fresh. */
function removeStale(file: string, stale: string): void {
  const aside = `${file}.stale.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  if (readText(aside) !== stale) {
    try {
      linkSync(aside, file)
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
    }
  }
  rmSync(aside, { force: true })
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { pid, startTime } = value as { pid?: unknown; startTime?: unknown }
    return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : undefined
  } catch {
    return undefined
  }
}
