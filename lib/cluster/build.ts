/**
 * Builds the Go programs of test/cluster once into the cache. The key covers
 * everything that decides the result, so a build is never stale, and the
 * folder appears by a rename, so it is never half there.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'

import { createBuildView, isFromScratch, rememberSeconds } from './build-progress.ts'
import type { GoModule } from './go-programs.ts'
import { PACKAGE_LINE, requireGo, runGo } from './go-toolchain.ts'
import { withLock } from './lock.ts'
import { cacheFolder, projectFolder } from './places.ts'
import { type Progress, silentProgress } from './progress.ts'

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
    const stale = await countStalePackages(module, source, options)
    fromScratch = isFromScratch(module, stale)
    const view = createBuildView(module, output, stale, options)
    try {
      await runGo(['build', '-v', ...goArguments(module, `${output}/`)], source, {
        onLine: (line) => view.read(line),
        mayFetchToolchain: module.mayFetchToolchain === true,
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

/** How many packages `go build -v` is going to name. Fetches the modules that are not there yet. */
async function countStalePackages(
  module: GoModule,
  source: string,
  { progress, signal }: Pick<Required<BuildOptions>, 'progress'> & BuildOptions,
): Promise<number> {
  let stale = 0
  let downloaded = 0
  const format = '{{if .Stale}}{{.ImportPath}}{{end}}'
  const flags = ['-trimpath', '-ldflags', module.ldflags]
  await runGo(['list', '-deps', ...flags, '-f', format, ...module.packages], source, {
    onLine(line) {
      if (PACKAGE_LINE.test(line)) stale += 1
      if (!line.startsWith('go: downloading ')) return
      downloaded += 1
      progress.update({
        what: `Downloading the Go modules of ${module.title} (first run only)`,
        detail: `${downloaded} so far`,
      })
    },
    mayFetchToolchain: module.mayFetchToolchain === true,
    ...(signal === undefined ? {} : { signal }),
  })
  return stale
}
