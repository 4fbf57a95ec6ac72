/**
 * One node on this machine: containerd, a bridge, and a kubelet, all under the
 * instance's own names, so that several nodes, and a Kubernetes or Docker that
 * was there before, do not meet. Needs root.
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { errorText, GatewayError } from '../errors/gateway-error.ts'
import { requestApi } from './api-request.ts'
import { createCgroup } from './cgroup.ts'
import { NODE_NAME } from './cluster-pki.ts'
import type { ControlPlaneParts } from './control-plane.ts'
import { createImageArchive, type ImageSpec, pauseImage } from './images.ts'
import { instanceRunFolder, kubeletRootOf, type NodeNetwork, nodeNetworkOf } from './instance.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { noteMachineState } from './machine-state.ts'
import {
  type NodePaths,
  renderCniConfig,
  renderContainerdConfig,
  renderKubeletConfig,
  type Snapshotter,
} from './node-config.ts'
import { runFolder } from './places.ts'
import { type Program, searchPath, startProgram, waitUntil } from './processes.ts'
import { superviseProgram } from './supervise.ts'

const RUNTIME_TIMEOUT_MS = 60_000
const NODE_TIMEOUT_MS = 120_000
/** statfs(2): overlayfs cannot be stacked on itself in containers. */
const OVERLAYFS_MAGIC = 0x794c_7630

export interface ContainerRuntime {
  socket: string
  snapshotter: Snapshotter
  containerd: Program
}

export function nodePathsOf(
  stateDir: string,
  socketFolder: string,
  kubeletRoot: string,
): NodePaths {
  return {
    containerdRoot: join(stateDir, 'containerd', 'root'),
    containerdState: join(stateDir, 'containerd', 'state'),
    socket: join(socketFolder, 'containerd.sock'),
    runcRoot: join(stateDir, 'runc'),
    cniConf: join(stateDir, 'cni', 'conf'),
    cniData: join(stateDir, 'cni', 'data'),
    kubeletRoot,
    podLogs: join(stateDir, 'pod-logs'),
  }
}

/** Needs no API server, so it comes up beside the control plane. */
export async function startContainerRuntime(
  parts: ControlPlaneParts,
  pauseBinary: string,
): Promise<ContainerRuntime> {
  const { instance } = parts
  const { paths, network } = layoutOf(parts)
  // From here on there is something to undo, should this process die.
  instance.record.node = true
  instance.save()
  noteMachineState(runFolder())
  for (const folder of [paths.cniConf, instanceRunFolder(instance.record.index)]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }
  const snapshotter = chooseSnapshotter(instance.stateDir)
  const config = join(instance.stateDir, 'containerd.toml')
  writeFileSync(config, renderContainerdConfig(paths, snapshotter))
  writeFileSync(join(paths.cniConf, '10-podgate.conflist'), renderCniConfig(paths, network))
  createCgroup(network.cgroup)
  createBridge(network)
  const containerd = startProgram(instance, {
    name: 'containerd',
    command: 'containerd',
    args: ['--config', config],
  })
  await waitUntil(() => existsSync(paths.socket), {
    what: 'containerd',
    timeoutMs: RUNTIME_TIMEOUT_MS,
    programs: [containerd],
  })
  const runtime = { socket: paths.socket, snapshotter, containerd }
  await importImage(runtime, pauseImage(pauseBinary), instance.stateDir)
  return runtime
}

