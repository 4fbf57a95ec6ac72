/**
 * Finds or builds the cluster that the sandbox, the end-to-end tests and the
 * benchmark work on: a context of the user's kubeconfig, kind, or a local
 * control plane and node.
 *
 * May import: errors.
 */
import { join } from 'node:path'
import { userInfo } from 'node:os'

import { GatewayError } from '../errors/gateway-error.ts'
import { buildGoModule } from './build.ts'
import { useContextCluster } from './context-cluster.ts'
import type { ControlPlaneOptions } from './control-plane.ts'
import { KUBERNETES } from './go-programs.ts'
import type { ImageSpec } from './images.ts'
import { kindHindrance, startKindCluster } from './kind-cluster.ts'
import { helmProgram, kubectlVersion } from './kubectl-versions.ts'
import { startLocalCluster } from './local-cluster.ts'
import { type Progress, silentProgress } from './progress.ts'
import { runProgram, succeeds } from './run-program.ts'

export type ClusterKind = 'context' | 'kind' | 'local'

export interface OpenClusterOptions {
  /** A context of the user's kubeconfig, or the kind to insist on; else the first that fits. */
  prefer?: { context?: string; kind?: 'kind' | 'local' }
  /** Shows in the kubeconfig. */
  name: string
  /** A folder for this cluster alone; removed by close(). */
  stateDir: string
  progress?: Progress
  /** Only the local cluster writes one. */
  audit?: ControlPlaneOptions['audit']
  /** Leaves logs and data of the local cluster when closing. */
  keepState?: boolean
}

export interface Cluster {
  kind: ClusterKind
  /** Full rights, straight to the API server. */
  adminKubeconfig: string
  /** Absolute path of a kubectl that fits. */
  kubectl: string
  helm?: string
  containerdSocket?: string
  auditLog?: string
  /** Only where the API server is ours to stop. */
  stopApiServer?(): Promise<void>
  startApiServer?(): Promise<void>
  restartApiServer?(): Promise<void>
  /** Makes the image known to the node; pods name it with imagePullPolicy Never. */
  loadImage(image: ImageSpec): Promise<void>
  close(): Promise<void>
}

/** Resolves when the API server is ready, the node is Ready and pods can be made. */
export async function openCluster(options: OpenClusterOptions): Promise<Cluster> {
  const { context, kind } = options.prefer ?? {}
  if (context !== undefined) return await openContext(options, context)
  const noKind = kind === 'local' ? 'not asked for' : await kindHindrance()
  if (noKind === undefined) return await openKind(options)
  const noLocal = kind === 'kind' ? 'not asked for' : localHindrance()
  if (noLocal === undefined) return await openLocal(options)
  throw new GatewayError('ServiceUnavailable', noClusterMessage({ noKind, noLocal }))
}

export function localHindrance(
  platform: NodeJS.Platform = process.platform,
  uid: number = userInfo().uid,
): string | undefined {
  if (platform !== 'linux') return `this machine runs ${platform}, not Linux`
  if (uid !== 0) return 'you are not root'
  return undefined
}

export function noClusterMessage(why: { noKind: string; noLocal: string }): string {
  return [
    'There is no Kubernetes cluster to work with. Any one of these gives one:',
    '  1. A cluster you have: npm start -- --context NAME ("kubectl config get-contexts" lists the names)',
    `  2. kind (https://kind.sigs.k8s.io) with Docker: install both, then npm start. Now: ${why.noKind}.`,
    `  3. Linux as root, with Go 1.24 or newer: sudo npm start builds a cluster here. Now: ${why.noLocal}.`,
  ].join('\n')
}

async function openLocal(options: OpenClusterOptions): Promise<Cluster> {
  const { name, stateDir, progress, audit, keepState } = options
  const local = await startLocalCluster({
    name,
    stateDir,
    ...(progress === undefined ? {} : { progress }),
    ...(audit === undefined ? {} : { audit }),
    ...(keepState === undefined ? {} : { keepState }),
  })
  return { ...local, kind: 'local', ...(await helmIfAny()) }
}

async function openKind(options: OpenClusterOptions): Promise<Cluster> {
  const progress = options.progress ?? silentProgress
  const kubectl = await findKubectl(progress)
  const cluster = await startKindCluster({ stateDir: options.stateDir, progress })
  return { ...cluster, kind: 'kind', kubectl, ...(await helmIfAny()) }
}

async function openContext(options: OpenClusterOptions, context: string): Promise<Cluster> {
  const kubectl = await findKubectl(options.progress ?? silentProgress)
  const cluster = await useContextCluster({ context, stateDir: options.stateDir, kubectl })
  return {
    ...cluster,
    kind: 'context',
    kubectl,
    ...(await helmIfAny()),
    async loadImage(image) {
      throw new GatewayError(
        'ServiceUnavailable',
        `${image.name} cannot be put on the nodes of context "${context}" from here; push it to a registry they use`,
      )
    },
  }
}

/** The user's own kubectl, else the one that came by npm, else one is built. */
async function findKubectl(progress: Progress): Promise<string> {
  if (await succeeds('kubectl', ['version', '--client'])) {
    return (await runProgram('sh', ['-c', 'command -v kubectl'])).trim()
  }
  try {
    return await kubectlVersion('1.35')
  } catch {
    return join(await buildGoModule(KUBERNETES, { progress }), 'kubectl')
  }
}

async function helmIfAny(): Promise<{ helm?: string }> {
  if (await succeeds('helm', ['version'])) {
    return { helm: (await runProgram('sh', ['-c', 'command -v helm'])).trim() }
  }
  try {
    const helm = await helmProgram()
    return helm === undefined ? {} : { helm }
  } catch {
    return {}
  }
}
