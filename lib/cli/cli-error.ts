/**
 * Why a command ends without having done what it was asked, and with which
 * exit code. The numbers are an interface: docs/reference/cli.md lists them.
 */
import type { Status } from '../errors/status.ts'

export const ExitCode = {
  Done: 0,
  Error: 1,
  Usage: 2,
  /** The server refused: not signed in, or no permission. */
  Denied: 3,
  /** The decision is recorded, but the gateway has not acted on it in time. */
  Timeout: 4,
  /** One's own request, or one is not among its approvers. */
  NotAllowed: 5,
  /** The server of the kubeconfig does not answer, or not as itself. */
  Unreachable: 6,
  /** Ctrl-C, as shells count it. */
  Interrupted: 130,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** `message` is for the person and already says what to do next. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode
  /** The server's own words, where it was the server that said no. */
  readonly status: Status | undefined

  constructor(
    exitCode: ExitCode,
    message: string,
    options: { status?: Status; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.exitCode = exitCode
    this.status = options.status
  }

  /** Works across the realms of test sandboxes, where `instanceof` lies. */
  static is(error: unknown): error is CliError {
    return (
      typeof error === 'object' &&
      error !== null &&
      (error as { name?: unknown }).name === 'CliError'
    )
  }
}

/** The HTTP code of a server's refusal, or undefined for every other failure. */
export function statusCodeOf(error: unknown): number | undefined {
  return CliError.is(error) ? error.status?.code : undefined
}
