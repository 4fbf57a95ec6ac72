/**
 * Builds the Go programs of test/cluster once into the cache. The key covers
 * everything that decides the result, so a build is never stale, and the
 * folder appears by a rename, so it is never half there.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { GatewayError } from '../errors/gateway-error.ts'
import type { GoModule } from './go-programs.ts'
import { withLock } from './lock.ts'
import { cacheFolder, projectFolder } from './places.ts'
import {
  estimateSecondsLeft,
  type Progress,
  type ProgressState,
  silentProgress,
} from './progress.ts'

/** Compiling is most of the work; the rest is linking, program by program. */
const COMPILE_SHARE = 0.85
const REDRAW_MS = 500
const KEPT_LINES = 20

export interface BuildOptions {
  progress?: Progress
  cache?: string
  /** Ends a build that nobody waits for any more. */
  signal?: AbortSignal
}

/** Returns the folder that holds the module's programs. */
export async function buildGoModule(module: GoModule, options: BuildOptions = {}): Promise<string> {
  const cache = options.cache ?? cacheFolder()
  const progress = options.progress ?? silentProgress
  const source = join(projectFolder(), 'test', 'cluster', module.name)
  const target = join(cache, `${module.name}-${buildKey(module, source)}`)
  if (existsSync(target)) return target
  mkdirSync(cache, { recursive: true })
  return await withLock(
    `${target}.lock`,
    async () => {
      if (!existsSync(target))
        await buildInto(module, source, target, { ...options, progress, cache })
      return target
    },
    {
      onWait: ({ pid }) =>
        progress.update({ what: `Waiting for ${module.title}, which process ${pid} is building` }),
    },
  )
}

export function buildKey(module: GoModule, source: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(source).filter((file) => /(\.go|^go\.mod|^go\.sum)$/.test(file))
  for (const file of files.sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(source, file)))
      .update('\0')
  }
  hash.update(JSON.stringify([goArguments(module, ''), process.platform, process.arch]))
  return hash.digest('hex').slice(0, 16)
}

function goArguments(module: GoModule, output: string): string[] {
  return ['-trimpath', '-ldflags', module.ldflags, '-o', output, ...module.packages]
}

/** The toolchain at hand, never one that `go` would fetch; static programs, for images without a libc. */
function goEnvironment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    GOTOOLCHAIN: 'local',
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false',
    GOWORK: 'off',
  }
}

