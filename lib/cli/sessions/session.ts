/**
 * Sessions as the gateway's REST API tells them.
 */
import { CliError, ExitCode, statusCodeOf } from '../cli-error.ts'
import { isObject, listAt, numberAt, textAt, textsAt, timeAt, valueAt } from '../json-value.ts'
import type { KubeClient, KubeRequest } from '../kube-request.ts'

const SESSIONS = '/podgate/v1alpha1/sessions'
/** As the gateway makes them. */
const SESSION_ID = /^[a-z0-9][a-z0-9-]{0,62}$/

/** What a row or a description shows; `document` is the answer as it came. */
export interface Session {
  id: string
  username: string
  groups: string[]
  operation: string
  namespace: string
  /** Empty, like the container, where the operation was about something else. */
  pod: string
  service: string | undefined
  serviceAccount: string | undefined
  node: string | undefined
  port: number | undefined
  container: string
  image: string
  command: string[]
  tty: boolean
  /** `Digest`: the bytes were not kept. */
  content: string
  /** The session by whose decision this one was opened. */
  parent: string | undefined
  startedAt: number | undefined
  endedAt: number | undefined
  state: string
  outcome: string | undefined
  exitCode: number | undefined
  message: string | undefined
  /** Unknown where the gateway did not live to count. */
  bytes: { stdin: number; stdout: number; stderr: number } | undefined
  masked: [string, number][]
  connections: number | undefined
  files: number | undefined
  /** The pod, or pod and container, that a debug session made. */
  created: string | undefined
  policies: string[]
  approval:
    { name: string; approvers: { username: string; reason: string | undefined }[] } | undefined
  clientAddress: string | undefined
  document: unknown
}

export interface SessionFilter {
  user?: string | undefined
  namespace?: string | undefined
  pod?: string | undefined
  limit: number
}

export function sessionPath(id: string, tail = ''): string {
  const clean = id.startsWith('session/') ? id.slice('session/'.length) : id
  if (!SESSION_ID.test(clean)) throw new CliError(ExitCode.Usage, `"${id}" is not a session's id`)
  return `${SESSIONS}/${clean}${tail}`
}

export interface SessionList {
  /** The latest first. */
  sessions: Session[]
  /** True where the limit cut the list. */
  hasMore: boolean
  document: unknown
}

export async function listSessions(
  client: KubeClient,
  filter: SessionFilter,
): Promise<SessionList> {
  const document = await askGateway(client, { path: SESSIONS, query: { ...filter } })
  return {
    sessions: listAt(document, 'items').map(parseSession),
    hasMore: textAt(document, 'metadata', 'continue') !== undefined,
    document,
  }
}

export async function getSession(client: KubeClient, id: string): Promise<Session> {
  return parseSession(await askGateway(client, { path: sessionPath(id) }))
}

async function askGateway(client: KubeClient, request: KubeRequest): Promise<unknown> {
  try {
    return await client.json(request)
  } catch (error) {
    throw notAGateway(client, error)
  }
}

/** An API server has no such path: then the kubeconfig goes past the gateway. */
export function notAGateway(client: KubeClient, error: unknown): unknown {
  const isForeign =
    CliError.is(error) &&
    ((statusCodeOf(error) === 404 && !/session/i.test(error.message)) ||
      (statusCodeOf(error) === 403 && /cannot get path "\/podgate\//.test(error.message)))
  return isForeign
    ? new CliError(
        ExitCode.Error,
        `${client.server} is not a Podgate gateway; sessions need the gateway's kubeconfig (--kubeconfig or --context)`,
      )
    : error
}

function parseSession(document: unknown): Session {
  const id = textAt(document, 'id')
  if (id === undefined) {
    throw new CliError(ExitCode.Error, 'the gateway answered something that is no session')
  }
  const approvalName = textAt(document, 'approval', 'name')
  return {
    id,
    username: textAt(document, 'user', 'username') ?? '',
    groups: textsAt(document, 'user', 'groups'),
    operation: textAt(document, 'operation') ?? '',
    namespace: textAt(document, 'target', 'namespace') ?? '',
    pod: textAt(document, 'target', 'pod') ?? '',
    service: textAt(document, 'target', 'service'),
    serviceAccount: textAt(document, 'target', 'serviceAccount'),
    node: textAt(document, 'target', 'node'),
    port: numberAt(document, 'target', 'port'),
    container: textAt(document, 'target', 'container') ?? '',
    image: textAt(document, 'target', 'image') ?? '',
    command: textsAt(document, 'command'),
    tty: valueAt(document, 'tty') === true,
    content: textAt(document, 'content') ?? 'Full',
    parent: textAt(document, 'parent'),
    startedAt: timeAt(document, 'startedAt'),
    endedAt: timeAt(document, 'endedAt'),
    state: textAt(document, 'state') ?? '',
    outcome: textAt(document, 'outcome'),
    exitCode: numberAt(document, 'exitCode'),
    message: textAt(document, 'message'),
    bytes: bytesOf(valueAt(document, 'bytes')),
    masked: maskedOf(valueAt(document, 'masked')),
    connections: numberAt(document, 'connections'),
    files: numberAt(document, 'files'),
    created: createdOf(document),
    policies: listAt(document, 'policies').flatMap((policy) => textAt(policy, 'name') ?? []),
    approval:
      approvalName === undefined
        ? undefined
        : {
            name: approvalName,
            approvers: listAt(document, 'approval', 'approvers').map((approver) => ({
              username: textAt(approver, 'username') ?? '',
              reason: textAt(approver, 'reason'),
            })),
          },
    clientAddress: textAt(document, 'client', 'address'),
    document,
  }
}

function bytesOf(bytes: unknown): Session['bytes'] {
  const stdin = numberAt(bytes, 'stdin')
  const stdout = numberAt(bytes, 'stdout')
  const stderr = numberAt(bytes, 'stderr')
  return stdin === undefined || stdout === undefined || stderr === undefined
    ? undefined
    : { stdin, stdout, stderr }
}

function createdOf(document: unknown): string | undefined {
  const pod = textAt(document, 'created', 'pod')
  const container = textAt(document, 'created', 'container')
  if (pod === undefined) return undefined
  return container === undefined ? `pod ${pod}` : `container ${container} of pod ${pod}`
}

function maskedOf(masked: unknown): [string, number][] {
  if (!isObject(masked)) return []
  return Object.keys(masked).flatMap((name): [string, number][] => {
    const count = numberAt(masked, name)
    return count === undefined ? [] : [[name, count]]
  })
}
