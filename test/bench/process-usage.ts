/** What a process has taken so far, from /proc. */
import { readFileSync } from 'node:fs'

const KIB = 1024

export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no resident memory`)
  return Number(kib) * KIB
}

/** The kernel counts in hundredths of a second. */
const TICKS_PER_SECOND = 100
/** proc(5): utime and stime are fields 14 and 15; the name, in brackets, may hold spaces. */
const UTIME = 11

export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / TICKS_PER_SECOND
}
