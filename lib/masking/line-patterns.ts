/**
 * A policy's own patterns: RE2 by re2js, so that no pattern is slower than linear, matched within
 * one line. A line is what stands between CR or LF.
 *
 * Lines longer than WINDOW are matched in windows of WINDOW bytes that begin every STEP bytes from
 * the line's start; a match of up to STEP bytes lies whole in one of them. So what is held back
 * stays bounded, and the windows depend on the line alone, never on how the stream was cut.
 */
import { RE2JS } from 're2js'

import { characterBoundary } from './cells.ts'

/** The longest match that is promised to be found. */
export const STEP = 1024
export const WINDOW: number = 2 * STEP

const LF = 0x0a
const CR = 0x0d
const latin1 = new TextDecoder('latin1')

export interface LinePattern {
  /** Index into the names that are counted. */
  readonly rule: number
  readonly regex: RE2JS
}

type Report = (rule: number, start: number, end: number) => void

/** The first line break in [from, hi), or -1. */
export function lineBreak(b: Uint8Array, from: number, hi: number): number {
  for (let i = from; i < hi; i += 1) {
    const byte = b[i]
    if (byte === LF || byte === CR) return i
  }
  return -1
}

/** Reports what the patterns match in [from, to), which is a line or, if `midLine`, a part of one. */
export function matchLine(
  patterns: readonly LinePattern[],
  b: Uint8Array,
  from: number,
  to: number,
  midLine: boolean,
  report: Report,
): void {
  if (from >= to) return
  let start = from
  let skip = 0
  if (midLine) {
    // One character of context keeps ^ and \b honest in the middle of a line.
    const first = characterBoundary(b, from, to)
    start = characterBoundary(b, first - 1, to)
    skip = first - start
  }
  const line = b.subarray(start, to)
  const input = isAscii(line) ? latin1.decode(line) : line
  for (const { rule, regex } of patterns) {
    const matcher = regex.matcher(input)
    for (let found = matcher.find(skip); found; found = matcher.find()) {
      const first = matcher.start()
      const last = matcher.end()
      if (last > first) report(rule, start + first, start + last)
    }
  }
}

/**
 * ASCII is matched as a string, which is twice as fast and has the same offsets. Anything else is
 * matched as UTF-8, where re2js takes a byte that belongs to no character for U+FFFD, as Go does.
 */
function isAscii(line: Uint8Array): boolean {
  for (let i = 0; i < line.length; i += 1) if ((line[i] ?? 0) >= 0x80) return false
  return true
}
