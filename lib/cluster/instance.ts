/**
 * What one running instance (a cluster, a MongoDB stand-in) holds of this
 * machine: a number that decides its ports, bridge, subnet and cgroup, and a
 * record of its processes. The record outlives a crash of the owner, so that
 * the next start, or the watchdog, can clean up after it.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'

import { errorCode, GatewayError } from '../errors/gateway-error.ts'
import { createWhole } from './lock.ts'
import { runFolder } from './places.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

const MAX_INSTANCES = 200
/** Below Linux' range for outgoing connections (32768 and up), which could take a port meanwhile. */
const FIRST_PORT = 21_000
const PORTS_PER_INSTANCE = 16
/** Inside 10.0.0.0/8 and away from the defaults of kind, k3s, flannel and Docker. */
const SUBNET_PREFIX = '10.231'

export const PORT_NAMES = [
  'etcd',
  'etcdPeer',
  'apiServer',
  'controllerManager',
  'scheduler',
  'kubelet',
  'kubeletHealth',
  'containerd',
  'mongodb',
] as const
export type PortName = (typeof PORT_NAMES)[number]

export interface RecordedProcess extends ProcessIdentity {
  name: string
}

export interface InstanceRecord {
  index: number
  name: string
  stateDir: string
  /** Whose end ends the instance. */
  owner: ProcessIdentity
  /** Cleans up if the owner dies; leaves by itself. */
  watchdog: ProcessIdentity | null
  /** In the order they were started; they are ended in the reverse order. */
  processes: RecordedProcess[]
  /** True once the node part has begun to change the network and mounts. */
  node: boolean
}

export interface Instance {
  readonly record: InstanceRecord
  readonly ports: Readonly<Record<PortName, number>>
  save(): void
}

export function portsOf(index: number): Record<PortName, number> {
  const base = FIRST_PORT + index * PORTS_PER_INSTANCE
  return Object.fromEntries(PORT_NAMES.map((name, offset) => [name, base + offset])) as Record<
    PortName,
    number
  >
}

export interface NodeNetwork {
  bridge: string
  subnet: string
  gateway: string
  cgroup: string
}

export function nodeNetworkOf(index: number): NodeNetwork {
  return {
    bridge: `podgate${index}`,
    subnet: `${SUBNET_PREFIX}.${index}.0/24`,
    gateway: `${SUBNET_PREFIX}.${index}.1`,
    cgroup: `/podgate${index}`,
  }
}

/** Addresses of this machine that fall into the subnet of an instance. */
export function isSubnetTaken(index: number, addresses: readonly string[]): boolean {
  return addresses.some((address) => address.startsWith(`${SUBNET_PREFIX}.${index}.`))
}

/** For sockets: short enough for sun_path wherever the state folder lies. */
export function instanceRunFolder(index: number, folder: string = runFolder()): string {
  return join(folder, String(index))
}

/** The kubelet puts sockets into its root, too; and volumes, which belong on a disk. */
export function kubeletRootOf(index: number): string {
  return `/var/lib/podgate/${index}`
}

export async function claimInstance(
  options: { name: string; stateDir: string },
  folder: string = runFolder(),
): Promise<Instance> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (let index = 0; index < MAX_INSTANCES; index += 1) {
    if (existsSync(recordFile(folder, index)) || !(await isFree(index))) continue
    const record: InstanceRecord = {
      index,
      name: options.name,
      stateDir: options.stateDir,
      owner: identify(process.pid),
      watchdog: null,
      processes: [],
      node: false,
    }
    if (createWhole(recordFile(folder, index), JSON.stringify(record, null, 2))) {
      return { record, ports: portsOf(index), save: () => saveRecord(record, folder) }
    }
  }
  throw new GatewayError(
    'ServiceUnavailable',
    `${MAX_INSTANCES} local clusters are running already, or their ports from ${FIRST_PORT} on are taken`,
  )
}

async function isFree(index: number): Promise<boolean> {
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map((entry) => entry.address),
  )
  if (isSubnetTaken(index, addresses)) return false
  const free = await Promise.all(Object.values(portsOf(index)).map(canListen))
  return free.every(Boolean)
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true))
    })
  })
}

/** Written aside and renamed: a reader never sees half of it. */
function saveRecord(record: InstanceRecord, folder: string): void {
  const file = recordFile(folder, record.index)
  writeFileSync(`${file}.new`, JSON.stringify(record, null, 2), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

export function listInstances(folder: string = runFolder()): InstanceRecord[] {
  return readFolder(folder)
    .filter((file) => /^\d+\.json$/.test(file))
    .map((file) => readRecord(join(folder, file)))
    .filter((record) => record !== undefined)
}

export function listAbandoned(folder: string = runFolder()): InstanceRecord[] {
  return listInstances(folder).filter((record) => !isAlive(record.owner))
}

/** The last one out removes the folder. */
export function forgetInstance(record: InstanceRecord, folder: string = runFolder()): void {
  rmSync(instanceRunFolder(record.index, folder), { recursive: true, force: true })
  rmSync(recordFile(folder, record.index), { force: true })
  try {
    rmdirSync(folder)
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'ENOENT') throw error
  }
}

function recordFile(folder: string, index: number): string {
  return join(folder, `${index}.json`)
}

function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

function readRecord(file: string): InstanceRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as InstanceRecord
  } catch {
    return undefined
  }
}
