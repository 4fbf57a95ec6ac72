/**
 * Joining what runs in a pod. Where a session of Debug has made it, joining is Debug as well and
 * part of the decision that was made then.
 */
import type { User } from '../../identity/user.ts'
import { containerFacts, readPod, type PodObject } from '../../kube/pod.ts'
import type { SessionDocument } from '../../recording/session-document.ts'
import { containerAccess, type Access, type ContainerAccess } from '../access.ts'
import type { SessionAsk, SessionDeps } from '../conduct-session.ts'
import { identityOf } from '../identity-of.ts'
import { podChanged } from '../messages.ts'
import { ephemeralFacts, isDebugPod, podDebugFacts } from './debug-facts.ts'
import type { SpecPod } from './pod-spec.ts'

export type AttachAsk = Pick<SessionAsk, 'access' | 'parent' | 'granted'>

/** What is joined has to be what the operation was chosen by. */
function pinned(access: Access, podUID: string): Access {
  return {
    ...access,
    async readFacts(reader) {
      const facts = await access.readFacts(reader)
      if (facts.podUID !== podUID) throw podChanged(facts.pod)
      return facts
    },
  }
}

/** Theirs alone, and only for what was decided on: an image may be changed afterwards. */
function belongsTo(made: SessionDocument, user: User, digests: readonly string[]): boolean {
  return (
    made.user.username === user.username &&
    made.user.issuer === user.issuer &&
    made.debug !== undefined &&
    digests.includes(made.debug.digest)
  )
}

function withParent(access: Access, made: SessionDocument): AttachAsk {
  const { _id, approval, policies } = made
  const until = approval?.until
  if (approval === undefined || until === undefined) return { access, parent: _id }
  return { access, parent: _id, granted: { approval, policies, until } }
}

/** @throws GatewayError, or UpstreamStatusError in the API server's own words. */
export async function attachAccess(
  { client, store }: Pick<SessionDeps, 'client' | 'store'>,
  user: User,
  target: ContainerAccess,
): Promise<AttachAsk> {
  const identity = identityOf(user)
  const pod: SpecPod & PodObject = await readPod(client, identity, target.namespace, target.pod)
  const { container, podUID } = containerFacts(pod, target.container)
  const { spec } = pod
  const ephemeral = spec.ephemeralContainers?.find(({ name }) => name === container)
  const plain = pinned(containerAccess('attach', { ...target, container }), podUID)
  if (ephemeral === undefined && !isDebugPod(spec)) return { access: plain }
  const made = await store.findDebug({ podUID, container: ephemeral?.name ?? '' })
  if (ephemeral === undefined && made === undefined) return { access: plain }
  const debug = ephemeral ? ephemeralFacts(pod, ephemeral) : podDebugFacts(pod)
  const access: Access = { ...plain, operation: 'Debug', debug }
  if (made === undefined) return { access }
  // The scheduler has filled in the node where nobody asked for one.
  const digests = ephemeral
    ? [debug.digest]
    : [debug.digest, podDebugFacts(pod, 'byScheduler').digest]
  return belongsTo(made, user, digests) ? withParent(access, made) : { access }
}
