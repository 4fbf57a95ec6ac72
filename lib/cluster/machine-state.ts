/**
 * The kubelet, containerd and the bridge plugin change settings of the whole
 * machine and make folders outside of those they are given (they expect to own
 * the machine). The first node notes what was there, the last one puts it back.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { type InstanceRecord, listInstances } from './instance.ts'
import { createWhole } from './lock.ts'

/** What kubelet's setupKernelTunables and CNI's bridge plugin with isGateway write. */
const SETTINGS = [
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/vm/panic_on_oom',
  '/proc/sys/kernel/panic',
  '/proc/sys/kernel/panic_on_oops',
  '/proc/sys/kernel/keys/root_maxkeys',
  '/proc/sys/kernel/keys/root_maxbytes',
  '/proc/sys/net/ipv4/ip_forward',
]

/** No option moves these: shim sockets, libcni's cache, device plugins, links to logs. */
const FOLDERS = [
  '/run/containerd',
  '/var/lib/cni',
  '/var/lib/kubelet',
  '/var/lib/podgate',
  '/var/log/containers',
]
const DEVICE_PLUGIN_SOCKET = '/var/lib/kubelet/device-plugins/kubelet.sock'

interface MachineState {
  settings: Record<string, string>
  absent: string[]
}

export function noteMachineState(folder: string): void {
  const settings = SETTINGS.filter((file) => existsSync(file)).map((file) => [file, read(file)])
  const state: MachineState = {
    settings: Object.fromEntries(settings),
    absent: FOLDERS.filter((path) => !existsSync(path)),
  }
  createWhole(noteFile(folder), JSON.stringify(state))
}

export function restoreMachineState(folder: string, leaving: InstanceRecord): void {
  const others = listInstances(folder).filter(
    (record) => record.node && record.index !== leaving.index,
  )
  if (others.length > 0 || !existsSync(noteFile(folder))) return
  const { settings, absent } = JSON.parse(read(noteFile(folder))) as MachineState
  for (const [file, value] of Object.entries(settings)) {
    if (SETTINGS.includes(file) && read(file) !== value) writeFileSync(file, value)
  }
  if (absent.includes('/var/lib/kubelet')) rmSync(DEVICE_PLUGIN_SOCKET, { force: true })
  for (const path of absent) if (FOLDERS.includes(path)) removeEmptyFolders(path)
  rmSync(noteFile(folder), { force: true })
}

/** Only what is empty: somebody else may have begun to use the folder meanwhile. */
function removeEmptyFolders(path: string): void {
  if (!existsSync(path)) return
  const entries = readdirSync(path, { withFileTypes: true })
  for (const entry of entries) if (entry.isDirectory()) removeEmptyFolders(join(path, entry.name))
  if (readdirSync(path).length === 0) rmdirSync(path)
}

function noteFile(folder: string): string {
  return join(folder, 'machine-state')
}

function read(file: string): string {
  return readFileSync(file, 'utf8').trim()
}
