/**
 * Flags, in the forms kubectl takes them: `-n shop`, `-nshop`, `-n=shop`,
 * `--namespace shop`, `--namespace=shop`.
 *
 * node:util parses them; a command-line package would be loaded on every start.
 */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

import { errorText } from '../errors/gateway-error.ts'
import { CliError, ExitCode } from './cli-error.ts'
import type { KubeconfigFlags } from './kubeconfig.ts'

/** What every command that talks to a server takes, since kubectl hands its own flags on unread. */
const CONNECTION_FLAGS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsOptionsConfig

export interface ParsedFlags {
  positionals: string[]
  text(name: string): string | undefined
  has(name: string): boolean
  connection: KubeconfigFlags
}

/** `command` is what the person typed before the flags, for the hint in an error. */
export function parseFlags(
  command: string,
  args: readonly string[],
  options: ParseArgsOptionsConfig,
): ParsedFlags {
  let parsed: { values: Record<string, unknown>; positionals: string[] }
  try {
    parsed = parseArgs({
      args: [...args],
      options: { ...CONNECTION_FLAGS, ...options },
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    // Node goes on to explain how to pass values that begin with a dash; --help does it better.
    throw usageError(command, errorText(error).split('. To specify')[0] ?? '')
  }
  const text = (name: string): string | undefined => {
    const value = parsed.values[name]
    if (typeof value !== 'string') return undefined
    const clean = value.startsWith('=') ? value.slice(1) : value
    if (clean === '') throw usageError(command, `--${name} needs a value`)
    return clean
  }
  return {
    positionals: parsed.positionals,
    text,
    has: (name) => parsed.values[name] === true,
    connection: {
      kubeconfig: text('kubeconfig'),
      context: text('context'),
      namespace: text('namespace'),
    },
  }
}

export function usageError(command: string, message: string): CliError {
  const lower = message.charAt(0).toLowerCase() + message.slice(1)
  return new CliError(ExitCode.Usage, `${lower}\nSee '${command} --help' for usage.`)
}
