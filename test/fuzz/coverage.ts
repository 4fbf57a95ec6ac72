/**
 * Which code an input ran, from V8 itself: an input that runs code which none before it ran is worth
 * changing further. A reading costs about half a millisecond, so it is taken for many inputs at once.
 *
 * Protocol: https://chromedevtools.github.io/devtools-protocol/v8/Profiler/
 */
import { Session, type Profiler } from 'node:inspector'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface Coverage {
  /** True when code was run since the last call that had not been run before the last call. */
  grew(): boolean
  /** Takes back what the last `grew` learned. */
  forgetLast(): void
  stop(): void
}

/** @param covers beginnings of paths, from the project's root */
export function measureCoverage(project: string, covers: readonly string[]): Coverage {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const prefixes = covers.map((path) => pathToFileURL(join(project, path)).href)
  /** By script: 1 for each character of the source whose code has run. */
  const seen = new Map<string, Uint8Array>()
  let learned: [script: Uint8Array, offset: number][] = []

  function take(): Profiler.ScriptCoverage[] {
    let scripts: Profiler.ScriptCoverage[] = []
    // Answered before `post` returns, since the session is of this thread.
    session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error
      scripts = taken.result
    })
    return scripts.filter(({ url }) => prefixes.some((prefix) => url.startsWith(prefix)))
  }

  return {
    grew() {
      learned = []
      for (const { scriptId, functions } of take()) {
        const end = Math.max(...functions.flatMap(({ ranges }) => ranges.map((r) => r.endOffset)))
        const known = grown(seen.get(scriptId), end)
        seen.set(scriptId, known)
        for (const { ranges } of functions)
          for (const offset of newlyRun(known, ranges)) {
            known[offset] = 1
            learned.push([known, offset])
          }
      }
      return learned.length > 0
    },
    forgetLast() {
      for (const [script, offset] of learned) script[offset] = 0
    },
    stop() {
      session.disconnect()
    },
  }
}

function grown(known: Uint8Array | undefined, length: number): Uint8Array {
  if (known !== undefined && known.length >= length) return known
  const larger = new Uint8Array(length)
  if (known !== undefined) larger.set(known)
  return larger
}

/** The ranges of a function are nested, outer ones first: the last one that holds a character counts. */
function newlyRun(known: Uint8Array, ranges: readonly Profiler.CoverageRange[]): number[] {
  const [whole] = ranges
  if (whole === undefined) return []
  const ran = new Uint8Array(whole.endOffset - whole.startOffset)
  for (const { startOffset, endOffset, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset)
  }
  const offsets: number[] = []
  for (const [index, bit] of ran.entries()) {
    const offset = whole.startOffset + index
    if (bit === 1 && known[offset] !== 1) offsets.push(offset)
  }
  return offsets
}
