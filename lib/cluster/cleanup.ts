/**
 * Takes an instance off this machine. Everything here is synchronous, so that
 * it also runs in a process that is about to exit, and may be repeated.
 */
import { rmSync } from 'node:fs'

import { forgetInstance, type InstanceRecord, listAbandoned } from './instance.ts'
import { withLock } from './lock.ts'
import { removeNodeRemains, waitForEnd } from './node-remains.ts'
import { runFolder } from './places.ts'
import { signalGroup } from './processes.ts'

/** Cleans up after owners that died. Two starters at once must not do it twice. */
export async function cleanUpAbandoned(folder: string = runFolder()): Promise<InstanceRecord[]> {
  if (listAbandoned(folder).length === 0) return []
  return await withLock(`${folder}.cleanup.lock`, async () => {
    const abandoned = listAbandoned(folder)
    for (const record of abandoned) {
      removeInstance(record, folder)
      rmSync(record.stateDir, { recursive: true, force: true })
    }
    return abandoned
  })
}

/** Ends what is left of an instance and forgets it. The files in its state folder stay. */
export function removeInstance(record: InstanceRecord, folder: string = runFolder()): void {
  const latestFirst = record.processes.toReversed()
  for (const entry of latestFirst) signalGroup(entry, 'SIGKILL')
  waitForEnd(latestFirst)
  if (record.node) removeNodeRemains(record, folder)
  forgetInstance(record, folder)
}
