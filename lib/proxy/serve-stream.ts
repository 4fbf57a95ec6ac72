/**
 * Exec and attach: what runs in a container or joins what runs there, on either wire.
 *
 *   negotiate -> (conduct-session.ts) -> dial the pod -> accept the client -> join
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { recogniseCopy, type CopyCommand } from '../copy/recognise-copy.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { User } from '../identity/user.ts'
import type { ExecDialer } from '../kube/dial-exec.ts'
import { containerFacts, isSameContainer, readPod } from '../kube/pod.ts'
import { createMasker, type CompiledMaskRules, type Masker } from '../masking/masker.ts'
import { eventEntry } from '../recording/event.ts'
import type { SessionEnd } from '../recording/session-document.ts'
import { encodeStatus } from '../streams/exit-status.ts'
import type { StreamSession } from '../streams/session.ts'
import type { StreamLimits } from '../streams/stream-limits.ts'
import { negotiate } from '../streams/subprotocol.ts'
import { acceptClient, type AcceptedNegotiation } from './accept-client.ts'
import { containerAccess, type Access, type ContainerAccess } from './access.ts'
import type { AllowingDecision } from './admit.ts'
import { conductSession, type OpenedSession, type SessionDeps } from './conduct-session.ts'
import { examineCopy, openTarFilter, type TarFilter } from './copy/tar-filter.ts'
import { attachAccess } from './debug/attach-access.ts'
import { podChanged } from './messages.ts'
import { refuseUpgrade } from './respond.ts'
import type { InputFilter, OutputFilter } from './pump.ts'
import { createRunningSession, type RunningSession } from './run-session.ts'
import { parseStreamOptions, type StreamOptions } from './stream-options.ts'
import { openWaitingRoom, type WaitingRoom } from './waiting-room.ts'

export interface StreamDeps extends SessionDeps {
  dialer: ExecDialer
  limits: StreamLimits
  maskRules(spec: AllowingDecision['obligations']['masking']): CompiledMaskRules
}

/** An upgrade request of somebody who is known. */
export interface UpgradeRequest {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
  user: User
  query: string
}

export interface StreamTarget {
  operation: 'Exec' | 'Attach'
  namespace: string
  pod: string
}

/** What bytes go through on their way. */
interface Filters {
  stdout: OutputFilter
  stderr: OutputFilter
  stdin?: InputFilter
  /** Entries of an archive so far; undefined where there is none. */
  files?(): number
}

/** The client's leg, once it is there. */
interface Legs {
  client?: StreamSession
  room?: WaitingRoom
  upstream?: StreamSession
}

interface Stream extends UpgradeRequest {
  subresource: 'exec' | 'attach'
  options: StreamOptions
  /** What kubectl cp runs, where this is it. */
  copy: CopyCommand | undefined
  negotiation: AcceptedNegotiation
  legs: Legs
}

/** For the record: who the client said it is, and from where. */
export function clientOf(request: IncomingMessage): { address: string; userAgent: string } {
  return {
    address: request.socket.remoteAddress ?? '',
    userAgent: request.headers['user-agent'] ?? '',
  }
}

async function accept({ limits }: StreamDeps, stream: Stream): Promise<StreamSession> {
  const { request, socket, head, negotiation, options, legs } = stream
  legs.client = await acceptClient(request, socket, head, negotiation, options, limits)
  return legs.client
}

async function openRoom(deps: StreamDeps, stream: Stream): Promise<WaitingRoom> {
  stream.legs.room = openWaitingRoom(await accept(deps, stream))
  return stream.legs.room
}

async function dial(
  deps: StreamDeps,
  stream: Stream,
  { admission, marked }: OpenedSession,
): Promise<StreamSession> {
  const { namespace, pod, container } = admission.facts
  const { command, stdin, stdout, stderr, tty } = stream.options
  const gone = new AbortController()
  const onGone = (): void => gone.abort()
  stream.socket.once('close', onGone)
  try {
    return await deps.dialer.dial(
      {
        namespace,
        pod,
        subresource: stream.subresource,
        container,
        command,
        stdin,
        stdout,
        stderr,
        tty,
      },
      marked,
      AbortSignal.any([gone.signal, deps.stop]),
    )
  } finally {
    stream.socket.off('close', onGone)
  }
}

/** Exec addresses a pod by name only; reading it again after the upgrade shows a swap in between. */
async function assertSamePod(
  deps: StreamDeps,
  { identity, admission: { facts } }: OpenedSession,
): Promise<void> {
  const pod = await readPod(deps.client, identity, facts.namespace, facts.pod)
  if (!isSameContainer(facts, containerFacts(pod, facts.container))) throw podChanged(facts.pod)
}

