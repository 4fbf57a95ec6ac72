/**
 * A debug container for a running pod (`kubectl debug POD`), on any wire and by any kind of patch.
 *
 *   try it -> what is new? -> (conduct-session.ts) -> write that, and nothing else
 *
 * What is written is not the client's request but what was decided on, bound to the version of the
 * pod that it was decided for.
 */
import { GatewayError } from '../../errors/gateway-error.ts'
import { isUpstreamCode, UpstreamStatusError } from '../../kube/api-client.ts'
import { writeObject, type ObjectWrite, type WrittenObject } from '../../kube/dry-run.ts'
import type { SessionEnd } from '../../recording/session-document.ts'
import type { Access } from '../access.ts'
import { conductSession, type OpenedSession, type SessionDeps } from '../conduct-session.ts'
import { identityOf } from '../identity-of.ts'
import { podChanged } from '../messages.ts'
import { newSessionId } from '../session-id.ts'
import { clientOf } from '../serve-stream.ts'
import { readWholeBody } from '../whole-body.ts'
import { agentHeaders, parseWriteQuery, sendJson, type WriteRequest } from './client-write.ts'
import { ephemeralEvent } from './debug-detail.ts'
import type { SpecPod } from './pod-spec.ts'
import { propose, type Proposal } from './proposal.ts'
import { completed, recordDebug } from './record-debug.ts'

export interface PodName {
  namespace: string
  pod: string
}

type Added = NonNullable<Proposal['added']>

/** The pod changes with every probe of the kubelet; more often than that it is not bad luck. */
const MAX_WRITES = 5

function debugAccess(
  { namespace, pod }: PodName,
  verb: 'patch' | 'update',
  { pod: decided }: Proposal,
  { container, facts }: Added,
): Access {
  const { uid, labels = {} } = decided.metadata
  return {
    operation: 'Debug',
    namespace,
    review: { verb, namespace, resource: 'pods', name: pod, subresource: 'ephemeralcontainers' },
    command: facts.command,
    tty: container.tty === true,
    stdin: container.stdin === true,
    debug: facts,
    readFacts: () =>
      Promise.resolve({
        namespace,
        pod,
        podUID: uid,
        labels,
        node: decided.spec.nodeName,
        container: facts.targetContainer,
        image: facts.image,
        containerID: undefined,
        restartCount: 0,
      }),
  }
}

/** As small as the method allows, and good for this version of this pod only. */
function decidedWrite(write: ObjectWrite, { pod }: Proposal): Partial<ObjectWrite> {
  if (write.method === 'PUT') return { body: pod, contentType: 'application/json' }
  const { uid, resourceVersion } = pod.metadata
  return {
    body: {
      metadata: { uid, resourceVersion },
      spec: { ephemeralContainers: pod.spec.ephemeralContainers },
    },
    contentType: 'application/merge-patch+json',
  }
}

function assertSame(before: Proposal, now: Proposal, podName: string): void {
  if (now.pod.metadata.uid !== before.pod.metadata.uid) throw podChanged(podName)
  const { added } = before
  const isSame =
    now.added?.facts.digest === added?.facts.digest &&
    now.added?.container.name === added?.container.name
  if (isSame) return
  throw new GatewayError(
    'Conflict',
    `pod ${podName} changed while the debug container was decided on, so that it would be another one now; nothing was changed. Run the command again`,
    { id: 1038 },
  )
}

async function writeDecided(
  deps: SessionDeps,
  client: ObjectWrite,
  decided: Proposal,
): Promise<WrittenObject<SpecPod>> {
  let now = decided
  // `force` is for server-side apply, which this is not any more.
  const query = new URLSearchParams(client.query)
  query.delete('force')
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await writeObject(deps.client, { ...client, query, ...decidedWrite(client, now) })
    } catch (error) {
      if (!isUpstreamCode(error, 409) || attempt === MAX_WRITES) throw error
    }
    now = await propose(deps.client, client)
    assertSame(decided, now, decided.pod.metadata.name)
  }
}

interface Reply {
  code: number
  body: unknown
  warning?: string | undefined
}

async function conduct(
  deps: SessionDeps,
  { info, user, request }: WriteRequest,
  write: ObjectWrite,
  proposal: Proposal,
  added: Added,
  target: PodName,
): Promise<Reply> {
  let reply: Reply | undefined
  const run = async (opened: OpenedSession): Promise<SessionEnd> => {
    await recordDebug(opened, ephemeralEvent(added.container))
    const headers = { ...agentHeaders(request), ...opened.marked }
    const written = await writeDecided(deps, { ...write, headers }, proposal)
    reply = { code: written.code, body: written.object, warning: proposal.warning }
    const { name, uid } = proposal.pod.metadata
    return completed({ pod: name, podUID: uid, container: added.container.name })
  }
  await conductSession(
    deps,
    {
      user,
      access: debugAccess(target, info.method === 'PUT' ? 'update' : 'patch', proposal, added),
      client: clientOf(request),
      protocol: `HTTP ${info.method}`,
    },
    {
      run,
      refuse(status) {
        reply = { code: status.code ?? 500, body: status }
      },
    },
  )
  if (reply === undefined) throw new GatewayError('InternalError', 'the session gave no answer')
  return reply
}

async function answer(deps: SessionDeps, incoming: WriteRequest, target: PodName): Promise<Reply> {
  const { info, user, request } = incoming
  const { isDryRun, query } = parseWriteQuery(info.query)
  const write: ObjectWrite = {
    method: info.method === 'PUT' ? 'PUT' : 'PATCH',
    path: info.path,
    query,
    // The admission guard asks for the mark also where nothing is done.
    headers: { ...agentHeaders(request), ...identityOf(user, newSessionId(Date.now())) },
    body: await readWholeBody(request),
    contentType: request.headers['content-type'],
  }
  const proposal = await propose(deps.client, write)
  const { pod, added, code, warning } = proposal
  // Nothing to decide, and nothing to do: what the client would get is known by now.
  if (isDryRun || added === undefined) return { code, body: pod, warning }
  return await conduct(deps, incoming, write, proposal, added, target)
}

/** @throws GatewayError while nothing has been answered; all else is answered here. */
export async function serveDebugContainer(
  deps: SessionDeps,
  incoming: WriteRequest,
  target: PodName,
): Promise<void> {
  let reply: Reply
  try {
    reply = await answer(deps, incoming, target)
  } catch (error) {
    if (!UpstreamStatusError.is(error)) throw error
    reply = { code: error.httpCode, body: error.status }
  }
  sendJson(incoming.response, reply.code, reply.body, reply.warning)
}
