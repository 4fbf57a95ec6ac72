/**
 * Tells when a pod is gone. A port-forward into a pod that has ended hangs until somebody tries a
 * connection: nothing between the API server and the runtime notices.
 */
import type { ApiClient } from '../../kube/api-client.ts'
import { createReflector, type KubeObject } from '../../kube/reflector.ts'
import type { TargetFacts } from '../access.ts'

interface WatchedPod extends KubeObject {
  status?: { phase?: string }
}

export interface PodWatchOptions {
  client: ApiClient
  facts: TargetFacts
  onGone(why: string): void
  onError(message: string): void
}

/** A quiet watch costs nothing; it is begun anew this often. */
const WATCH_SECONDS = 60

/** Watches as the gateway itself: the person may not have the right to. Close it at the end. */
export function watchPod({ client, facts, onGone, onError }: PodWatchOptions): { close(): void } {
  const { namespace, pod, podUID } = facts
  const reflector = createReflector<WatchedPod>({
    client,
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`,
    fieldSelector: `metadata.name=${pod}`,
    watchSeconds: WATCH_SECONDS,
    onError,
    onChange(type, { metadata, status }) {
      const phase = status?.phase
      if (type === 'delete') onGone('was deleted')
      else if (metadata.uid !== podUID) onGone('was replaced')
      else if (phase === 'Succeeded' || phase === 'Failed') onGone(`has ended (${phase})`)
    },
  })
  // Deleted before the first list: there is nothing in it to change.
  reflector
    .ready(AbortSignal.timeout(WATCH_SECONDS * 1000))
    .then(() => {
      if (reflector.items().length === 0) onGone('was deleted')
    })
    .catch((error: unknown) => onError(`watching pod ${pod}: ${String(error)}`))
  return { close: () => reflector.close() }
}
