/**
 * `kubectl approve`: what was typed, and what is done about it.
 */
import type { ApprovalRequest } from '../../api/approval-request.generated.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { parseFlags, usageError, type ParsedFlags } from '../args.ts'
import { ExitCode } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import {
  colour,
  formatDocument,
  OUTPUT_FORMATS,
  parseOutputFormat,
  writeOut,
  type OutputFormat,
} from '../output.ts'
import { runCommand, withConnection, type Connection } from '../run-command.ts'
import { worstOf } from '../worst-of.ts'
import { awaitConclusion } from './conclusion.ts'
import { decide, needsOthers, type Verdict } from './decide.ts'
import { findRequest, parseRequestName, whoAmI } from './find.ts'
import { APPROVE_USAGE } from './help.ts'
import { runList } from './list.ts'
import { describeRequest } from './show.ts'
import { finalCondition, openDemandsOf, type Person } from './state.ts'
import { demandsText, resourceName, settledText, validUntil, whatIsAsked } from './wording.ts'

const COMMAND = 'kubectl approve'
/** As the schema of the request has it. */
const MAX_REASON = 1024

type Parsed =
  | { kind: 'help' }
  | { kind: 'list'; flags: ParsedFlags; format: OutputFormat }
  | { kind: 'show'; flags: ParsedFlags; format: OutputFormat; names: string[] }
  | { kind: 'decide'; flags: ParsedFlags; format: OutputFormat; names: string[]; verdict: Verdict }

export function runApprove(args: readonly string[], io: CliIo): Promise<number> {
  return runCommand(io, async () => {
    const parsed = parseApprove(args)
    if (parsed.kind === 'help') {
      await writeOut(io.stdout, APPROVE_USAGE)
      return ExitCode.Done
    }
    return withConnection(parsed.flags.connection, io, (connection) => {
      switch (parsed.kind) {
        case 'list':
          return runList(connection, io, {
            allNamespaces: parsed.flags.has('all-namespaces'),
            watch: parsed.flags.has('watch'),
            format: parsed.format,
          })
        case 'show':
          return runShow(connection, io, parsed.names, parsed.format)
        default:
          return runDecide(connection, io, parsed)
      }
    })
  })
}

export function parseApprove(args: readonly string[]): Parsed {
  const flags = parseFlags(COMMAND, args, {
    'all-namespaces': { type: 'boolean', short: 'A' },
    output: { type: 'string', short: 'o' },
    reason: { type: 'string' },
    watch: { type: 'boolean', short: 'w' },
  })
  const [first, ...others] = flags.positionals
  if (flags.has('help') || first === 'help') return { kind: 'help' }
  const format = parseOutputFormat(flags.text('output'), OUTPUT_FORMATS)
  const reason = flags.text('reason')
  if (flags.has('all-namespaces') && flags.connection.namespace !== undefined) {
    throw usageError(COMMAND, '-n and -A exclude each other')
  }
  if (first === undefined) {
    if (reason !== undefined) throw usageError(COMMAND, '--reason needs the name of a request')
    return { kind: 'list', flags, format }
  }
  if (flags.has('watch') || flags.has('all-namespaces')) {
    throw usageError(COMMAND, '-w and -A are for the list, without a name')
  }
  const verb = first === 'deny' || first === 'show' ? first : 'approve'
  const names = (verb === 'approve' ? flags.positionals : others).map(parseRequestName)
  if (names.length === 0) throw usageError(COMMAND, `${verb} needs the name of a request`)
  if (verb === 'show') {
    if (reason !== undefined) throw usageError(COMMAND, 'show takes no --reason')
    return { kind: 'show', flags, format, names }
  }
  if (reason !== undefined && Array.from(reason).length > MAX_REASON) {
    throw usageError(COMMAND, `--reason is longer than ${MAX_REASON} characters`)
  }
  if (verb === 'deny' && reason === undefined) {
    throw usageError(COMMAND, 'deny needs --reason, which is shown to the person who asks')
  }
  return { kind: 'decide', flags, format, names, verdict: verb === 'deny' ? 'Deny' : 'Approve' }
}

