/**
 * Cleans up when the parent dies in a way that lets it run nothing (SIGKILL,
 * out of memory): a shell, at a megabyte, waits for the end of a pipe only the
 * parent holds, then runs this file once.
 */
import { spawn } from 'node:child_process'

import { cleanUpAbandoned } from './cleanup.ts'
import { identify, type ProcessIdentity } from './process-identity.ts'
import { signalGroup } from './processes.ts'

const FLAG = '--clean-up-abandoned'
const SCRIPT = `while read -r line; do :; done; exec "$0" "$1" ${FLAG}`

export interface Watchdog {
  identity: ProcessIdentity | null
  /** To be called when the instance is gone and there is nothing left to watch. */
  stop(): void
}

export function startWatchdog(): Watchdog {
  const child = spawn('/bin/sh', ['-c', SCRIPT, process.execPath, import.meta.filename], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Without a shell there is no watchdog, and the next start cleans up.
  child.once('error', () => {})
  child.stdin.on('error', () => {})
  child.unref()
  // The pipe is kept open, but must not keep this process from leaving.
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref()
  const { pid } = child
  const identity = pid === undefined ? null : identify(pid)
  return {
    identity,
    stop() {
      if (identity !== null) signalGroup(identity, 'SIGKILL')
    },
  }
}

if (process.argv[1] === import.meta.filename && process.argv[2] === FLAG) await cleanUpAbandoned()
