/** A cluster by kind, where Docker and kind are there. */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { errorText, GatewayError } from '../errors/gateway-error.ts'
import { createImageArchive, type ImageSpec } from './images.ts'
import { projectFolder } from './places.ts'
import { type Progress, silentProgress } from './progress.ts'
import { runProgram, succeeds } from './run-program.ts'

/** The first time, kind pulls its node image. */
const CREATE_TIMEOUT_MS = 15 * 60_000
const DELETE_TIMEOUT_MS = 120_000

export interface KindClusterOptions {
  stateDir: string
  progress?: Progress
}

export interface KindCluster {
  adminKubeconfig: string
  loadImage(image: ImageSpec): Promise<void>
  close(): Promise<void>
}

/** Undefined when kind can be used, else why not. */
export async function kindHindrance(): Promise<string | undefined> {
  if (!(await succeeds('docker', ['info']))) return 'Docker is not installed or not running'
  if (!(await succeeds('kind', ['version']))) return 'kind is not installed'
  return undefined
}

/** The state folder names it: two side by side differ, and a crashed one is found again. */
export function kindClusterName(stateDir: string): string {
  return `podgate-${createHash('sha256').update(resolve(stateDir)).digest('hex').slice(0, 8)}`
}

export async function startKindCluster(options: KindClusterOptions): Promise<KindCluster> {
  const progress = options.progress ?? silentProgress
  const name = kindClusterName(options.stateDir)
  const stateDir = resolve(options.stateDir)
  const adminKubeconfig = join(stateDir, 'admin.kubeconfig')
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const close = async (): Promise<void> => {
    await kind(
      ['delete', 'cluster', '--name', name, '--kubeconfig', adminKubeconfig],
      DELETE_TIMEOUT_MS,
    )
    rmSync(stateDir, { recursive: true, force: true })
  }
  const existing = await kind(['get', 'clusters'], DELETE_TIMEOUT_MS)
  if (existing.split('\n').includes(name)) {
    progress.update({ what: `Removing the kind cluster ${name} of an earlier run` })
    await kind(['delete', 'cluster', '--name', name], DELETE_TIMEOUT_MS)
  }
  progress.update({
    what: `Creating the kind cluster ${name} (the first time its image is pulled)`,
  })
  const config = join(projectFolder(), 'kind-config.yaml')
  const create = ['create', 'cluster', '--name', name, '--config', config, '--wait', '180s']
  try {
    await kind([...create, '--kubeconfig', adminKubeconfig], CREATE_TIMEOUT_MS)
  } catch (error) {
    await close()
    throw error
  }
  progress.done(`Kubernetes is up: the kind cluster ${name}`)
  return {
    adminKubeconfig,
    close,
    async loadImage(image) {
      const archive = join(stateDir, 'image.tar')
      writeFileSync(archive, createImageArchive(image))
      try {
        await kind(['load', 'image-archive', archive, '--name', name], DELETE_TIMEOUT_MS)
      } finally {
        rmSync(archive, { force: true })
      }
    },
  }
}

async function kind(args: readonly string[], timeoutMs: number): Promise<string> {
  try {
    return await runProgram('kind', args, { timeoutMs })
  } catch (error) {
    throw new GatewayError('InternalError', `kind ${args.join(' ')}: ${errorText(error)}`, {
      cause: error,
    })
  }
}
