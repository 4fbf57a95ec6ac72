/** Runs a program to its end and gives what it printed. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { searchPath } from './processes.ts'

export interface RunOptions {
  timeoutMs?: number
  env?: Record<string, string>
}

export async function runProgram(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(command, [...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: options.timeoutMs ?? 60_000,
    env: { ...process.env, PATH: searchPath(), ...options.env },
  })
  return stdout
}

export async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await runProgram(command, args, { timeoutMs: 10_000 })
    return true
  } catch {
    return false
  }
}
