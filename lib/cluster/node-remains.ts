/**
 * Takes the node part of an instance off this machine once its programs are
 * dead: containers, mounts, network, cgroups, and the few files that containerd
 * and the kubelet keep outside of the folders they are given.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { listCgroupProcesses, removeCgroup } from './cgroup.ts'
import { type InstanceRecord, instanceRunFolder, kubeletRootOf, nodeNetworkOf } from './instance.ts'
import { restoreMachineState } from './machine-state.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'
import { searchPath, signalGroup } from './processes.ts'

const WAIT_MS = 5000

/** Throws what went wrong at the end, after everything else was done nevertheless. */
export function removeNodeRemains(record: InstanceRecord, folder: string): void {
  const { bridge, cgroup } = nodeNetworkOf(record.index)
  const socketFolder = instanceRunFolder(record.index, folder)
  const kubeletRoot = kubeletRootOf(record.index)
  doAll([
    () => endContainers(socketFolder, cgroup),
    ...[record.stateDir, socketFolder, kubeletRoot].map((path) => () => unmountBelow(path)),
    () => removeFolder(kubeletRoot),
    () => removeBridge(bridge),
    () => waitFor(() => removeCgroup(cgroup)),
    () => removeStrayFiles(record.stateDir),
    () => restoreMachineState(folder, record),
  ])
}

function doAll(steps: readonly (() => void)[]): void {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

function endContainers(socketFolder: string, cgroup: string): void {
  const shims = findShims(socketFolder)
  for (const { identity } of shims) signalGroup(identity, 'SIGKILL')
  const contained = listCgroupProcesses(cgroup).map(identify)
  for (const identity of contained) signalGroup(identity, 'SIGKILL')
  waitForEnd([...shims.map(({ identity }) => identity), ...contained])
  for (const { socket } of shims) rmSync(socket, { force: true })
}

interface Shim {
  identity: ProcessIdentity
  socket: string
}

/** containerd's shims leave its process group; each names the socket of its containerd. */
function findShims(runFolder: string): Shim[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      const args = readText(`/proc/${pid}/cmdline`).split('\0')
      const address = argumentAfter(args, '-address')
      const isOurs = args[0]?.endsWith('containerd-shim-runc-v2') === true
      if (!isOurs || !address.startsWith(`${runFolder}/`)) return []
      return [{ identity: identify(Number(pid)), socket: shimSocket(address, args) }]
    })
}

/** containerd runtime/v2/shim SocketAddress: a killed shim leaves its socket behind. */
export function shimSocket(address: string, args: readonly string[]): string {
  const name = join(address, argumentAfter(args, '-namespace'), argumentAfter(args, '-id'))
  return `/run/containerd/s/${createHash('sha256').update(name).digest('hex')}`
}

function argumentAfter(args: readonly string[], flag: string): string {
  const index = args.indexOf(flag)
  return index === -1 ? '' : (args[index + 1] ?? '')
}

/** The folder itself included: the kubelet mounts its root onto itself. */
export function mountsBelow(folder: string, mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeMountPath(line.split(' ')[4] ?? ''))
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
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

/** Never through a mount: what is mounted there may be a folder of somebody else's. */
export function removeFolder(folder: string): void {
  if (mountsBelow(folder, readText('/proc/self/mountinfo')).length > 0) return
  rmSync(folder, { recursive: true, force: true })
}

/** The kernel frees a network namespace, and the interfaces to it, some time after its last use. */
function removeBridge(bridge: string): void {
  const ports = `/sys/class/net/${bridge}/brif`
  if (!existsSync(ports)) return
  for (const port of readdirSync(ports)) run('ip', ['link', 'delete', port])
  run('ip', ['link', 'delete', bridge])
}

function removeStrayFiles(stateDir: string): void {
  // libcni's cache of results: /var/lib/cni cannot be moved by containerd 1.6.
  removeEntries('/var/lib/cni/results', (file) => readText(file).includes(`${stateDir}/`))
  // The kubelet links the log of every container here for the sake of old log shippers.
  removeEntries('/var/log/containers', (file) => readLink(file).startsWith(`${stateDir}/`))
}

function removeEntries(folder: string, isOurs: (file: string) => boolean): void {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const file = join(folder, name)
    if (isOurs(file)) rmSync(file, { force: true })
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file)
  } catch {
    return ''
  }
}

export function waitForEnd(identities: readonly ProcessIdentity[]): void {
  waitFor(() => !identities.some(isAlive))
}

/** Blocks on purpose: this also runs in a process that is about to exit. */
function waitFor(condition: () => boolean): void {
  const deadline = Date.now() + WAIT_MS
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (!condition() && Date.now() < deadline) Atomics.wait(cell, 0, 0, 10)
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
