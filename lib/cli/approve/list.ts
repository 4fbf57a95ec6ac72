/**
 * `kubectl approve`: the requests that wait for this person, and with `-w` those that come.
 */
import type { ApprovalRequest } from '../../api/approval-request.generated.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { CliError, ExitCode, statusCodeOf } from '../cli-error.ts'
import { commandLine } from '../command-line.ts'
import { humanDuration } from '../duration.ts'
import type { CliIo } from '../io.ts'
import { textAt } from '../json-value.ts'
import { formatDocument, writeOut, type OutputFormat } from '../output.ts'
import { printError, type Connection } from '../run-command.ts'
import { formatTable, truncate } from '../table.ts'
import { watchEvents } from '../watch.ts'
import { listRequests, requestPath, whoAmI, type RequestList } from './find.ts'
import { demandsOf, isApprovalRequest, namespaceOf, standingOf, type Person } from './state.ts'
import { demandsText, portsText, resourceName } from './wording.ts'

/** Keeps a row near the 80 columns of a terminal; `show` and `-o wide` have the whole command. */
const COMMAND_WIDTH = 24

const RECONNECT_MS = 1000

export interface ListOptions {
  allNamespaces: boolean
  watch: boolean
  format: OutputFormat
}

export async function runList(
  connection: Connection,
  io: CliIo,
  options: ListOptions,
): Promise<ExitCode> {
  const [person, list] = await Promise.all([
    whoAmI(connection.client),
    listRequests(connection, options.allNamespaces),
  ])
  const waiting = selectWaiting(list.requests, person, io.now())
  if (waiting.length === 0 && options.format !== 'json' && options.format !== 'yaml') {
    const where = list.scope === undefined ? '' : ` in namespace ${escapeText(list.scope)}`
    io.stderr.write(`No requests${where} wait for your decision.\n`)
  }
  if (options.watch) await watchWaiting(connection, io, options, person, list, waiting)
  else await writeOut(io.stdout, await formatList(waiting, options.format, io.now()))
  return ExitCode.Done
}

/** Those this person may decide now, the one that lapses first on top. */
export function selectWaiting(
  requests: readonly ApprovalRequest[],
  person: Person,
  now: number,
): ApprovalRequest[] {
  return requests
    .filter((request) => standingOf(request, person, now).kind === 'mayDecide')
    .toSorted((a, b) => Date.parse(a.spec.expiresAt) - Date.parse(b.spec.expiresAt))
}

async function formatList(
  requests: readonly ApprovalRequest[],
  format: OutputFormat,
  now: number,
): Promise<string> {
  if (format === 'name') return requests.map((request) => `${resourceName(request)}\n`).join('')
  if (format === 'json' || format === 'yaml') {
    return formatDocument({ apiVersion: 'v1', kind: 'List', metadata: {}, items: requests }, format)
  }
  return requests.length === 0 ? '' : formatRows(requests, format === 'wide', now)
}

/** One request of a watch: documents one by one, or a row below the headers of the first. */
async function formatNext(
  request: ApprovalRequest,
  format: OutputFormat,
  now: number,
  isFirst: boolean,
): Promise<string> {
  if (format === 'json') return formatDocument(request, format)
  if (format === 'yaml') return `---\n${await formatDocument(request, format)}`
  const text = await formatList([request], format, now)
  return isFirst || format === 'name' ? text : text.slice(text.indexOf('\n') + 1)
}

export function formatRows(
  requests: readonly ApprovalRequest[],
  wide: boolean,
  now: number,
): string {
  const headers = ['NAMESPACE', 'NAME', 'REQUESTER', 'POD', 'COMMAND', 'EXPIRES']
  if (wide) headers.push('AGE', 'CONTAINER', 'IMAGE', 'GROUPS', 'APPROVERS', 'POLICIES')
  return formatTable(
    headers,
    requests.map((request) => rowOf(request, wide, now)),
  )
}

