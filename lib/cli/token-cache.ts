/**
 * The signed-in state of one person at one provider, in one file of mode 0600, and beside it the
 * note of a renewal that just failed.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

import { errorCode } from '../errors/gateway-error.ts'
import { isObject } from './json-value.ts'

export interface CachedTokens {
  issuer: string
  clientId: string
  token: string
  refreshToken?: string
  /** End of the token, in ms since the epoch. */
  expiresAt: number
}

/** A renewal that failed: kubectl starts the plugin four times for one command. */
export interface FailureNote {
  atMs: number
  parentPid: number
  /** Of the tokens that failed, so that a new sign-in is tried at once. */
  digest: string
  message: string
}

/** One sign-in for each gateway, beside kubectl's own caches. */
export function cacheFileOf(server: string, env: Record<string, string | undefined>): string {
  const home = env['HOME'] ?? homedir()
  const name = createHash('sha256').update(new URL(server).origin).digest('hex').slice(0, 24)
  return join(home, '.kube', 'cache', 'podgate', `${name}.json`)
}

export async function readTokens(
  file: string,
  issuer: string,
  clientId: string,
): Promise<CachedTokens | undefined> {
  const value = await readJson(file)
  const { token, refreshToken, expiresAt } = value
  // A file of another provider or client is none of ours: its tokens are not sent anywhere.
  if (value['issuer'] !== issuer || value['clientId'] !== clientId) return undefined
  if (typeof token !== 'string' || typeof expiresAt !== 'number') return undefined
  return {
    issuer,
    clientId,
    token,
    expiresAt,
    ...(typeof refreshToken === 'string' ? { refreshToken } : {}),
  }
}

/** With them a note of an earlier failure is over. */
export async function writeTokens(file: string, tokens: CachedTokens): Promise<void> {
  await writeWhole(file, JSON.stringify(tokens))
  await clearFailure(file)
}

export async function removeTokens(file: string): Promise<void> {
  await rm(file, { force: true })
  await clearFailure(file)
}

export function tokensDigest(tokens: CachedTokens | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify(tokens ?? null))
    .digest('base64url')
}

export async function readFailure(file: string): Promise<FailureNote | undefined> {
  const { atMs, parentPid, digest, message } = await readJson(failureFile(file))
  if (typeof atMs !== 'number' || typeof parentPid !== 'number') return undefined
  if (typeof digest !== 'string' || typeof message !== 'string') return undefined
  return { atMs, parentPid, digest, message }
}

export async function writeFailure(file: string, note: FailureNote): Promise<void> {
  await writeWhole(failureFile(file), JSON.stringify(note))
}

async function clearFailure(file: string): Promise<void> {
  await rm(failureFile(file), { force: true })
}

function failureFile(file: string): string {
  return `${file}.failed`
}

/** Readers see the old file or the new one, and after a crash one of the two is there. */
async function writeWhole(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomUUID()}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const text = await readText(file)
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return isObject(value) ? value : {}
  } catch {
    return {}
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
