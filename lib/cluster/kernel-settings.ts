/**
 * The kubelet and the bridge plugin change settings of the whole machine (they
 * expect to own it). The first node notes what was there, the last one puts it
 * back.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createWhole } from './lock.ts'
import { type InstanceRecord, listInstances } from './instance.ts'

/** What kubelet's setupKernelTunables and CNI's bridge plugin with isGateway write. */
const CHANGED = [
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/vm/panic_on_oom',
  '/proc/sys/kernel/panic',
  '/proc/sys/kernel/panic_on_oops',
  '/proc/sys/kernel/keys/root_maxkeys',
  '/proc/sys/kernel/keys/root_maxbytes',
  '/proc/sys/net/ipv4/ip_forward',
]

export function noteKernelSettings(folder: string): void {
  const settings = Object.fromEntries(
    CHANGED.filter((file) => existsSync(file)).map((file) => [
      file,
      readFileSync(file, 'utf8').trim(),
    ]),
  )
  createWhole(noteFile(folder), JSON.stringify(settings))
}

export function restoreKernelSettings(folder: string, leaving: InstanceRecord): void {
  const others = listInstances(folder).filter(
    (record) => record.node && record.index !== leaving.index,
  )
  if (others.length > 0 || !existsSync(noteFile(folder))) return
  const settings = JSON.parse(readFileSync(noteFile(folder), 'utf8')) as Record<string, string>
  for (const [file, value] of Object.entries(settings)) {
    if (CHANGED.includes(file) && readFileSync(file, 'utf8').trim() !== value)
      writeFileSync(file, value)
  }
  rmSync(noteFile(folder), { force: true })
}

function noteFile(folder: string): string {
  return join(folder, 'kernel-settings')
}
