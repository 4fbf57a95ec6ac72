/**
 * The frame around every command: connects, reports what went wrong, gives the exit code.
 */
import { errorText } from '../errors/gateway-error.ts'
import { escapeText } from '../streams/sanitize-terminal.ts'
import { CliError, ExitCode } from './cli-error.ts'
import type { CliIo } from './io.ts'
import { createKubeClient, type KubeClient } from './kube-request.ts'
import { loadContext, type KubeconfigFlags, type ResolvedContext } from './kubeconfig.ts'
import { colour } from './output.ts'

export interface Connection {
  context: ResolvedContext
  client: KubeClient
}

export async function withConnection<T>(
  flags: KubeconfigFlags,
  io: CliIo,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const context = await loadContext(flags, io.env)
  const client = createKubeClient(context, io, warningPrinter(io))
  try {
    return await use({ context, client })
  } finally {
    client.close()
  }
}

export async function runCommand(io: CliIo, command: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await command()
  } catch (error) {
    printError(io, error)
    return CliError.is(error) ? error.exitCode : ExitCode.Error
  }
}

/** On stderr, as kubectl words it; the server's own sentence keeps the server's own prefix. */
export function printError(io: CliIo, error: unknown): void {
  const isServers =
    CliError.is(error) && (error.status !== undefined || error.exitCode === ExitCode.Unreachable)
  const lines = errorText(error).split('\n').map(escapeText)
  io.stderr.write(`${isServers ? '' : 'error: '}${lines.join('\n')}\n`)
}

/** Each warning once per command, as kubectl shows it. */
function warningPrinter(io: CliIo): (text: string) => void {
  const seen = new Set<string>()
  return (text) => {
    if (seen.has(text)) return
    seen.add(text)
    io.stderr.write(`${colour(io, io.stderr, 'yellow', 'Warning:')} ${escapeText(text)}\n`)
  }
}