/** Both at once; neither is left running when the other fails. */
async function acceptAndCheck(
  deps: StreamDeps,
  stream: Stream,
  session: OpenedSession,
): Promise<StreamSession> {
  const [accepted, checked] = await Promise.allSettled([
    stream.legs.client ?? accept(deps, stream),
    assertSamePod(deps, session),
  ])
  if (checked.status === 'rejected') throw checked.reason
  if (accepted.status === 'rejected') throw accepted.reason
  return accepted.value
}

function openFilters(
  deps: StreamDeps,
  { copy }: Stream,
  opened: OpenedSession,
  refuse: (error: GatewayError) => void,
): Filters {
  const { operation, decision } = opened.admission
  const rules = deps.maskRules(decision.obligations.masking)
  const masker = (): Masker => createMasker(rules, { inPlace: true })
  const stderr = masker()
  if (copy === undefined || copy.kind === 'Probe' || operation !== 'Copy') {
    return { stdout: masker(), stderr }
  }
  const archive = openTarFilter({
    command: copy,
    rules: decision.obligations.copy,
    createMasker: masker,
    tell: (event) => opened.recording.append(eventEntry(event, opened.elapsedMs())),
    refuse,
  })
  const files = (): number => archive.files
  return copy.kind === 'Download'
    ? { stdout: asOutput(archive), stderr, files }
    : { stdout: masker(), stderr, stdin: archive, files }
}

/** An archive is cut nowhere but where it says: quiet lets nothing of it go. */
function asOutput(archive: TarFilter): OutputFilter {
  return {
    push: (data) => archive.push(data),
    flush: () => [],
    end: () => archive.end(),
    heldBytes: 0,
    counts: archive.counts,
  }
}

async function run(deps: StreamDeps, stream: Stream, opened: OpenedSession): Promise<SessionEnd> {
  const { legs } = stream
  let session: RunningSession | undefined
  const filters = openFilters(deps, stream, opened, (error) => session?.pump.fail(error))
  const upstream = await dial(deps, stream, opened)
  legs.upstream = upstream
  const client = await acceptAndCheck(deps, stream, opened)
  const { pump, run: join } = (session = createRunningSession({
    client,
    upstream,
    recording: opened.recording,
    maskers: { stdout: filters.stdout, stderr: filters.stderr },
    stdin: filters.stdin,
    elapsedMs: () => opened.elapsedMs(),
    expiresInMs: opened.expiresInMs,
    stop: deps.stop,
    metrics: deps.metrics,
  }))
  opened.running()
  if (legs.room === undefined) client.start(pump.clientHandlers)
  else legs.room.enter(pump.clientHandlers)
  opened.bind({
    onRelease: (entries) => pump.release(entries),
    onFailure: (error: GatewayError) => pump.fail(error),
  })
  const end = await join()
  return filters.files === undefined ? end : { ...end, files: filters.files() }
}

function copyAccess(command: CopyCommand): Pick<Access, 'operation' | 'isProbe' | 'examine'> {
  return {
    operation: 'Copy',
    isProbe: command.kind === 'Probe',
    examine: ({ copy }) => examineCopy(command, copy),
  }
}

const SILENT = {
  onData: (): void => undefined,
  onEnd: (): void => undefined,
  onDrain: (): void => undefined,
  onClose: (): void => undefined,
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveStream(
  deps: StreamDeps,
  upgrade: UpgradeRequest,
  target: StreamTarget,
): Promise<void> {
  const { request, socket, user } = upgrade
  const negotiation = negotiate(request)
  if (negotiation.kind === 'refused') {
    const lines = negotiation.headers.map(([name, value]) => `${name}: ${value}`)
    refuseUpgrade(socket, negotiation.error.toStatus(), lines)
    return
  }
  const options = parseStreamOptions(target.operation, upgrade.query)
  const copy = target.operation === 'Exec' ? recogniseCopy(options.command, options) : undefined
  const subresource = target.operation === 'Exec' ? 'exec' : 'attach'
  const legs: Legs = {}
  const stream: Stream = { ...upgrade, subresource, options, copy, negotiation, legs }
  const { container, command, tty, stdin } = options
  const wanted: ContainerAccess = {
    ...target,
    ...(copy === undefined ? {} : copyAccess(copy)),
    container,
    command,
    tty,
    stdin,
  }
  const asked =
    subresource === 'exec'
      ? { access: containerAccess(subresource, wanted) }
      : await attachAccess(deps, user, wanted)
  await conductSession(
    deps,
    {
      user,
      ...asked,
      client: clientOf(request),
      protocol: `${negotiation.kind} ${negotiation.protocol}`,
      openRoom: () => openRoom(deps, stream),
    },
    {
      run: (opened) => run(deps, stream, opened),
      async refuse(status) {
        legs.upstream?.abort('the session was not opened')
        if (legs.client === undefined) refuseUpgrade(socket, status)
        else {
          if (legs.room === undefined) legs.client.start(SILENT)
          await legs.client.finish(encodeStatus(status))
        }
      },
    },
  )
}
