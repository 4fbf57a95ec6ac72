/** Control plane and node together: a whole Kubernetes on this machine, as root, without Docker. */
import { join } from 'node:path'

import { buildGoModule } from './build.ts'
import {
  bringUpControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
  prepareControlPlane,
} from './control-plane.ts'
import { ensurePackages, ETCD_PACKAGE, NODE_PACKAGES } from './debian-packages.ts'
import { PAUSE } from './go-programs.ts'
import type { ImageSpec } from './images.ts'
import { importImage, startContainerRuntime, startKubelet } from './node.ts'
import { silentProgress } from './progress.ts'

export type LocalClusterOptions = Omit<ControlPlaneOptions, 'controllerManager' | 'scheduler'>

export interface LocalCluster extends ControlPlane {
  containerdSocket: string
  loadImage(image: ImageSpec): Promise<void>
}

export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const progress = options.progress ?? silentProgress
  await ensurePackages([ETCD_PACKAGE, ...NODE_PACKAGES], progress)
  const pause = await buildGoModule(PAUSE, { progress })
  const parts = await prepareControlPlane({ ...options, controllerManager: true, scheduler: true })
  const { instance } = parts
  try {
    const [controlPlane, runtime] = await allOrFirstError(
      bringUpControlPlane(parts),
      startContainerRuntime(parts, join(pause, 'pause')),
    )
    progress.update({ what: 'Starting the node' })
    await startKubelet(parts, runtime)
    progress.done('Kubernetes is up: one node, on this machine')
    return {
      ...controlPlane,
      containerdSocket: runtime.socket,
      loadImage: async (image) => await importImage(runtime, image, instance.stateDir),
    }
  } catch (error) {
    await instance.close()
    throw error
  }
}

/** Waits for both in any case: nothing may still be starting while the instance is being closed. */
async function allOrFirstError<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return await Promise.all([first, second])
}
