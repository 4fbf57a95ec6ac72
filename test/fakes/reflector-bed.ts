/** A reflector in front of a scripted API server. */
import { createApiClient } from '../../lib/kube/api-client.ts'
import {
  createReflector,
  type KubeObject,
  type Reflector,
  type ReflectorOptions,
} from '../../lib/kube/reflector.ts'
import { eventually } from './eventually.ts'
import type { TestPki } from './scripted-api-server.ts'
import { ScriptedCluster } from './scripted-cluster.ts'

export const PATH = '/apis/podgate.dev/v1alpha1/accesspolicies'

export interface Thing extends KubeObject {
  spec?: unknown
}

export interface Setup {
  cluster: ScriptedCluster
  reflector: Reflector<Thing>
  changes: string[]
  errors: string[]
  clock: { ms: number }
  names(): string
  put(name: string, spec?: unknown): void
  lists(): number
  watches(): number
  close(): Promise<void>
}

export function isWatch(url: URL): boolean {
  return url.searchParams.get('watch') === 'true'
}

export async function startReflector(
  pki: TestPki,
  options: Partial<ReflectorOptions<Thing>> = {},
): Promise<Setup> {
  const cluster = await ScriptedCluster.start(pki)
  const client = createApiClient(cluster.endpoint)
  const changes: string[] = []
  const errors: string[] = []
  const clock = { ms: 1_000_000 }
  cluster.objects.put('accesspolicies', { metadata: { namespace: 'shop', name: 'first' } })
  const reflector = createReflector<Thing>({
    client,
    path: PATH,
    onChange: (type, { metadata }) => void changes.push(`${type} ${metadata.name}`),
    onError: (message) => void errors.push(message),
    now: () => clock.ms,
    ...options,
  })
  const setup: Setup = {
    cluster,
    reflector,
    changes,
    errors,
    clock,
    names: () =>
      reflector
        .items()
        .map(({ metadata }) => metadata.name)
        .sort()
        .join(' '),
    put: (name, spec) =>
      void cluster.objects.put('accesspolicies', { metadata: { namespace: 'shop', name }, spec }),
    lists: () => cluster.seen(/accesspolicies$/).length,
    watches: () => cluster.seen(/watch=true/).length,
    async close() {
      reflector.close()
      client.close()
      await cluster.stop()
    },
  }
  return setup
}

export async function ready(setup: Setup): Promise<void> {
  await setup.reflector.ready(AbortSignal.timeout(5000))
  await eventually('the watch is open', () => setup.cluster.watches.size === 1)
}
