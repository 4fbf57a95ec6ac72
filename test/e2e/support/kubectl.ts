/** Runs real kubectl the way a person or a script does. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import type { Readable } from 'node:stream'

export interface RunResult {
  code: number | null
  stdout: string
  stderr: string
  /** Of all bytes of stdout, also when they are not kept. */
  sha256: string
  bytes: number
  ms: number
}

export interface RunOptions {
  input?: Readable | string
  env?: Record<string, string>
  timeoutMs?: number
  /** Bytes of stdout kept as text; the digest is over all of them. */
  keepBytes?: number
  /** Called with everything printed so far, on both streams. */
  onOutput?(
    text: string,
    child: { stdin: NodeJS.WritableStream; kill(signal: NodeJS.Signals): void },
  ): void
}

const TIMEOUT_MS = 60_000

export async function run(
  program: string,
  args: string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const startedAt = performance.now()
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: tmpdir(),
    env: { ...process.env, ...options.env, NODE_OPTIONS: '' },
  })
  const hash = createHash('sha256')
  const keep = options.keepBytes ?? 1_000_000
  let bytes = 0
  let stdout = ''
  let stderr = ''
  let all = ''
  const control = { stdin: child.stdin, kill: (signal: NodeJS.Signals) => void child.kill(signal) }
  const tell = (chunk: Buffer): void => {
    if (options.onOutput === undefined) return
    all += chunk.toString()
    options.onOutput(all, control)
  }
  child.stdout.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    bytes += chunk.length
    if (stdout.length < keep) stdout += chunk.toString()
    tell(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    tell(chunk)
  })
  child.stdin.on('error', () => undefined)
  const { input } = options
  if (input === undefined || typeof input === 'string') {
    if (options.onOutput === undefined) child.stdin.end(input)
    else if (input !== undefined) child.stdin.write(input)
  } else input.pipe(child.stdin)
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? TIMEOUT_MS)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  clearTimeout(timer)
  return {
    code,
    stdout,
    stderr,
    sha256: hash.digest('hex'),
    bytes,
    ms: performance.now() - startedAt,
  }
}

/** A kubectl of one version as one person. */
export function kubectlAs(program: string, kubeconfig: string, cache: string): Kubectl {
  return async (args: string[], options: RunOptions = {}): Promise<RunResult> =>
    await run(program, [`--kubeconfig=${kubeconfig}`, `--cache-dir=${cache}`, ...args], options)
}

export type Kubectl = (args: string[], options?: RunOptions) => Promise<RunResult>

/**
 * The same in a terminal of its own; `onOutput` types into it, and otherwise nobody does. An input
 * that ends would be typed too, as ^D: where that meets the end of the command, one run in a few
 * hundred loses its status on the way from the node, also without a gateway.
 */
export async function inTerminal(command: string[], options: RunOptions): Promise<RunResult> {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  return await run('script', ['--quiet', '--return', '--command', quoted, '/dev/null'], {
    onOutput: () => undefined,
    ...options,
  })
}
