/**
 * A policy's own patterns: RE2 by re2js, so that no pattern is slower than linear, matched within
 * one line. A line is what stands between CR or LF.
 *
 * Lines longer than WINDOW are matched in windows of WINDOW bytes that begin every STEP bytes from
 * the line's start; a match of up to STEP bytes lies whole in one of them. So what is held back
 * stays bounded, and the windows depend on the line alone, never on how the stream was cut.
 */
import { RE2JS } from 're2js'

import { characterBoundary, characterLength, codePointAt } from './cells.ts'

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
    start = characterBoundary(b, from, to)
    const before = characterBoundary(b, start - 1, to)
    // One character of context keeps ^ and \b honest in the middle of a line.
    skip = 1
    start = Math.max(0, before)
  }
  const { text, offsets } = decode(b, start, to)
  if (midLine && offsets !== undefined && text.length > 1 && offsets[1] === offsets[0]) skip = 2
  for (const { rule, regex } of patterns) {
    const matcher = regex.matcher(text)
    for (let found = matcher.find(skip); found; found = matcher.find()) {
      const first = matcher.start()
      const last = matcher.end()
      if (last <= first) continue
      report(rule, start + (offsets?.[first] ?? first), start + (offsets?.[last] ?? last))
    }
  }
}

interface Decoded {
  text: string
  /** Byte offset of each UTF-16 unit and of the end; undefined when they are the same. */
  offsets: Uint16Array | undefined
}

/** UTF-8 to text; a byte that belongs to no character becomes U+FFFD, and is found again. */
function decode(b: Uint8Array, from: number, to: number): Decoded {
  let i = from
  while (i < to && (b[i] ?? 0) < 0x80) i += 1
  if (i === to) return { text: latin1.decode(b.subarray(from, to)), offsets: undefined }
  const offsets = new Uint16Array(to - from + 1)
  let text = ''
  for (i = from; i < to;) {
    const length = characterLength(b, i, to)
    const unit = length === 0 ? '\ufffd' : String.fromCodePoint(codePointAt(b, i, length))
    offsets[text.length] = i - from
    if (unit.length > 1) offsets[text.length + 1] = i - from
    text += unit
    i += length === 0 ? 1 : length
  }
  offsets[text.length] = to - from
  return { text, offsets }
}
