/**
 * A pod of one's own (`kubectl run`, `kubectl debug --copy-to`, `kubectl debug node/…`): a pod to
 * sit in, or one that reaches into the node, is decided as Debug; every other one passes. The same
 * for what is applied, which may be there already (pod-apply.ts).
 *
 * The client's own bytes are what is created: the API server has read them once before, and reads
 * them the same way again.
 */
import { GatewayError } from '../../errors/gateway-error.ts'
import { UpstreamStatusError } from '../../kube/api-client.ts'
import { dryRun, writeObject, type ObjectWrite } from '../../kube/dry-run.ts'
import type { SessionEnd } from '../../recording/session-document.ts'
import type { Access } from '../access.ts'
import { conductSession, type OpenedSession, type SessionDeps } from '../conduct-session.ts'
import { identityOf } from '../identity-of.ts'
import { passThrough } from '../passthrough.ts'
import { clientOf } from '../serve-stream.ts'
import { readWholeBody } from '../whole-body.ts'
import { agentHeaders, parseWriteQuery, sendJson, type WriteRequest } from './client-write.ts'
import { podEvent } from './debug-detail.ts'
import { isDebugPod, mainContainer, podDebugFacts, stablePodName } from './debug-facts.ts'
import type { SpecPod } from './pod-spec.ts'
import { completed, recordDebug } from './record-debug.ts'

function podAccess(namespace: string, pod: SpecPod): Access {
  const facts = podDebugFacts(pod)
  const main = mainContainer(pod.spec)
  return {
    operation: 'Debug',
    namespace,
    review: { verb: 'create', namespace, resource: 'pods', name: '' },
    command: facts.command,
    tty: main?.tty === true,
    stdin: main?.stdin === true,
    debug: facts,
    readFacts: () =>
      Promise.resolve({
        namespace,
        pod: stablePodName(pod.metadata),
        podUID: '',
        labels: pod.metadata.labels ?? {},
        node: pod.spec.nodeName,
        container: '',
        image: facts.image,
        containerID: undefined,
        restartCount: 0,
      }),
  }
}

async function conduct(
  deps: SessionDeps,
  { info, user, request, response }: WriteRequest,
  write: ObjectWrite,
  access: Access,
  pod: SpecPod,
): Promise<void> {
  let send: (() => void) | undefined
  const run = async (opened: OpenedSession): Promise<SessionEnd> => {
    await recordDebug(opened, podEvent(pod))
    const headers = { ...agentHeaders(request), ...opened.marked }
    deps.stop.throwIfAborted()
    const made = await writeObject<SpecPod>(deps.client, { ...write, headers })
    send = () => sendJson(response, made.code, made.object, made.warning)
    const { name, uid } = made.object.metadata
    return completed({ pod: name, podUID: uid, container: '' })
  }
  await conductSession(
    deps,
    { user, access, client: clientOf(request), protocol: `HTTP ${info.method}` },
    {
      run,
      refuse(status) {
        send = () => sendJson(response, status.code ?? 500, status)
      },
    },
  )
  if (send === undefined) throw new GatewayError('InternalError', 'the session gave no answer')
  send()
}

/** @throws GatewayError while nothing has been answered; all else is answered here. */
export async function serveCreatePod(
  deps: SessionDeps,
  incoming: WriteRequest,
  namespace: string,
): Promise<void> {
  const { info, user, request, response } = incoming
  const { isDryRun, query } = parseWriteQuery(info.query)
  const identity = identityOf(user)
  const body = await readWholeBody(request)
  const pass = async (): Promise<void> =>
    await passThrough(deps.client, info, identity, request, response, body)
  if (isDryRun) {
    await pass()
    return
  }
  const write: ObjectWrite = {
    method: info.method === 'PATCH' ? 'PATCH' : 'POST',
    path: info.path,
    query,
    headers: { ...agentHeaders(request), ...identity },
    body,
    contentType: request.headers['content-type'],
  }
  let pod: SpecPod
  try {
    pod = (await dryRun<SpecPod>(deps.client, write)).object
  } catch (error) {
    if (!UpstreamStatusError.is(error)) throw error
    // What cannot be tried cannot be decided; whoever has no right to it learns it here, too.
    sendJson(response, error.httpCode, error.status)
    return
  }
  if (isDebugPod(pod.spec)) await conduct(deps, incoming, write, podAccess(namespace, pod), pod)
  else await pass()
}