/** What would run; in brackets, what is asked for where nothing does: `(port-forward port 80)`. */
function commandText(request: ApprovalRequest): string {
  const { operation, command = [], target, debug } = request.spec
  switch (operation) {
    case 'Exec':
    case 'Copy':
      return commandLine(command)
    case 'PortForward':
      return `(port-forward${portsText(request)})`
    case 'Logs':
      return command.length === 0 ? '(logs)' : `(logs) ${commandLine(command)}`
    case 'Debug':
      return escapeText(
        `(debug${debug?.privileged === true ? ', privileged' : ''}) ${debug?.image ?? ''}`,
      )
    case 'Proxy':
      return `(proxy${portsText(request)})`
    case 'TokenRequest':
      return escapeText(`(token of ${target.serviceAccount ?? ''})`)
    default:
      return escapeText(`(${operation.toLowerCase()})`)
  }
}

function placeText({ pod, service }: ApprovalRequest['spec']['target']): string {
  if (pod !== '') return pod
  return service === undefined ? '-' : `service/${service}`
}

function rowOf(request: ApprovalRequest, wide: boolean, now: number): string[] {
  const { metadata, spec } = request
  const command = commandText(request)
  const cells = [
    escapeText(namespaceOf(request)),
    escapeText(metadata.name),
    escapeText(spec.requester.username),
    escapeText(placeText(spec.target)),
    wide ? command : truncate(command, COMMAND_WIDTH),
    humanDuration(Date.parse(spec.expiresAt) - now),
  ]
  if (!wide) return cells
  const created = Date.parse(metadata.creationTimestamp ?? '')
  return [
    ...cells,
    Number.isNaN(created) ? '<unknown>' : humanDuration(now - created),
    escapeText(spec.target.container),
    escapeText(spec.target.image),
    escapeText(spec.requester.groups.join(',')),
    demandsText(demandsOf(request)),
    escapeText(spec.policies.map((policy) => policy.name).join(',')),
  ]
}

async function watchWaiting(
  connection: Connection,
  io: CliIo,
  options: ListOptions,
  person: Person,
  first: RequestList,
  waiting: readonly ApprovalRequest[],
): Promise<void> {
  const seen = new Set<string | undefined>()
  const end = new AbortController()
  const unregister = io.onInterrupt(() => end.abort())
  const offer = async (request: ApprovalRequest): Promise<void> => {
    const { uid } = request.metadata
    if (seen.has(uid) || standingOf(request, person, io.now()).kind !== 'mayDecide') return
    const isFirst = seen.size === 0
    seen.add(uid)
    await writeOut(io.stdout, await formatNext(request, options.format, io.now(), isFirst))
  }
  let { resourceVersion } = first
  let isTold = false
  try {
    for (const request of waiting) await offer(request)
    while (!end.signal.aborted) {
      try {
        resourceVersion = await watchOnce(
          connection,
          first.scope,
          resourceVersion,
          end.signal,
          offer,
        )
        if (resourceVersion === '') {
          // Too old to go on from: what came meanwhile is found by listing anew.
          const list = await listRequests(connection, options.allNamespaces)
          for (const request of list.requests) await offer(request)
          resourceVersion = list.resourceVersion
        }
        isTold = false
      } catch (error) {
        if (end.signal.aborted) break
        if (!isOutage(error)) throw error
        if (!isTold) {
          printError(io, error)
          io.stderr.write('Trying again until it is back; Ctrl-C ends this.\n')
          isTold = true
        }
      }
      await io.sleep(RECONNECT_MS, end.signal)
    }
  } finally {
    unregister()
  }
}

/** Someone on call leaves the list open all day, and gateways are rolled meanwhile. */
function isOutage(error: unknown): boolean {
  if (!CliError.is(error)) return false
  const code = error.status?.code ?? 0
  return error.exitCode === ExitCode.Unreachable || code >= 500 || code === 429
}

/** Gives the version to go on from; empty where only a new list helps. */
async function watchOnce(
  { client }: Connection,
  scope: string | undefined,
  from: string,
  signal: AbortSignal,
  offer: (request: ApprovalRequest) => Promise<void>,
): Promise<string> {
  let resourceVersion = from
  try {
    const events = watchEvents(client, requestPath(scope), { resourceVersion }, signal)
    for await (const { type, object } of events) {
      resourceVersion = textAt(object, 'metadata', 'resourceVersion') ?? resourceVersion
      if (type !== 'DELETED' && isApprovalRequest(object)) await offer(object)
    }
  } catch (error) {
    if (statusCodeOf(error) === 410) return ''
    throw error
  }
  return resourceVersion
}
