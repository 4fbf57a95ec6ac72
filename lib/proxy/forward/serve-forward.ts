/**
 * kubectl port-forward, over SPDY, the WebSocket tunnel and the old WebSocket channels.
 */
import { asGatewayError } from '../../errors/gateway-error.ts'
import type { ForwardDialer } from '../../kube/dial-forward.ts'
import { podFacts, readPod } from '../../kube/pod.ts'
import type { SessionEnd } from '../../recording/session-document.ts'
import type {
  ForwardClientSession,
  ForwardServerSession,
  ForwardUpstream,
} from '../../streams/forward.ts'
import { createForwardLanes } from '../../streams/forward-lanes.ts'
import type { StreamLimits } from '../../streams/stream-limits.ts'
import { negotiateForward } from '../../streams/subprotocol.ts'
import { acceptForward, type AcceptedForward } from '../accept-forward.ts'
import type { Access } from '../access.ts'
import type { AllowingDecision } from '../admit.ts'
import { conductSession, type OpenedSession, type SessionDeps } from '../conduct-session.ts'
import { seekConsent } from '../consent.ts'
import { podChanged, podGone } from '../messages.ts'
import { spendApproval } from '../obtain-approval.ts'
import { refuseUpgrade } from '../respond.ts'
import { limitSession, outcomeOf } from '../session-limit.ts'
import { clientOf, type UpgradeRequest } from '../serve-stream.ts'
import { watchPod } from './pod-watch.ts'
import { createPortGate } from './port-gate.ts'
import { createForward, type RunningForward } from './run-forward.ts'

export interface ForwardDeps extends SessionDeps {
  forwardDialer: ForwardDialer
  limits: StreamLimits
}

export interface ForwardTarget {
  namespace: string
  pod: string
}

function forwardAccess({ namespace, pod }: ForwardTarget): Access {
  return {
    operation: 'PortForward',
    namespace,
    review: { verb: 'create', namespace, resource: 'pods', name: pod, subresource: 'portforward' },
    command: [],
    tty: false,
    stdin: false,
    readFacts: async ({ client, identity }) =>
      podFacts(await readPod(client, identity, namespace, pod)),
  }
}

/** Approval for one port of a session that was opened without any. */
async function approvePort(
  deps: ForwardDeps,
  session: OpenedSession,
  port: number,
  decision: AllowingDecision,
): Promise<{ until: Date }> {
  const { access, user, admission } = session
  const request = {
    desk: deps.desk,
    metrics: deps.metrics,
    clusterUID: deps.clusterUID,
    user,
    access: { ...access, port },
    openRoom: undefined,
    stop: deps.stop,
  }
  const consent = await seekConsent(request, { ...admission, decision })
  if (consent === undefined) throw new TypeError('a decision that demands no approval')
  const { until } = await spendApproval(deps.desk, consent.ticket, session.id, undefined)
  return { until }
}

interface Legs {
  client?: ForwardServerSession
  upstream?: ForwardUpstream
}

/** Pods are addressed by name only: that it is the same one behind it shows that it was all along. */
async function dial(
  deps: ForwardDeps,
  { admission, identity, marked }: OpenedSession,
  signal: AbortSignal,
): Promise<ForwardClientSession> {
  const { namespace, pod, podUID } = admission.facts
  const lane = await deps.forwardDialer.dial({ namespace, pod }, marked, signal)
  try {
    const { metadata } = await readPod(deps.client, identity, namespace, pod)
    if (metadata.uid !== podUID) throw podChanged(pod)
    return lane
  } catch (error) {
    lane.abort('the pod is not the one that was decided on')
    throw error
  }
}

async function dialFirst(
  deps: ForwardDeps,
  { socket }: UpgradeRequest,
  session: OpenedSession,
): Promise<ForwardClientSession> {
  const gone = new AbortController()
  const onGone = (): void => gone.abort()
  socket.once('close', onGone)
  try {
    return await dial(deps, session, AbortSignal.any([gone.signal, deps.stop]))
  } finally {
    socket.off('close', onGone)
  }
}

/** Everything that ends a port-forward beside its two legs; undone by the answer. */
function watchEnds(deps: ForwardDeps, session: OpenedSession, forward: RunningForward): () => void {
  const { facts } = session.admission
  const watch = watchPod({
    client: deps.client,
    facts,
    onGone: (why) => forward.fail(podGone(facts.pod, why), 'UpstreamLost'),
    onError: (message) => deps.log.warn({ session: session.id, reason: message }, 'watching a pod'),
  })
  const limit = limitSession({
    session: session.id,
    expiresInMs: session.expiresInMs,
    stop: deps.stop,
  })
  const onLimit = (): void => {
    const error = asGatewayError(limit.signal.reason)
    forward.fail(error, outcomeOf(error))
  }
  limit.signal.addEventListener('abort', onLimit, { once: true })
  if (limit.signal.aborted) onLimit()
  return () => {
    watch.close()
    limit.lift()
  }
}

async function run(
  deps: ForwardDeps,
  upgrade: UpgradeRequest,
  negotiation: AcceptedForward,
  legs: Legs,
  session: OpenedSession,
): Promise<SessionEnd> {
  const first = await dialFirst(deps, upgrade, session)
  legs.upstream = first
  const { request, socket, head, query } = upgrade
  const client = await acceptForward(request, socket, head, negotiation, {
    query,
    limits: deps.limits,
  })
  legs.client = client
  const upstream = createForwardLanes({ first, dial: (signal) => dial(deps, session, signal) })
  legs.upstream = upstream
  const gate = createPortGate({
    deps,
    session,
    approve: (port, decision) => approvePort(deps, session, port, decision),
  })
  const forward = createForward({ client, upstream, session, gate })
  session.running()
  session.bind(forward.hooks)
  const unwatch = watchEnds(deps, session, forward)
  try {
    const end = await forward.run()
    deps.metrics.streamBytes.inc({ channel: 'stdin' }, end.bytes.stdin)
    deps.metrics.streamBytes.inc({ channel: 'stdout' }, end.bytes.stdout)
    return end
  } finally {
    unwatch()
  }
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveForward(
  deps: ForwardDeps,
  upgrade: UpgradeRequest,
  target: ForwardTarget,
): Promise<void> {
  const { request, socket, user } = upgrade
  const negotiation = negotiateForward(request)
  if (negotiation.kind === 'refused') {
    const lines = negotiation.headers.map(([name, value]) => `${name}: ${value}`)
    refuseUpgrade(socket, negotiation.error.toStatus(), lines)
    return
  }
  const legs: Legs = {}
  const { namespace, pod } = target
  await conductSession(
    deps,
    {
      user,
      access: forwardAccess({ namespace, pod }),
      client: clientOf(request),
      protocol: `${negotiation.kind} ${negotiation.protocol}`,
    },
    {
      run: (session) => run(deps, upgrade, negotiation, legs, session),
      async refuse(status) {
        legs.upstream?.abort('the session was not opened')
        if (legs.client === undefined) refuseUpgrade(socket, status)
        else await legs.client.finish()
      },
    },
  )
}
