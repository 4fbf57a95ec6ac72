/**
 * The command lines of people: `kubectl approve` and `kubectl podgate`.
 *
 * Everything here runs in front of a waiting person, so it starts fast: node
 * built-ins and, only when a file has to be read or written as YAML, `yaml`.
 * No client library, no store, no schema package.
 *
 * May import: errors, api, https, streams.
 */

/** What a command writes to. A terminal has `isTTY`. */
export interface CliOutput extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  /** Size of the terminal. */
  readonly columns?: number
  readonly rows?: number
}

/** What a command reads from. */
export interface CliInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean
}

/** Everything a command may touch of the process it runs in. */
export interface CliIo {
  stdin: CliInput
  stdout: CliOutput
  stderr: CliOutput
  env: Record<string, string | undefined>
  /** Milliseconds since 1970. */
  now(): number
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /**
   * While registered, Ctrl-C and SIGTERM call `listener` instead of ending the
   * process. Gives the function that unregisters.
   */
  onInterrupt(listener: () => void): () => void
}

/** The real thing. A reader that went away (`| head`) ends the command quietly, as it does kubectl. */
export function createProcessIo(process: NodeJS.Process): CliIo {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    now: () => Date.now(),
    sleep,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener)
      process.on('SIGTERM', listener)
      return () => {
        process.off('SIGINT', listener)
        process.off('SIGTERM', listener)
      }
    },
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish)
  })
}
