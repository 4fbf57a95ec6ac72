/**
 * Takes an instance off this machine. Everything here is synchronous, so that
 * it also runs in a process that is about to exit, and may be repeated.
 */
import { forgetInstance, type InstanceRecord, listAbandoned } from './instance.ts'
import { withLock } from './lock.ts'
import { removeFolder, removeNodeRemains, waitForEnd } from './node-remains.ts'
import { runFolder } from './places.ts'
import { signalGroup } from './processes.ts'

/**
 * Cleans up after owners that died, and returns whose remains are gone. Two
 * starters at once must not do it twice. What resists keeps its record, so that
 * a later start tries again, and does not stand in the way of this one.
 */
export async function cleanUpAbandoned(folder: string = runFolder()): Promise<InstanceRecord[]> {
  if (listAbandoned(folder).length === 0) return []
  return await withLock(`${folder}.cleanup.lock`, async () =>
    listAbandoned(folder).filter((record) => {
      try {
        removeInstance(record, folder)
        removeFolder(record.stateDir)
        return true
      } catch {
        return false
      }
    }),
  )
}

/** Ends what is left of an instance and forgets it. The files in its state folder stay. */
export function removeInstance(record: InstanceRecord, folder: string = runFolder()): void {
  const latestFirst = record.processes.toReversed()
  for (const entry of latestFirst) signalGroup(entry, 'SIGKILL')
  waitForEnd(latestFirst)
  if (record.node) removeNodeRemains(record, folder)
  forgetInstance(record, folder)
}