async function buildInto(
  module: GoModule,
  source: string,
  target: string,
  options: Required<Pick<BuildOptions, 'progress' | 'cache'>> & BuildOptions,
): Promise<void> {
  requireGo()
  const startedAt = Date.now()
  removeAbandoned(options.cache, module)
  const output = mkdtempSync(join(options.cache, `.building-${module.name}-`))
  let fromScratch = false
  try {
    const stale = await countStalePackages(module, source)
    // A build on top of Go's own warm cache says nothing about the next first build.
    fromScratch = stale === undefined || stale > module.binaries.length + 100
    const view = createBuildView(module, output, stale, options)
    try {
      await runGo(['build', '-v', ...goArguments(module, `${output}/`)], source, {
        onLine: (line) => view.read(line),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
    } finally {
      view.stop()
    }
    renameSync(output, target)
  } finally {
    rmSync(output, { recursive: true, force: true })
  }
  const seconds = (Date.now() - startedAt) / 1000
  if (fromScratch) rememberSeconds(options.cache, module.name, seconds)
  options.progress.done(`Built ${module.title} in ${Math.round(seconds)} s (kept in ${target})`)
}

/** Only the holder of the lock builds, so what others left half done is nobody's. */
function removeAbandoned(cache: string, module: GoModule): void {
  for (const entry of readdirSync(cache)) {
    if (entry.startsWith(`.building-${module.name}-`)) {
      rmSync(join(cache, entry), { recursive: true, force: true })
    }
  }
}

/** How many packages `go build -v` is going to name; modules not yet downloaded make it unknown. */
async function countStalePackages(module: GoModule, source: string): Promise<number | undefined> {
  let count = 0
  const format = '{{if .Stale}}{{.ImportPath}}{{end}}'
  const flags = ['-trimpath', '-ldflags', module.ldflags]
  try {
    await runGo(
      ['list', '-deps', '-mod=readonly', ...flags, '-f', format, ...module.packages],
      source,
      {
        onLine: () => (count += 1),
        env: { GOPROXY: 'off' },
      },
    )
    return count
  } catch {
    return undefined
  }
}

interface BuildView {
  read(line: string): void
  stop(): void
}

function createBuildView(
  module: GoModule,
  output: string,
  stalePackages: number | undefined,
  options: Required<Pick<BuildOptions, 'progress' | 'cache'>>,
): BuildView {
  const startedAt = Date.now()
  const past = readSeconds(options.cache)[module.name] ?? module.typicalSeconds
  let compiled = 0
  let downloaded = 0
  const draw = (): void => {
    const elapsed = (Date.now() - startedAt) / 1000
    options.progress.update(
      describeBuild({
        module,
        elapsed,
        past,
        compiled,
        downloaded,
        stalePackages,
        linked: readdirSync(output).length,
      }),
    )
  }
  draw()
  const timer = setInterval(draw, REDRAW_MS)
  return {
    read(line) {
      if (line.startsWith('go: downloading ')) downloaded += 1
      else if (/^[\w.\-/~]+$/.test(line)) compiled += 1
    },
    stop: () => clearInterval(timer),
  }
}

export interface BuildFacts {
  module: Pick<GoModule, 'title' | 'binaries'>
  elapsed: number
  past: number
  compiled: number
  downloaded: number
  linked: number
  /** Unknown while modules have to be downloaded first. */
  stalePackages: number | undefined
}

export function describeBuild(facts: BuildFacts): ProgressState {
  const { module, elapsed, past, compiled, downloaded, linked, stalePackages } = facts
  const what = `Building ${module.title} (first run only)`
  if (stalePackages === undefined) {
    // Without a total, time is the measure: what the last build took.
    const fraction = Math.min(0.95, elapsed / past)
    return {
      what,
      fraction,
      detail: compiled === 0 ? `${downloaded} modules downloaded` : `${compiled} packages compiled`,
      ...(elapsed < past ? { secondsLeft: past - elapsed } : {}),
    }
  }
  const compiling = stalePackages === 0 ? 1 : Math.min(1, compiled / stalePackages)
  const fraction =
    compiling * COMPILE_SHARE + (linked / module.binaries.length) * (1 - COMPILE_SHARE)
  const secondsLeft = estimateSecondsLeft(elapsed, fraction, past)
  return {
    what,
    fraction,
    detail:
      compiling < 1
        ? `package ${compiled} of ${stalePackages}`
        : `linking program ${Math.min(linked + 1, module.binaries.length)} of ${module.binaries.length}`,
    ...(secondsLeft === undefined ? {} : { secondsLeft }),
  }
}

interface RunGoOptions {
  onLine(line: string): void
  env?: Record<string, string>
  signal?: AbortSignal
}

async function runGo(args: string[], cwd: string, options: RunGoOptions): Promise<void> {
  const child = spawn('go', args, {
    cwd,
    env: { ...goEnvironment(), ...options.env },
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
function requireGo(): void {
  const { error } = spawnSync('go', ['version'], { env: goEnvironment(), stdio: 'ignore' })
  if (error === undefined) return
  throw new GatewayError(
    'ServiceUnavailable',
    'Go is not installed, and the programs of the local cluster are built from source. Install ' +
      'Go 1.24 or newer (https://go.dev/dl/) so that "go version" works, then start again',
    { cause: error },
  )
}

function secondsFile(cache: string): string {
  return join(cache, 'build-seconds.json')
}

function readSeconds(cache: string): Record<string, number> {
  try {
    const value: unknown = JSON.parse(readFileSync(secondsFile(cache), 'utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, number>) : {}
  } catch {
    return {}
  }
}

function rememberSeconds(cache: string, name: string, seconds: number): void {
  writeFileSync(
    secondsFile(cache),
    JSON.stringify({ ...readSeconds(cache), [name]: Math.round(seconds) }),
  )
}