export async function startKubelet(
  parts: ControlPlaneParts,
  runtime: ContainerRuntime,
): Promise<void> {
  const { instance, files, pki, options, binaries } = parts
  const { paths, network } = layoutOf(parts)
  const { stateDir, ports } = instance
  const config = join(stateDir, 'kubelet.yaml')
  const kubeconfig = join(stateDir, 'kubelet.kubeconfig')
  writeFileSync(
    config,
    renderKubeletConfig({
      paths,
      network,
      files,
      port: ports.kubelet,
      healthPort: ports.kubeletHealth,
    }),
  )
  writeKubeconfig(kubeconfig, {
    name: options.name,
    server: `https://127.0.0.1:${ports.apiServer}`,
    authority: pki.authority.certificate,
    client: pki.kubelet,
    user: 'kubelet',
  })
  const kubelet = superviseProgram(instance, {
    name: 'kubelet',
    command: join(binaries, 'kubelet'),
    args: [
      `--config=${config}`,
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${NODE_NAME}`,
      // Found by itself it would need a default route, which a machine without network lacks.
      `--node-ip=${network.gateway}`,
      `--root-dir=${paths.kubeletRoot}`,
      `--cert-dir=${join(stateDir, 'pki')}`,
    ],
  })
  // Killed at once: its containers end with it, and it must not start new ones meanwhile.
  instance.beforeClose.push(() => kubelet.stop(0))
  await waitForNode(parts, [runtime.containerd, kubelet])
}

async function waitForNode(parts: ControlPlaneParts, programs: readonly Program[]): Promise<void> {
  const read = async (path: string): Promise<unknown> => {
    const { status, body } = await requestApi({
      port: parts.instance.ports.apiServer,
      path,
      authority: parts.pki.authority.certificate,
      client: parts.pki.admin,
    })
    return status === 200 ? JSON.parse(body) : undefined
  }
  await waitUntil(async () => isNodeReady(await read(`/api/v1/nodes/${NODE_NAME}`)), {
    what: 'a Ready node',
    timeoutMs: NODE_TIMEOUT_MS,
    programs,
  })
  // Pods that are made before it exists are refused.
  const account = '/api/v1/namespaces/default/serviceaccounts/default'
  await waitUntil(async () => (await read(account)) !== undefined, {
    what: 'the default service account',
    timeoutMs: NODE_TIMEOUT_MS,
  })
}

/** Ready, and no longer tainted as if it were not: the scheduler looks at the taints. */
export function isNodeReady(node: unknown): boolean {
  const { spec, status } = (node ?? {}) as {
    spec?: { taints?: unknown[] }
    status?: { conditions?: { type?: string; status?: string }[] }
  }
  const ready = status?.conditions?.some(
    ({ type, status: is }) => type === 'Ready' && is === 'True',
  )
  return ready === true && (spec?.taints ?? []).length === 0
}

export async function importImage(
  runtime: Pick<ContainerRuntime, 'socket' | 'snapshotter'>,
  image: ImageSpec,
  folder: string,
): Promise<void> {
  const archive = join(folder, `image-${Math.random().toString(36).slice(2)}.tar`)
  writeFileSync(archive, createImageArchive(image))
  const global = ['--address', runtime.socket, '--namespace', 'k8s.io']
  try {
    await promisify(execFile)(
      'ctr',
      [...global, 'images', 'import', '--snapshotter', runtime.snapshotter, archive],
      { env: { PATH: searchPath() } },
    )
  } catch (error) {
    throw new GatewayError('InternalError', `importing ${image.name}: ${errorText(error)}`, {
      cause: error,
    })
  } finally {
    rmSync(archive, { force: true })
  }
}

function layoutOf({ instance }: ControlPlaneParts): { paths: NodePaths; network: NodeNetwork } {
  const { index } = instance.record
  return {
    paths: nodePathsOf(instance.stateDir, instanceRunFolder(index), kubeletRootOf(index)),
    network: nodeNetworkOf(index),
  }
}

function chooseSnapshotter(stateDir: string): Snapshotter {
  return statfsSync(stateDir).type === OVERLAYFS_MAGIC ? 'native' : 'overlayfs'
}

/** Made here and not by the first pod: the kubelet wants the node's address to exist. */
function createBridge({ bridge, gateway }: NodeNetwork): void {
  runIp(['link', 'add', bridge, 'type', 'bridge'])
  runIp(['address', 'add', `${gateway}/24`, 'dev', bridge])
  runIp(['link', 'set', bridge, 'up'])
}

function runIp(args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe', env: { PATH: searchPath() } })
}
