/**
 * One exit code for several things done: the only failure's own, else 1.
 */
import { ExitCode } from './cli-error.ts'

export function worstOf(exitCodes: readonly ExitCode[]): ExitCode {
  const failures = new Set(exitCodes.filter((code) => code !== ExitCode.Done))
  const [only] = failures
  if (only === undefined) return ExitCode.Done
  return failures.size === 1 ? only : ExitCode.Error
}
