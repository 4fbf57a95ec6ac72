/**
 * What Redact writes: as many `*` as the match took cells on a terminal, so that columns and the
 * cursor stay where they were. In ASCII that is one per byte.
 */
import { isContinuation } from './bytes.ts'

const STAR = 0x2a

/** East Asian Width W and F (UAX #11), rounded to blocks: two cells. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
]

/** Combining marks, joiners and variation selectors: no cell of their own. */
const NARROW: readonly (readonly [number, number])[] = [
  [0x0300, 0x036f],
  [0x0591, 0x05bd],
  [0x064b, 0x065f],
  [0x1ab0, 0x1aff],
  [0x1dc0, 0x1dff],
  [0x200b, 0x200f],
  [0x20d0, 0x20ff],
  [0xfe00, 0xfe0f],
  [0xfe20, 0xfe2f],
]

function within(ranges: readonly (readonly [number, number])[], codePoint: number): boolean {
  return ranges.some(([first, last]) => codePoint >= first && codePoint <= last)
}

/** Length of the valid UTF-8 character at `i` (RFC 3629 section 4), or 0. */
function characterLength(b: Uint8Array, i: number, end: number): number {
  const lead = b[i] ?? 0
  if (lead < 0x80) return 1
  const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  if (length === 0 || i + length > end) return 0
  for (let k = 1; k < length; k += 1) if (!isContinuation(b[i + k] ?? 0)) return 0
  const second = b[i + 1] ?? 0
  if (lead === 0xe0 && second < 0xa0) return 0
  if (lead === 0xed && second > 0x9f) return 0
  if (lead === 0xf0 && second < 0x90) return 0
  if (lead === 0xf4 && second > 0x8f) return 0
  return length
}

function codePointAt(b: Uint8Array, i: number, length: number): number {
  let value = (b[i] ?? 0) & (length === 1 ? 0x7f : 0x7f >> length)
  for (let k = 1; k < length; k += 1) value = (value << 6) | ((b[i + k] ?? 0) & 0x3f)
  return value
}

/**
 * The largest position up to `i` that is not inside a character. A masked range may only be given
 * out in parts that end here, or a character cut in two would count twice.
 */
export function characterBoundary(b: Uint8Array, i: number, end: number): number {
  for (let k = i; k > 0 && i - k < 4; k -= 1) {
    if (k < end && isContinuation(b[k] ?? 0)) continue
    return k
  }
  return i
}

/** Writes the stars for [from, to) of `source` at `at` of `target`; gives the end of what it wrote. */
export function writeStars(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  from: number,
  to: number,
): number {
  let out = at
  for (let i = from; i < to;) {
    const length = characterLength(source, i, to)
    let cells = 1
    if (length > 1) {
      const codePoint = codePointAt(source, i, length)
      cells = within(WIDE, codePoint) ? 2 : within(NARROW, codePoint) ? 0 : 1
    }
    for (; cells > 0; cells -= 1) {
      target[out] = STAR
      out += 1
    }
    i += length === 0 ? 1 : length
  }
  return out
}
