/** What a change of a pod's debug containers comes to, as the API server reads it. */
import { isDeepStrictEqual } from 'node:util'

import type { DebugFacts } from '../../api/debug-facts.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { ApiClient } from '../../kube/api-client.ts'
import { dryRun, type ObjectWrite, type WrittenObject } from '../../kube/dry-run.ts'
import { ephemeralFacts } from './debug-facts.ts'
import type { SpecContainer, SpecPod } from './pod-spec.ts'

export interface Proposal {
  /** As it would be, at the version that the change was tried on. */
  pod: SpecPod
  /** Undefined: nothing would change. */
  added: { container: SpecContainer; facts: DebugFacts } | undefined
  code: number
  warning: string | undefined
}

function undecidable(what: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `${what}, and this gateway decides on one new debug container at a time; nothing was changed. Use kubectl debug`,
    { id: 1036 },
  )
}

/** The one that is new. @throws GatewayError when there are several, or others would change. */
export function addedContainer(before: SpecPod, after: SpecPod): SpecContainer | undefined {
  const old = before.spec.ephemeralContainers ?? []
  const now = after.spec.ephemeralContainers ?? []
  const known = new Map(old.map((container) => [container.name, container]))
  const added = now.filter(({ name }) => !known.has(name))
  const kept = now.filter(({ name }) => known.has(name))
  if (
    kept.length !== known.size ||
    kept.some((one) => !isDeepStrictEqual(one, known.get(one.name)))
  )
    throw undecidable('the request changes or removes a debug container that is there')
  if (added.length > 1) throw undecidable(`the request adds ${added.length} debug containers`)
  return added[0]
}

/** Kubelet and others write to a pod at any time; so often at once they do not. */
const MAX_TRIES = 5

/**
 * Reads the pod, then tries, and again when the pod was written in between. What somebody else adds
 * in spite of that shows as one container too many and never as one that nobody decided on.
 *
 * @param write with the person's impersonation and the mark of a session
 * @throws GatewayError, or UpstreamStatusError in the API server's own words.
 */
export async function propose(client: ApiClient, write: ObjectWrite): Promise<Proposal> {
  const podPath = write.path.replace(/\/ephemeralcontainers$/, '')
  const read = async (): Promise<SpecPod> =>
    await client.request<SpecPod>('GET', podPath, { headers: write.headers })
  let before: SpecPod
  let tried: WrittenObject<SpecPod>
  let tries = 0
  do {
    before = await read()
    tried = await dryRun<SpecPod>(client, write)
    tries += 1
  } while (
    tries < MAX_TRIES &&
    before.metadata.resourceVersion !== tried.object.metadata.resourceVersion
  )
  const { object: pod, code, warning } = tried
  if (before.metadata.uid !== pod.metadata.uid || pod.metadata.resourceVersion === undefined)
    throw undecidable('the pod was replaced meanwhile')
  const container = addedContainer(before, pod)
  const added = container && { container, facts: ephemeralFacts(pod, container) }
  return { pod, added, code, warning }
}
