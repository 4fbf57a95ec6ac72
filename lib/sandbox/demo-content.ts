/**
 * What the sandbox puts into the cluster: the custom resources and admission policies of Podgate,
 * and the demo shop; and how it takes them out of a cluster that stays.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errorText } from '../errors/gateway-error.ts'
import { projectFolder } from '../cluster/places.ts'
import { GATEWAY_NAMESPACE } from './gateway-account.ts'
import { type KubectlOptions, runKubectl } from './run-kubectl.ts'

export const DEMO_NAMESPACE = 'shop'

const IMAGE_PLACEHOLDER = 'PODGATE_DEMO_IMAGE'
const SANDBOX_LABEL = 'podgate.dev/sandbox=true'
const DISCOVERY_RETRIES = 50

const foldersOf = (root: string): { podgate: string[]; demo: string } => ({
  podgate: [join(root, 'crds'), join(root, 'charts', 'podgate', 'files')],
  demo: join(root, 'lib', 'sandbox', 'demo'),
})

/** A Podgate that somebody uses must not be replaced by a toy, nor be removed with it. */
export async function assertNotInstalled(kubectl: KubectlOptions): Promise<void> {
  const columns = String.raw`{range .items[*]}{.metadata.name}={.metadata.labels.podgate\.dev/sandbox} {end}`
  const found = await runKubectl(['get', 'namespaces', `-o=jsonpath=${columns}`], kubectl)
  const foreign = found
    .split(' ')
    .filter((entry) => entry === `${GATEWAY_NAMESPACE}=` || entry === `${DEMO_NAMESPACE}=`)
    .map((entry) => entry.slice(0, -1))
  if (foreign.length > 0) {
    throw new Error(
      `the cluster already has a namespace ${foreign.join(' and ')}, which no sandbox made; use another cluster`,
    )
  }
}

export async function applyPodgate(kubectl: KubectlOptions): Promise<void> {
  const { podgate } = foldersOf(projectFolder())
  await runKubectl(['apply', ...podgate.flatMap((folder) => ['-f', folder])], kubectl)
  await runKubectl(['label', 'namespace', GATEWAY_NAMESPACE, SANDBOX_LABEL, '--overwrite'], kubectl)
  await runKubectl(
    ['wait', '--for=condition=Established', '--timeout=60s', '-f', podgate[0] ?? ''],
    kubectl,
  )
}

export async function applyDemo(kubectl: KubectlOptions, image: string): Promise<void> {
  const manifests = await readDemo(image)
  // Right after a custom resource is established, discovery may not name it yet.
  for (let attempt = 1; ; attempt += 1) {
    try {
      await runKubectl(['apply', '-f', '-'], { ...kubectl, input: manifests })
      return
    } catch (error) {
      if (attempt === DISCOVERY_RETRIES || !/no matches for kind/u.test(errorText(error)))
        throw error
      await delay(100, undefined, { signal: kubectl.signal })
    }
  }
}

export async function waitForDemo(kubectl: KubectlOptions): Promise<void> {
  await runKubectl(
    ['wait', '-n', DEMO_NAMESPACE, '--for=condition=Ready', '--timeout=120s', 'pods', '--all'],
    { ...kubectl, timeoutMs: 130_000 },
  )
}

/** From a cluster that was there before; one of our own ends as a whole. */
export async function removeAll(kubectl: KubectlOptions): Promise<void> {
  const { podgate } = foldersOf(projectFolder())
  const quiet = ['--ignore-not-found', '--timeout=90s']
  const patient = { ...kubectl, timeoutMs: 100_000 }
  await runKubectl(['delete', 'namespace', DEMO_NAMESPACE, ...quiet], patient)
  await runKubectl(['delete', 'clusterrolebindings', '-l', SANDBOX_LABEL, ...quiet], patient)
  const folders = podgate.toReversed().flatMap((folder) => ['-f', folder])
  await runKubectl(['delete', ...folders, ...quiet], patient)
}

async function readDemo(image: string): Promise<string> {
  const { demo } = foldersOf(projectFolder())
  const names = (await readdir(demo)).filter((name) => name.endsWith('.yaml')).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(demo, name), 'utf8')))
  return texts.join('\n---\n').replaceAll(IMAGE_PLACEHOLDER, image)
}
