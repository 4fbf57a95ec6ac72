/** Everything the measurements run on: a sandbox of their own, one pod, three ways to it. */
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createProgress } from '../../lib/cluster/progress.ts'
import { type KubectlOptions, runKubectl } from '../../lib/sandbox/run-kubectl.ts'
import { type Sandbox, startSandbox } from '../../lib/sandbox/sandbox.ts'
import { benchManifest, NAMESPACE, PODS } from './manifests.ts'
import { openRoutes, type Routes } from './routes.ts'

export interface Bed {
  sandbox: Sandbox
  routes: Routes
  admin: KubectlOptions
  gatewayPid(): number
  close(): Promise<void>
}

/** One sign-in lasts for the whole run. */
const TOKEN_SECONDS = 4 * 3600

export async function openBed(signal: AbortSignal): Promise<Bed> {
  const dir = await mkdtemp(join(tmpdir(), 'podgate-bench-'))
  // Also where a signal ends this process at once.
  const onExit = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', onExit)
  const closers = [
    async () => {
      process.off('exit', onExit)
      await rm(dir, { recursive: true, force: true })
    },
  ]
  const close = async (): Promise<void> => {
    for (let end = closers.pop(); end !== undefined; end = closers.pop()) await end()
  }
  try {
    const sandbox = await startSandbox({
      dir: join(dir, 'sandbox'),
      name: 'bench',
      idTokenSeconds: TOKEN_SECONDS,
      progress: createProgress(process.stderr),
      signal,
    })
    closers.push(sandbox.close)
    const admin: KubectlOptions = {
      kubectl: sandbox.json.kubectl,
      kubeconfig: sandbox.json.admin.kubeconfig,
      cacheDir: join(dir, 'kubectl-cache'),
      signal,
    }
    await preparePods(admin, sandbox.cluster.demoImage)
    const routes = await openRoutes(sandbox.json, dir)
    closers.push(routes.close)
    const gatewayPid = (): number => {
      const { pid } = sandbox.gateway
      if (pid === undefined) throw new Error('the gateway has ended')
      return pid
    }
    return { sandbox, routes, admin, gatewayPid, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function preparePods(admin: KubectlOptions, image: string): Promise<void> {
  await runKubectl(['apply', '-f', '-'], { ...admin, input: benchManifest(image) })
  for (const pod of Object.keys(PODS)) {
    const ready = ['wait', '--for=condition=Ready', `pod/${pod}`, '-n', NAMESPACE, '--timeout=60s']
    await runKubectl(ready, admin)
  }
}
