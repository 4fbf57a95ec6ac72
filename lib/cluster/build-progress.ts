/** How far a build is, from what Go prints and from how long the last one took. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { GoModule } from './go-programs.ts'
import { PACKAGE_LINE } from './go-toolchain.ts'
import { estimateSecondsLeft, type Progress, type ProgressState } from './progress.ts'

/** Compiling is most of the work; the rest is linking, program by program. */
const COMPILE_SHARE = 0.85
const LINK_SECONDS = 5
const REDRAW_MS = 500

/** A build on top of Go's own warm cache says nothing about the next first build. */
export function isFromScratch(module: GoModule, stalePackages: number): boolean {
  return stalePackages > module.binaries.length + 100
}

export interface BuildView {
  read(line: string): void
  stop(): void
}

export function createBuildView(
  module: GoModule,
  output: string,
  stalePackages: number,
  options: { progress: Progress; cache: string },
): BuildView {
  const startedAt = Date.now()
  const past = isFromScratch(module, stalePackages)
    ? (readSeconds(options.cache)[module.name] ?? module.typicalSeconds)
    : LINK_SECONDS * module.binaries.length
  let compiled = 0
  const draw = (): void => {
    const elapsed = (Date.now() - startedAt) / 1000
    options.progress.update(
      describeBuild({
        module,
        elapsed,
        past,
        compiled,
        stalePackages,
        linked: readdirSync(output).length,
      }),
    )
  }
  draw()
  const timer = setInterval(draw, REDRAW_MS)
  return {
    read(line) {
      if (PACKAGE_LINE.test(line)) compiled += 1
    },
    stop: () => clearInterval(timer),
  }
}

export interface BuildFacts {
  module: Pick<GoModule, 'title' | 'binaries'>
  elapsed: number
  past: number
  compiled: number
  linked: number
  stalePackages: number
}

export function describeBuild(facts: BuildFacts): ProgressState {
  const { module, elapsed, past, compiled, linked, stalePackages } = facts
  const compiling = stalePackages === 0 ? 1 : Math.min(1, compiled / stalePackages)
  const fraction =
    compiling * COMPILE_SHARE + (linked / module.binaries.length) * (1 - COMPILE_SHARE)
  const secondsLeft = estimateSecondsLeft(elapsed, fraction, past)
  return {
    what: `Building ${module.title} (first run only)`,
    fraction,
    detail:
      compiling < 1
        ? `package ${compiled} of ${stalePackages}`
        : `linking program ${Math.min(linked + 1, module.binaries.length)} of ${module.binaries.length}`,
    ...(secondsLeft === undefined ? {} : { secondsLeft }),
  }
}

function secondsFile(cache: string): string {
  return join(cache, 'build-seconds.json')
}

export function readSeconds(cache: string): Record<string, number> {
  try {
    const value: unknown = JSON.parse(readFileSync(secondsFile(cache), 'utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, number>) : {}
  } catch {
    return {}
  }
}

export function rememberSeconds(cache: string, name: string, seconds: number): void {
  writeFileSync(
    secondsFile(cache),
    JSON.stringify({ ...readSeconds(cache), [name]: Math.round(seconds) }),
  )
}
