/**
 * `kubectl podgate sessions` and `kubectl podgate replay`.
 */
import { errorText } from '../../errors/gateway-error.ts'
import { escapeText } from '../../streams/sanitize-terminal.ts'
import { parseFlags, usageError } from '../args.ts'
import { CliError, ExitCode } from '../cli-error.ts'
import { parseDuration } from '../duration.ts'
import type { CliIo } from '../io.ts'
import { readNdjson } from '../ndjson.ts'
import { formatDocument, parseOutputFormat, writeOut } from '../output.ts'
import { playTranscript, type PlayOptions } from '../replay/play.ts'
import { withConnection, type Connection } from '../run-command.ts'
import { getSession, listSessions, notAGateway, sessionPath, type Session } from './session.ts'
import { describeSession, formatSessions } from './wording.ts'

const SESSIONS_COMMAND = 'kubectl podgate sessions'
const REPLAY_COMMAND = 'kubectl podgate replay'
const DEFAULT_LIMIT = 50
const MAX_LIMIT = 500
const DEFAULT_IDLE_LIMIT_MS = 2000
const MAX_SPEED = 1000

/** Undefined: the person asked for help. */
export async function runSessions(
  args: readonly string[],
  io: CliIo,
): Promise<ExitCode | undefined> {
  const flags = parseFlags(SESSIONS_COMMAND, args, {
    output: { type: 'string', short: 'o' },
    user: { type: 'string' },
    pod: { type: 'string' },
    limit: { type: 'string' },
  })
  const [verb, ...ids] = flags.positionals
  if (flags.has('help')) return undefined
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml', 'wide'])
  if (verb === undefined) {
    const filter = {
      user: flags.text('user'),
      pod: flags.text('pod'),
      namespace: flags.connection.namespace,
      limit: parseLimit(flags.text('limit')),
    }
    return withConnection(flags.connection, io, async ({ client }) => {
      const { sessions, hasMore, document } = await listSessions(client, filter)
      if (format === 'json' || format === 'yaml') {
        await writeOut(io.stdout, await formatDocument(document, format))
      } else if (sessions.length === 0) io.stderr.write('No sessions found.\n')
      else {
        await writeOut(io.stdout, formatSessions(sessions, format === 'wide', io.now()))
        if (hasMore) io.stderr.write(`There are more; --limit shows up to ${MAX_LIMIT}.\n`)
      }
      return ExitCode.Done
    })
  }
  if (verb !== 'show') throw usageError(SESSIONS_COMMAND, `unknown word "${escapeText(verb)}"`)
  const [id] = ids
  if (id === undefined || ids.length > 1) {
    throw usageError(SESSIONS_COMMAND, 'show needs the id of one session')
  }
  return withConnection(flags.connection, io, async ({ client }) => {
    const session = await getSession(client, id)
    const isDocument = format === 'json' || format === 'yaml'
    await writeOut(
      io.stdout,
      isDocument
        ? await formatDocument(session.document, format)
        : describeSession(session, io.now()),
    )
    return ExitCode.Done
  })
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw usageError(SESSIONS_COMMAND, `--limit must be between 1 and ${MAX_LIMIT}`)
  }
  return limit
}

/** Undefined: the person asked for help. */
export async function runReplay(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags(REPLAY_COMMAND, args, {
    speed: { type: 'string' },
    'idle-limit': { type: 'string' },
    'no-timing': { type: 'boolean' },
    raw: { type: 'boolean' },
  })
  if (flags.has('help')) return undefined
  const [id] = flags.positionals
  if (id === undefined || flags.positionals.length > 1) {
    throw usageError(REPLAY_COMMAND, 'replay needs the id of one session')
  }
  const options: PlayOptions = {
    speed: flags.has('no-timing') ? 0 : parseSpeed(flags.text('speed')),
    idleLimitMs: parseIdleLimit(flags.text('idle-limit')),
    raw: flags.has('raw'),
  }
  return withConnection(flags.connection, io, (connection) => replay(connection, io, id, options))
}

async function replay(
  { client }: Connection,
  io: CliIo,
  id: string,
  options: PlayOptions,
): Promise<ExitCode> {
  const path = sessionPath(id, '/frames')
  const end = new AbortController()
  const unregister = io.onInterrupt(() => {
    // A second Ctrl-C ends the process even if the terminal takes no more.
    unregister()
    end.abort()
  })
  try {
    const response = await client.open({ path, signal: end.signal })
    await playTranscript(readNdjson(response), io, options, end.signal)
  } catch (error) {
    if (end.signal.aborted) return ExitCode.Interrupted
    if (CliError.is(error)) throw notAGateway(client, error)
    throw new CliError(ExitCode.Error, `the transcript broke off: ${errorText(error)}`)
  } finally {
    unregister()
  }
  if (end.signal.aborted) return ExitCode.Interrupted
  noteState(await getSession(client, id), io)
  return ExitCode.Done
}

/** A transcript without an end must not look like one with an end. */
function noteState(session: Session, io: CliIo): void {
  if (session.endedAt === undefined) {
    io.stderr.write('The session still runs; this is what was recorded so far.\n')
  } else if (session.outcome !== undefined && session.outcome !== 'Completed') {
    const message = session.message === undefined ? '' : `: ${session.message}`
    io.stderr.write(`${escapeText(`The session ended as ${session.outcome}${message}`)}\n`)
  }
}

function parseSpeed(text: string | undefined): number {
  if (text === undefined) return 1
  const speed = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(speed) || speed > MAX_SPEED) {
    throw usageError(REPLAY_COMMAND, `--speed must be a number from 0 (at once) to ${MAX_SPEED}`)
  }
  return speed
}

function parseIdleLimit(text: string | undefined): number | undefined {
  if (text === undefined) return DEFAULT_IDLE_LIMIT_MS
  const ms = parseDuration(text)
  if (ms === undefined) {
    throw usageError(REPLAY_COMMAND, '--idle-limit must be a duration such as 2s, 500ms or 1m30s')
  }
  return ms === 0 ? undefined : ms
}
