/**
 * Takes an instance off this machine: processes, containers, mounts, bridge,
 * cgroups, files. Everything here is synchronous, so that it also runs in a
 * process that is about to exit, and may be repeated at any point.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { forgetInstance, type InstanceRecord, listAbandoned, nodeNetworkOf } from './instance.ts'
import { withLock } from './lock.ts'
import { runFolder } from './places.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'
import { searchPath, signalGroup } from './processes.ts'
import { restoreKernelSettings } from './kernel-settings.ts'

const KILL_WAIT_MS = 5000
const CGROUP_ROOT = '/sys/fs/cgroup'

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
  if (record.node) removeNode(record, folder)
  forgetInstance(record, folder)
}

/** The node's programs are dead by now, so nothing starts containers or mounts again. */
function removeNode(record: InstanceRecord, folder: string): void {
  const { bridge, cgroup } = nodeNetworkOf(record.index)
  const shims = findShims(record.stateDir)
  for (const shim of shims) signalGroup(shim, 'SIGKILL')
  const contained = listCgroupFolders(cgroup).flatMap(readCgroupProcesses)
  for (const identity of contained) signalGroup(identity, 'SIGKILL')
  waitForEnd([...shims, ...contained])
  unmountBelow(record.stateDir)
  run('ip', ['link', 'delete', bridge])
  for (const path of listCgroupFolders(cgroup)) removeCgroup(path)
  restoreKernelSettings(folder, record)
}

/** containerd's shims leave its process group; each names the socket of its containerd. */
function findShims(stateDir: string): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      const args = readText(`/proc/${pid}/cmdline`).split('\0')
      return (
        args[0]?.endsWith('containerd-shim-runc-v2') === true &&
        args.some((arg) => arg.startsWith(`${stateDir}/`))
      )
    })
    .map((pid) => identify(Number(pid)))
}

/** cgroup v1 has one tree per controller, v2 a single one; both may be mounted at once. */
function listCgroupFolders(cgroup: string): string[] {
  const roots = existsSync(CGROUP_ROOT)
    ? [CGROUP_ROOT, ...readdirSync(CGROUP_ROOT).map((name) => join(CGROUP_ROOT, name))]
    : []
  return roots
    .map((root) => join(root, cgroup))
    .filter((path) => existsSync(path))
    .flatMap(withChildren)
}

/** Children first: a cgroup with children cannot be removed. */
function withChildren(path: string): string[] {
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return [...children.flatMap((entry) => withChildren(join(path, entry.name))), path]
}

function readCgroupProcesses(path: string): ProcessIdentity[] {
  return readText(join(path, 'cgroup.procs'))
    .split('\n')
    .filter((line) => line !== '')
    .map((pid) => identify(Number(pid)))
}

function removeCgroup(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Removed meanwhile by the runtime, or held by a process the kernel is still ending.
  }
}

export function mountsBelow(folder: string, mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeMountPath(line.split(' ')[4] ?? ''))
    .filter((path) => path.startsWith(`${folder}/`))
    .toReversed()
}

/** proc(5): blanks and backslashes in mount points are octal escapes. */
function unescapeMountPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

function unmountBelow(folder: string): void {
  // Lazily, as a process in another mount namespace may keep one busy for a moment.
  for (const path of mountsBelow(folder, readText('/proc/self/mountinfo'))) {
    run('umount', ['--lazy', path])
  }
}

function waitForEnd(identities: readonly ProcessIdentity[]): void {
  const deadline = Date.now() + KILL_WAIT_MS
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (identities.some(isAlive) && Date.now() < deadline) Atomics.wait(cell, 0, 0, 10)
}

function run(command: string, args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore', env: { PATH: searchPath() } })
  } catch {
    // Not there any more: what is wanted.
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
