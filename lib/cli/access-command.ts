/** `kubectl podgate whoami`, `logins`, `revoke`, `restore` and `revocations`. */
import { clockTime } from '../errors/clock-time.ts'
import { escapeText } from '../streams/sanitize-terminal.ts'
import { parseFlags, usageError } from './args.ts'
import { CliError, ExitCode, statusCodeOf } from './cli-error.ts'
import type { CliIo } from './io.ts'
import { listAt, textAt, textsAt, timeAt, valueAt } from './json-value.ts'
import type { KubeClient } from './kube-request.ts'
import { formatDocument, parseOutputFormat, writeOut } from './output.ts'
import { withConnection } from './run-command.ts'
import { formatFields, formatTable } from './table.ts'

const BASE = '/podgate/v1alpha1'

function notAGateway(client: KubeClient, error: unknown): unknown {
  const code = statusCodeOf(error)
  if (code !== 404 || !CliError.is(error)) return error
  return new CliError(
    ExitCode.Error,
    `${client.server} does not serve this; is it the address of a Podgate gateway?`,
    { cause: error },
  )
}

async function ask(client: KubeClient, path: string, query = {}): Promise<unknown> {
  try {
    return await client.json({ path: `${BASE}/${path}`, query })
  } catch (error) {
    throw notAGateway(client, error)
  }
}

function clock(ms: number | undefined): string {
  return ms === undefined ? '<none>' : clockTime(ms)
}

const some = (text: string | undefined): string => escapeText(text ?? '<none>')

function describeMe(document: unknown): string {
  const rows: [string, string][] = [
    ['Username', some(textAt(document, 'username'))],
    ['Groups', textsAt(document, 'groups').map(escapeText).join(', ') || '<none>'],
    ['UID', some(textAt(document, 'uid'))],
    ['Issuer', some(textAt(document, 'issuer'))],
    ['Signed in by', some(textAt(document, 'credential', 'kind'))],
    ['Token', some(textAt(document, 'credential', 'id'))],
    ['Sign-in', some(textAt(document, 'credential', 'login'))],
    ['Token ends', clock(timeAt(document, 'expiresAt'))],
    ['Proved who', clock(timeAt(document, 'signIn', 'at'))],
    [
      'ACR, AMR',
      [textAt(document, 'signIn', 'acr') ?? '<none>', ...textsAt(document, 'signIn', 'amr')]
        .map(escapeText)
        .join(', '),
    ],
  ]
  return formatFields(rows)
}

async function show(
  io: CliIo,
  format: 'json' | 'yaml' | 'text',
  document: unknown,
  words: () => string,
): Promise<ExitCode> {
  await writeOut(io.stdout, format === 'text' ? words() : await formatDocument(document, format))
  return ExitCode.Done
}

/** Undefined: the person asked for help. */
export async function runWhoami(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags('kubectl podgate whoami', args, {
    output: { type: 'string', short: 'o' },
  })
  if (flags.has('help')) return undefined
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml'])
  return await withConnection(flags.connection, io, async ({ client }) => {
    const document = await ask(client, 'whoami')
    return await show(io, format, document, () => describeMe(document))
  })
}

/** Undefined: the person asked for help. */
export async function runLogins(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags('kubectl podgate logins', args, {
    output: { type: 'string', short: 'o' },
    user: { type: 'string' },
  })
  if (flags.has('help')) return undefined
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml'])
  return await withConnection(flags.connection, io, async ({ client }) => {
    const document = await ask(client, 'logins', { user: flags.text('user') })
    const rows = listAt(document, 'items').map((item) => [
      some(textAt(item, 'id')),
      some(textAt(item, 'username')),
      some(textAt(item, 'provider')),
      some(textAt(item, 'client', 'address')),
      clock(timeAt(item, 'createdAt')),
      clock(timeAt(item, 'endsAt')),
    ])
    const header = ['ID', 'USER', 'PROVIDER', 'FROM', 'SIGNED-IN', 'ENDS']
    return await show(io, format, document, () =>
      rows.length === 0 ? 'Nobody is signed in at the gateway.\n' : formatTable(header, rows),
    )
  })
}

function describeTarget(item: unknown): string {
  const kind = textAt(item, 'target', 'kind') ?? ''
  const name =
    textAt(item, 'target', 'username') ??
    textAt(item, 'target', 'id') ??
    textAt(item, 'target', 'issuer')
  return `${kind.toLowerCase()}/${some(name)}`
}

