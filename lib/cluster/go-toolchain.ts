/** Runs the Go toolchain of this machine, and reads what it says line by line. */
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'

import { GatewayError } from '../errors/gateway-error.ts'

const KEPT_LINES = 20

/** How `go build -v` and `go list` name a package; everything else they print is chatter. */
export const PACKAGE_LINE: RegExp = /^[\w.\-/~]+$/

/**
 * The toolchain at hand, but for modules that may fetch their own, as go.sum and the checksum
 * database let pass; static programs, for images without a libc.
 */
function goEnvironment(mayFetchToolchain = false): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // Where https://go.dev/doc/install puts it; not every PATH has been told.
    PATH: `${process.env['PATH'] ?? ''}:/usr/local/go/bin`,
    GOTOOLCHAIN: mayFetchToolchain ? 'auto' : 'local',
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false',
    GOWORK: 'off',
  }
}

export interface RunGoOptions {
  onLine(line: string): void
  mayFetchToolchain?: boolean
  signal?: AbortSignal
}

export async function runGo(args: string[], cwd: string, options: RunGoOptions): Promise<void> {
  const child = spawn('go', args, {
    cwd,
    env: goEnvironment(options.mayFetchToolchain),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  const lines: string[] = []
  const read = (line: string): void => {
    lines.push(line)
    if (lines.length > KEPT_LINES) lines.shift()
    options.onLine(line)
  }
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', read)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code === 0) return
  throw new GatewayError(
    'InternalError',
    `"go ${args[0] ?? ''}" failed in ${cwd} with exit code ${code ?? 'none'}:\n${lines.join('\n')}`,
  )
}

/** Asked before anything else, so that the answer is one clear sentence. */
export function requireGo(): void {
  const { error } = spawnSync('go', ['version'], { env: goEnvironment(), stdio: 'ignore' })
  if (error === undefined) return
  throw new GatewayError(
    'ServiceUnavailable',
    'Go is not installed, and the programs of the local cluster are built from source. Install ' +
      'Go 1.24 or newer (https://go.dev/dl/) so that "go version" works, then start again',
    { cause: error },
  )
}
