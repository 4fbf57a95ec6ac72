/**
 * The folder of one sandbox (`.podgate`): who runs it, and everything a person or a test needs to
 * use it. Nothing of it is left when the sandbox has ended.
 */
import { mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { createWhole } from '../cluster/lock.ts'
import { identify, isAlive, type ProcessIdentity } from '../cluster/process-identity.ts'
import { errorCode } from '../errors/gateway-error.ts'

export interface SandboxFolder {
  readonly root: string
  /** The stable interface for scripts and tests. */
  readonly json: string
  readonly bin: string
  readonly authority: string
  readonly passwords: string
  readonly kubeconfigs: string
  readonly tokens: string
  readonly kubectlCache: string
  readonly account: string
  readonly cluster: string
  readonly mongodb: string
  readonly gateway: string
  release(): void
}

const OWNER = 'sandbox.pid'
const POLL_MS = 50

/** The default sandbox lives in the folder itself, others below it. */
export function folderOf(dir: string, name: string | undefined): string {
  return name === undefined ? resolve(dir) : resolve(dir, name)
}

export function claimFolder(root: string): SandboxFolder {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const ownerFile = join(root, OWNER)
  const owner = readOwner(root)
  if (owner !== undefined && isAlive(owner)) throw isRunning(root, owner)
  rmSync(ownerFile, { force: true })
  if (!createWhole(ownerFile, JSON.stringify(identify(process.pid)))) {
    throw isRunning(root, readOwner(root))
  }
  const folder = pathsOf(root)
  const removeContents = (): void => {
    rmSync(folder.json, { force: true })
    for (const path of disposableOf(folder)) rmSync(path, { recursive: true, force: true })
  }
  removeContents()
  for (const path of [folder.kubeconfigs, folder.tokens, folder.account]) {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  }
  return {
    ...folder,
    release: () => {
      removeContents()
      rmSync(ownerFile, { force: true })
      removeIfEmpty(root)
    },
  }
}

function isRunning(root: string, owner: ProcessIdentity | undefined): Error {
  return new Error(
    `a sandbox runs in ${root} already${owner === undefined ? '' : ` (process ${owner.pid})`}; end it with npm run stop, or start a second one with: npm start -- --name NAME`,
  )
}

type Paths = Omit<SandboxFolder, 'release'>

function pathsOf(root: string): Paths {
  return {
    root,
    json: join(root, 'sandbox.json'),
    bin: join(root, 'bin'),
    authority: join(root, 'ca.pem'),
    passwords: join(root, 'passwords.json'),
    kubeconfigs: join(root, 'kubeconfigs'),
    tokens: join(root, 'tokens'),
    kubectlCache: join(root, 'kubectl-cache'),
    account: join(root, 'account'),
    cluster: join(root, 'cluster'),
    mongodb: join(root, 'mongodb'),
    gateway: join(root, 'gateway'),
  }
}

/** Not the folders of cluster, MongoDB and gateway: their instances remove these themselves. */
function disposableOf(paths: Paths): string[] {
  const { bin, authority, passwords, kubeconfigs, tokens, kubectlCache, account } = paths
  return [bin, authority, passwords, kubeconfigs, tokens, kubectlCache, account]
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
  }
}

function readOwner(root: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(root, OWNER), 'utf8'))
    return isIdentity(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    typeof value.pid === 'number' &&
    'startTime' in value &&
    typeof value.startTime === 'string'
  )
}

/** Ends the sandbox of another process in order. False when none runs there. */
export async function stopSandbox(root: string, timeoutMs = 120_000): Promise<boolean> {
  const owner = readOwner(root)
  if (owner === undefined || !isAlive(owner)) return false
  process.kill(owner.pid, 'SIGTERM')
  const deadline = Date.now() + timeoutMs
  while (isAlive(owner)) {
    if (Date.now() > deadline) {
      throw new Error(`the sandbox (process ${owner.pid}) did not end within ${timeoutMs / 1000} s`)
    }
    await delay(POLL_MS)
  }
  return true
}
