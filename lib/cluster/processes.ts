/**
 * Starts the programs of an instance, each in a process group of its own (a
 * Ctrl-C meant for the parent must not reach them before it has shut them down
 * in order), with a log file, and recorded before anything else happens.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errorText, GatewayError } from '../errors/gateway-error.ts'
import type { Instance } from './instance.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

const POLL_MS = 40
const LOG_LINES_SHOWN = 8

export interface ProgramOptions {
  name: string
  command: string
  args: readonly string[]
  env?: Record<string, string>
}

export interface Program {
  readonly name: string
  readonly identity: ProcessIdentity
  readonly logFile: string
  /** Set once it has ended: "exit code 1", "signal SIGKILL", "spawn ENOENT". */
  readonly ended: string | undefined
  readonly whenEnded: Promise<void>
  /** SIGTERM, and SIGKILL to its whole group when that is not enough. */
  stop(graceMs?: number): Promise<void>
}

export function startProgram(instance: Instance, options: ProgramOptions): Program {
  const logs = join(instance.record.stateDir, 'logs')
  mkdirSync(logs, { recursive: true })
  const logFile = join(logs, `${options.name}.log`)
  const log = openSync(logFile, 'a', 0o600)
  const child = spawn(options.command, options.args, {
    cwd: instance.record.stateDir,
    env: { PATH: searchPath(), HOME: instance.record.stateDir, ...options.env },
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  const identity = child.pid === undefined ? { pid: -1, startTime: '' } : identify(child.pid)
  if (child.pid !== undefined) {
    instance.record.processes.push({ name: options.name, ...identity })
    instance.save()
  }
  let ended: string | undefined
  const whenEnded = new Promise<void>((resolve) => {
    const finish = (why: string): void => {
      ended ??= why
      resolve()
    }
    child.once('error', (error) => finish(errorText(error)))
    child.once('exit', (code, signal) =>
      finish(signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`),
    )
  })
  // The instance has its own end; a program alone must not keep the parent from leaving.
  child.unref()
  return {
    name: options.name,
    identity,
    logFile,
    get ended() {
      return ended
    },
    whenEnded,
    async stop(graceMs = 5000) {
      if (ended === undefined) {
        child.ref()
        signalGroup(identity, 'SIGTERM')
        const timer = setTimeout(() => signalGroup(identity, 'SIGKILL'), graceMs)
        await whenEnded
        clearTimeout(timer)
      }
      forgetProcess(instance, identity)
    },
  }
}

/** Signals the group led by a recorded process, if the process is still the recorded one. */
export function signalGroup(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return
  for (const target of [-identity.pid, identity.pid]) {
    try {
      process.kill(target, signal)
      return
    } catch {
      // Gone meanwhile, or not the leader of a group: then the process itself.
    }
  }
}

function forgetProcess(instance: Instance, identity: ProcessIdentity): void {
  const { processes } = instance.record
  const index = processes.findIndex((entry) => entry.pid === identity.pid)
  if (index === -1) return
  processes.splice(index, 1)
  instance.save()
}

export interface WaitOptions {
  what: string
  timeoutMs: number
  /** Their end makes waiting pointless. */
  programs?: readonly Program[]
  signal?: AbortSignal | undefined
}

/** Asks again and again until the probe says true; a probe that throws says "not yet". */
export async function waitUntil(
  probe: () => Promise<boolean> | boolean,
  options: WaitOptions,
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs
  let lastError: unknown
  for (;;) {
    options.signal?.throwIfAborted()
    try {
      if (await probe()) return
    } catch (error) {
      lastError = error
    }
    const dead = options.programs?.find((program) => program.ended !== undefined)
    if (dead !== undefined) throw programDied(dead, options.what)
    if (Date.now() > deadline) {
      throw timedOut(options, lastError)
    }
    await delay(POLL_MS)
  }
}

function timedOut({ what, timeoutMs, programs = [] }: WaitOptions, cause: unknown): GatewayError {
  const why = cause === undefined ? '' : ` (${errorText(cause)})`
  const logs = programs.map(({ name, logFile }) => `\n${name}:\n${lastLines(logFile)}`)
  return new GatewayError(
    'Timeout',
    `${what} was not there after ${timeoutMs / 1000} s${why}${logs.join('')}`,
    { cause },
  )
}

function programDied(program: Program, what: string): GatewayError {
  return new GatewayError(
    'InternalError',
    `${program.name} ended (${program.ended ?? ''}) while waiting for ${what}. Its last words:\n${lastLines(program.logFile)}`,
  )
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n')
  } catch {
    return '(no log)'
  }
}

/** Debian keeps runc, iptables and ip in sbin, which a user's PATH may lack. */
export function searchPath(): string {
  return [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']
    .filter((entry) => entry !== '')
    .join(':')
}
