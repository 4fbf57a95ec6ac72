/** The cluster of a sandbox, with the image its demo pods run. */
import { existsSync } from 'node:fs'

import { type Cluster, openCluster } from '../cluster/cluster.ts'
import { DEMO_IMAGE, demoImage } from '../cluster/images.ts'
import type { Progress } from '../cluster/progress.ts'

export interface DemoCluster extends Cluster {
  /** Was there before the sandbox and stays: what the sandbox puts in, it takes out again. */
  isForeign: boolean
  demoImage: string
}

/** Where nothing can be put on the nodes from here, they fetch this one. */
const PUBLIC_IMAGE = 'docker.io/library/busybox:1.36'
const BUSYBOX = '/bin/busybox'

export async function openDemoCluster(options: {
  name?: string | undefined
  context?: string | undefined
  audit?: boolean
  stateDir: string
  progress: Progress
}): Promise<DemoCluster> {
  const { name, context, audit, stateDir, progress } = options
  const cluster = await openCluster({
    name: name ?? 'sandbox',
    stateDir,
    progress,
    ...(context === undefined ? {} : { prefer: { context } }),
    ...(audit === undefined ? {} : { audit }),
  })
  const isForeign = cluster.kind === 'context'
  if (isForeign || !existsSync(BUSYBOX)) return { ...cluster, isForeign, demoImage: PUBLIC_IMAGE }
  try {
    await cluster.loadImage(demoImage({}, { busybox: BUSYBOX }))
    return { ...cluster, isForeign, demoImage: DEMO_IMAGE }
  } catch (error) {
    await cluster.close()
    throw error
  }
}
