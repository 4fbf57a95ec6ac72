/**
 * Lets one of several kubectl processes renew a sign-in: a refresh token may be good for one use
 * only (RFC 9700 2.2.2), and using it twice ends the sign-in.
 */
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errorCode } from '../errors/gateway-error.ts'

export interface LockOptions {
  /** A lock older than this is stale even if its process id is in use again. */
  staleMs?: number
  waitMs?: number
}

/** Runs the work while no other process does so for the same file. */
export async function withTokenLock<T>(
  file: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const lock = `${file}.lock`
  const content = `${process.pid} ${randomUUID()}`
  const staleMs = options.staleMs ?? 60_000
  const deadline = Date.now() + (options.waitMs ?? 30_000)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  while (!(await tryCreate(lock, content))) {
    if (await removeStale(lock, staleMs)) continue
    if (Date.now() > deadline) {
      throw new Error(`another process holds ${lock}; if none is running, delete it`)
    }
    await delay(25)
  }
  try {
    return await work()
  } finally {
    if ((await readText(lock)) === content) await rm(lock, { force: true })
  }
}

/** The file appears with its content: an empty lock would name no process. */
async function tryCreate(lock: string, content: string): Promise<boolean> {
  const draft = `${lock}.${randomUUID()}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await link(draft, lock)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await handle.close()
    await rm(draft, { force: true })
  }
}

/**
 * Moves a dead process's lock away. Two may find the same dead lock, and the slower one would then
 * move the faster one's fresh lock: so what was moved is looked at, and a fresh one is put back.
 */
async function removeStale(lock: string, staleMs: number): Promise<boolean> {
  const found = await readText(lock)
  if (found === undefined) return true
  if (!(await isStale(lock, found, staleMs))) return false
  const moved = `${lock}.${randomUUID()}`
  try {
    await rename(lock, moved)
    if ((await readText(moved)) !== found) await link(moved, lock)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(moved, { force: true })
  }
  return true
}

async function isStale(lock: string, content: string, staleMs: number): Promise<boolean> {
  const pid = Number.parseInt(content, 10)
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isRunning(pid)) return true
  try {
    return Date.now() - (await stat(lock)).mtimeMs > staleMs
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return errorCode(error) === 'EPERM'
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
