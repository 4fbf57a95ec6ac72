/**
 * Sessions in words: rows of a table, and one in full.
 */
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { bytesText } from '../byte-count.ts'
import { commandLine } from '../command-line.ts'
import { humanDuration } from '../duration.ts'
import { formatFields, formatTable, truncate } from '../table.ts'
import type { Session } from './session.ts'

/** Keeps a row near the 80 columns of a terminal. */
const COMMAND_WIDTH = 24

export function formatSessions(sessions: readonly Session[], wide: boolean, now: number): string {
  const headers = ['ID', 'USER', 'NAMESPACE', 'POD', 'COMMAND', 'STATE', 'AGE']
  if (wide) headers.push('DURATION', 'CONTAINER', 'OUT', 'MASKED', 'APPROVED-BY', 'CLIENT')
  return formatTable(
    headers,
    sessions.map((session) => rowOf(session, wide, now)),
  )
}

function rowOf(session: Session, wide: boolean, now: number): string[] {
  const command = deedText(session)
  const cells = [
    escapeText(session.id),
    escapeText(session.username),
    escapeText(session.namespace),
    targetText(session),
    wide ? command : truncate(command, COMMAND_WIDTH),
    stateText(session),
    session.startedAt === undefined ? '<unknown>' : humanDuration(now - session.startedAt),
  ]
  if (!wide) return cells
  return [
    ...cells,
    durationText(session, now),
    escapeText(session.container),
    session.bytes === undefined
      ? '<unknown>'
      : bytesText(session.bytes.stdout + session.bytes.stderr),
    maskedText(session),
    escapeText((session.approval?.approvers ?? []).map(({ username }) => username).join(',')),
    escapeText(session.clientAddress ?? ''),
  ]
}

/** How the column of commands begins for what is no command; nothing for Exec. */
const DEEDS: Readonly<Record<string, string>> = {
  Attach: '(attach)',
  PortForward: '(port-forward)',
  Logs: 'logs',
  Copy: '(cp)',
  Debug: '(debug)',
  Proxy: '(proxy)',
  TokenRequest: '(create token)',
  Impersonate: '(impersonate)',
}

function deedText({ operation, command }: Session): string {
  const deed = operation === 'Exec' ? '' : (DEEDS[operation] ?? `(${escapeText(operation)})`)
  return [deed, commandLine(command)].filter((part) => part !== '').join(' ')
}

/** The pod, or what it was about instead, as kubectl writes it. */
function targetText({ pod, service, serviceAccount, node }: Session): string {
  if (pod !== '') return escapeText(pod)
  if (service !== undefined) return escapeText(`svc/${service}`)
  if (serviceAccount !== undefined) return escapeText(`sa/${serviceAccount}`)
  return node === undefined ? '' : escapeText(`node/${node}`)
}

/** `Running`, `Completed`, `Completed(3)`: the exit code where it says something. */
function stateText(session: Session): string {
  const state = escapeText(session.outcome ?? session.state)
  return session.exitCode === undefined || session.exitCode === 0
    ? state
    : `${state}(${session.exitCode})`
}

function durationText(session: Session, now: number): string {
  if (session.startedAt === undefined) return '<unknown>'
  return humanDuration((session.endedAt ?? now) - session.startedAt)
}

function allBytesText(bytes: Session['bytes']): string {
  if (bytes === undefined) return '<unknown>'
  const { stdin, stdout, stderr } = bytes
  return `in ${bytesText(stdin)}, out ${bytesText(stdout)}, err ${bytesText(stderr)}`
}

function maskedText(session: Session): string {
  const total = session.masked.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return '0'
  const parts = session.masked.map(([name, count]) => `${escapeText(name)} ${count}`)
  return `${total} (${parts.join(', ')})`
}

export function describeSession(session: Session, now: number): string {
  const fields: [string, string][] = [
    ['ID', escapeText(session.id)],
    ['User', escapeText(session.username)],
    ['Groups', escapeText(session.groups.join(', ')) || '<none>'],
    ['Operation', `${escapeText(session.operation)}${session.tty ? ' (terminal)' : ''}`],
    ...targetFields(session),
    ['Command', commandLine(session.command) || '<none>'],
    ['Client', escapeText(session.clientAddress ?? '<unknown>')],
    ['Policies', escapeText(session.policies.join(', ')) || '<none>'],
    ['Approval', approvalText(session)],
    ['Started', timeText(session.startedAt)],
    ['Ended', session.endedAt === undefined ? '<not yet>' : timeText(session.endedAt)],
    ['Duration', durationText(session, now)],
    ['State', stateText(session)],
  ]
  if (session.exitCode !== undefined) fields.push(['Exit code', String(session.exitCode)])
  if (session.message !== undefined) fields.push(['Message', escapeText(session.message)])
  if (session.created !== undefined) fields.push(['Created', escapeText(session.created)])
  if (session.connections !== undefined) {
    fields.push(['Connections', String(session.connections)])
  }
  if (session.files !== undefined) fields.push(['Files', String(session.files)])
  fields.push(
    ['Content', contentText(session)],
    ['Bytes', allBytesText(session.bytes)],
    ['Masked', maskedText(session)],
    ['Replay', `kubectl podgate replay ${escapeText(session.id)}`],
  )
  return formatFields(fields)
}

/** Of pods as ever; of other things what there is. */
function targetFields(session: Session): [string, string][] {
  const { namespace, pod, container, image, service, serviceAccount, node, port, parent } = session
  const given: [string, string | number | undefined][] = [
    ['Namespace', namespace],
    ['Pod', pod],
    ['Service', service],
    ['Account', serviceAccount],
    // Of a pod it is where it ran, and says nothing of what was done.
    ['Node', pod === '' ? node : undefined],
    ['Port', port],
    ['Container', container],
    ['Image', image === '' && container !== '' ? '<unknown>' : image],
    ['Opened by', parent === undefined ? undefined : `session ${parent}`],
  ]
  return given.flatMap(([name, value]): [string, string][] =>
    value === undefined || value === '' ? [] : [[name, escapeText(String(value))]],
  )
}

function contentText({ content }: Session): string {
  return content === 'Digest' ? 'not kept, only sizes and digests (SHA-256)' : 'kept in full'
}

function approvalText(session: Session): string {
  const { approval } = session
  if (approval === undefined) return '<none needed>'
  const by = approval.approvers.map(({ username, reason }) =>
    reason === undefined ? username : `${username}: "${reason}"`,
  )
  return escapeText(`${approval.name} (${by.join(', ')})`)
}

function timeText(ms: number | undefined): string {
  return ms === undefined ? '<unknown>' : new Date(ms).toISOString()
}
