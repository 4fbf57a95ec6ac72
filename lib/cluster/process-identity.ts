/**
 * Which process a recorded id meant. Ids are reused, so an id alone never
 * decides what is killed: the start time (clock ticks since boot) must agree.
 */
import { readFileSync } from 'node:fs'

export interface ProcessIdentity {
  pid: number
  /** Field 22 of /proc/PID/stat; empty where there is no /proc. */
  startTime: string
}

/** proc(5): the command name in field 2 may itself hold spaces and parentheses. */
export function parseStartTime(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[19] ?? ''
}

export function identify(pid: number): ProcessIdentity {
  return { pid, startTime: readStat(pid) ?? '' }
}

export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid)
  if (stat !== undefined && identity.startTime !== '') return stat === identity.startTime
  try {
    process.kill(identity.pid, 0)
    return identity.startTime === ''
  } catch {
    return false
  }
}

function readStat(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // A zombie holds nothing any more; only its parent has yet to read its exit status.
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z') ? undefined : parseStartTime(stat)
  } catch {
    return undefined
  }
}