/** Undefined: the person asked for help. */
export async function runRevocations(
  args: readonly string[],
  io: CliIo,
): Promise<ExitCode | undefined> {
  const flags = parseFlags('kubectl podgate revocations', args, {
    output: { type: 'string', short: 'o' },
  })
  if (flags.has('help')) return undefined
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml'])
  return await withConnection(flags.connection, io, async ({ client }) => {
    const document = await ask(client, 'revocations')
    const rows = listAt(document, 'items').map((item) => [
      some(textAt(item, 'id')),
      describeTarget(item),
      valueAt(item, 'block') === true ? 'kept out' : 'signed out',
      clock(timeAt(item, 'at')),
      clock(timeAt(item, 'until')),
      some(textAt(item, 'by')),
      some(textAt(item, 'reason')),
    ])
    const header = ['ID', 'WHO', 'STATE', 'SINCE', 'UNTIL', 'BY', 'REASON']
    return await show(io, format, document, () =>
      rows.length === 0 ? 'Nobody is revoked.\n' : formatTable(header, rows),
    )
  })
}

const KINDS: Readonly<Record<string, string>> = {
  user: 'User',
  issuer: 'Issuer',
  login: 'Login',
  session: 'Session',
  token: 'Token',
}
const REVOKE_COMMAND = 'kubectl podgate revoke'

/** A sign-in and a recorded session are both sessions to a person; their names tell them apart. */
function targetFrom(word: string, name: string): Record<string, string> {
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined
  if (kind === undefined)
    throw usageError(
      REVOKE_COMMAND,
      `"${escapeText(word)}" is none of user, issuer, session, token`,
    )
  if (kind === 'User') return { kind, username: name }
  if (kind === 'Issuer') return { kind, issuer: name }
  if (kind === 'Session' && name.startsWith('l-')) return { kind: 'Login', id: name }
  return { kind, id: name }
}

/** Undefined: the person asked for help. */
export async function runRevoke(args: readonly string[], io: CliIo): Promise<ExitCode | undefined> {
  const flags = parseFlags(REVOKE_COMMAND, args, {
    issuer: { type: 'string' },
    for: { type: 'string' },
    'sign-out-only': { type: 'boolean' },
    reason: { type: 'string' },
    output: { type: 'string', short: 'o' },
  })
  if (flags.has('help')) return undefined
  const [word = '', name, ...more] = flags.positionals
  if (name === undefined || more.length > 0) {
    throw usageError(REVOKE_COMMAND, 'needs one of: user NAME, issuer URL, session ID, token ID')
  }
  const target = targetFrom(word, name)
  const { kind } = target
  if (kind !== 'User' && (flags.text('issuer') !== undefined || flags.has('sign-out-only'))) {
    throw usageError(REVOKE_COMMAND, '--issuer and --sign-out-only are for users')
  }
  if (kind !== 'User' && kind !== 'Issuer' && flags.text('for') !== undefined) {
    throw usageError(REVOKE_COMMAND, '--for is for users and issuers')
  }
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml'])
  const body = {
    issuer: flags.text('issuer'),
    ...target,
    for: flags.text('for'),
    signOutOnly: flags.has('sign-out-only') ? true : undefined,
    reason: flags.text('reason'),
  }
  return await withConnection(flags.connection, io, async ({ client }) => {
    const path = `${BASE}/revocations`
    const document = await client.json({ method: 'POST', path, body }).catch((error: unknown) => {
      throw notAGateway(client, error)
    })
    const id = some(textAt(document, 'id'))
    return await show(io, format, document, () => {
      const kept = valueAt(document, 'block') === true
      const until = timeAt(document, 'until')
      const how = kept ? `kept out${until === undefined ? '' : ` until ${clock(until)}`}` : 'ended'
      const undo = kept ? ` Undo: kubectl podgate restore ${id}` : ''
      return `${describeTarget(document)} revoked (${id}): ${how}.${undo}\n`
    })
  })
}

/** Undefined: the person asked for help. */
export async function runRestore(
  args: readonly string[],
  io: CliIo,
): Promise<ExitCode | undefined> {
  const command = 'kubectl podgate restore'
  const flags = parseFlags(command, args, {})
  if (flags.has('help')) return undefined
  const [id, ...more] = flags.positionals
  if (id === undefined || more.length > 0) {
    throw usageError(
      command,
      'needs the id of one revocation; list them: kubectl podgate revocations',
    )
  }
  return await withConnection(flags.connection, io, async ({ client }) => {
    const path = `${BASE}/revocations/${encodeURIComponent(id)}`
    await client.json({ method: 'DELETE', path })
    await writeOut(io.stdout, `revocation ${escapeText(id)} lifted\n`)
    return ExitCode.Done
  })
}