async function runShow(
  connection: Connection,
  io: CliIo,
  names: readonly string[],
  format: OutputFormat,
): Promise<ExitCode> {
  const person = await whoAmI(connection.client)
  return forEachName(io, names, format, async (name, index) => {
    const request = await findRequest(connection, name)
    if (format === 'text' || format === 'wide') {
      const gap = index === 0 ? '' : '\n'
      await writeOut(io.stdout, gap + describeRequest(request, person, io.now()))
    }
    return { request, exitCode: ExitCode.Done }
  })
}

async function runDecide(
  connection: Connection,
  io: CliIo,
  { flags, format, names, verdict }: Extract<Parsed, { kind: 'decide' }>,
): Promise<ExitCode> {
  const person = await whoAmI(connection.client)
  return forEachName(io, names, format, async (name) => {
    const found = await findRequest(connection, name)
    const decided = await decide(
      connection.client,
      io,
      found,
      person,
      verdict,
      flags.text('reason'),
    )
    const request =
      decided.unchanged || needsOthers(decided.request)
        ? decided.request
        : await awaitConclusion(connection.client, io, decided.request)
    const outcome = tellOutcome(io, request, verdict, person, decided.unchanged)
    if (format === 'text' || format === 'wide') await writeOut(io.stdout, outcome.text)
    else if (outcome.exitCode === ExitCode.Timeout) io.stderr.write(outcome.text)
    return { request, exitCode: outcome.exitCode }
  })
}

/** What the server holds now, which may be another's decision that came first. */
function tellOutcome(
  io: CliIo,
  request: ApprovalRequest,
  verdict: Verdict,
  person: Person,
  unchanged: boolean,
): { text: string; exitCode: ExitCode } {
  const name = resourceName(request)
  const condition = finalCondition(request)
  const wanted = verdict === 'Approve' ? 'Approved' : 'Denied'
  if (condition?.type === wanted) {
    const word = colour(
      io,
      io.stdout,
      verdict === 'Approve' ? 'green' : 'red',
      wanted.toLowerCase(),
    )
    const already = unchanged ? ' already' : ''
    const until = validUntil(request, io.now())
    const user = escapeText(request.spec.requester.username)
    const grant =
      verdict === 'Approve' && until !== undefined
        ? `${user} may ${whatIsAsked(request)} until ${until}\n`
        : ''
    return { text: `${name}${already} ${word}\n${grant}`, exitCode: ExitCode.Done }
  }
  if (condition !== undefined) {
    return { text: `${name} is ${settledText(request)}\n`, exitCode: ExitCode.Error }
  }
  const done = verdict === 'Approve' ? 'approved' : 'denied'
  if (needsOthers(request)) {
    const missing = demandsText(openDemandsOf(request))
    return {
      text: `${name} ${done} by ${escapeText(person.username)}; it needs one more approval: ${missing}\n`,
      exitCode: ExitCode.Done,
    }
  }
  return {
    text: `${name} ${done} by ${escapeText(person.username)}, but the gateway has not acted on it yet; see: kubectl approve show ${escapeText(request.metadata.name)}\n`,
    exitCode: ExitCode.Timeout,
  }
}

/** Every name gets its turn, as with kubectl; documents are printed together at the end. */
async function forEachName(
  io: CliIo,
  names: readonly string[],
  format: OutputFormat,
  act: (name: string, index: number) => Promise<{ request: ApprovalRequest; exitCode: ExitCode }>,
): Promise<ExitCode> {
  const exitCodes: ExitCode[] = []
  const requests: ApprovalRequest[] = []
  for (const [index, name] of names.entries()) {
    const exitCode = await runCommand(io, async () => {
      const { request, exitCode: own } = await act(name, index)
      requests.push(request)
      return own
    })
    exitCodes.push(exitCode)
    // Nobody answers there: the other names would only fail the same way.
    if (exitCode === ExitCode.Unreachable) break
  }
  if (format === 'name') {
    await writeOut(io.stdout, requests.map((request) => `${resourceName(request)}\n`).join(''))
  } else if ((format === 'json' || format === 'yaml') && requests.length > 0) {
    const [only] = requests
    const document =
      names.length === 1 ? only : { apiVersion: 'v1', kind: 'List', metadata: {}, items: requests }
    await writeOut(io.stdout, await formatDocument(document, format))
  }
  return worstOf(exitCodes)
}
