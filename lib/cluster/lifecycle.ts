/**
 * Opens and closes an instance: cleans up after earlier crashes, claims its
 * place on the machine, and makes sure that it ends with this process,
 * whichever way that happens.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { GatewayError } from '../errors/gateway-error.ts'
import { cleanUpAbandoned, removeInstance } from './cleanup.ts'
import { claimInstance, type Instance, listInstances } from './instance.ts'
import { removeFolder } from './node-remains.ts'
import { startWatchdog } from './watchdog.ts'

const MARKER = '.podgate-state'
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface OpenInstanceOptions {
  name: string
  /** Belongs to the instance alone, and is removed with it. */
  stateDir: string
  /** Leaves the state folder (logs, data) when closing. */
  keepState?: boolean
}

export interface OpenInstance extends Instance {
  readonly stateDir: string
  /** What has to end in order before the rest is just killed; added later ends earlier. */
  readonly beforeClose: (() => Promise<void>)[]
  close(): Promise<void>
}

export async function openInstance(options: OpenInstanceOptions): Promise<OpenInstance> {
  await cleanUpAbandoned()
  const stateDir = resolve(options.stateDir)
  prepareStateFolder(stateDir)
  const instance = await claimInstance({ name: options.name, stateDir })
  const watchdog = startWatchdog()
  instance.record.watchdog = watchdog.identity
  instance.save()
  const beforeClose: (() => Promise<void>)[] = []
  const removeAll = (): void => {
    removeInstance(instance.record)
    if (options.keepState !== true) removeFolder(stateDir)
  }
  const unguard = guardExit(removeAll)
  let closing: Promise<void> | undefined
  return {
    ...instance,
    stateDir,
    beforeClose,
    close() {
      closing ??= closeInstance()
      return closing
    },
  }

  async function closeInstance(): Promise<void> {
    try {
      for (const end of beforeClose.toReversed()) await end()
    } finally {
      removeAll()
      watchdog.stop()
      unguard()
    }
  }
}

/** Removes what an earlier run left there, and never a folder that is not ours. */
function prepareStateFolder(stateDir: string): void {
  if (existsSync(stateDir) && readdirSync(stateDir).length > 0) {
    const user = listInstances().find((record) => record.stateDir === stateDir)
    if (user !== undefined) {
      throw new GatewayError(
        'Conflict',
        `${stateDir} is in use by process ${user.owner.pid} (${user.name}); end it first`,
      )
    }
    if (!existsSync(join(stateDir, MARKER))) {
      throw new GatewayError(
        'Conflict',
        `${stateDir} holds files that are not a cluster's state; name an empty folder`,
      )
    }
    rmSync(stateDir, { recursive: true, force: true })
  }
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  writeFileSync(join(stateDir, MARKER), 'Removed with the cluster it belongs to.\n')
}

/** What has to be done before this process may leave, oldest first. */
const cleanUps = new Set<() => void>()

function guardExit(cleanUp: () => void): () => void {
  if (cleanUps.size === 0) {
    process.on('exit', cleanUpAll)
    for (const signal of SIGNALS) process.on(signal, leaveOnSignal)
  }
  cleanUps.add(cleanUp)
  return () => {
    cleanUps.delete(cleanUp)
    if (cleanUps.size > 0) return
    process.off('exit', cleanUpAll)
    for (const signal of SIGNALS) process.off(signal, leaveOnSignal)
  }
}

function cleanUpAll(): void {
  for (const cleanUp of cleanUps) cleanUp()
  cleanUps.clear()
}

/**
 * An owner that handles the signal closes in order, by itself. One that does
 * not would vanish, so the clean-up runs here, and then the signal does what
 * it does by default.
 */
function leaveOnSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return
  cleanUpAll()
  process.off(signal, leaveOnSignal)
  process.kill(process.pid, signal)
}
