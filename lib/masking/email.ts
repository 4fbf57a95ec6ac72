/** E-mail addresses around an `@`. */
import {
  DIGIT,
  HEX,
  LETTER,
  LOCAL,
  MAX_LEAD,
  MORE,
  NONE,
  hasClass,
  insideControlSequence,
  isContinuation,
  isDigit,
  isLead2,
  isShortEscape,
} from './bytes.ts'

const DOT = 0x2e
const DASH = 0x2d
/** RFC 1035 2.3.4. */
const MAX_DOMAIN = 255
/**
 * `x@y.zz` turns up about three times in 100 MB of random bytes, so a short address counts only
 * with text on both sides; a longer one is evidence enough and is masked in binary data as well.
 */
const MIN_LENGTH_ANYWHERE = 12

/** Where the address that owns the `@` at `at` begins; `at` itself when it has no local part. */
export function emailStart(b: Uint8Array, at: number): number {
  const limit = Math.max(0, at - MAX_LEAD)
  let start = at
  while (start > limit) {
    const byte = b[start - 1] ?? 0
    if (hasClass(byte, LOCAL)) start -= 1
    else if (isContinuation(byte) && start - 2 >= limit && isLead2(b[start - 2] ?? 0)) start -= 2
    else break
  }
  start = afterEscape(b, start, at)
  while (start < at && !isLocalStart(b[start] ?? 0)) start += 1
  return start
}

function isLocalStart(byte: number): boolean {
  return byte >= 0x80 || byte === 0x5f || hasClass(byte, LETTER | DIGIT)
}

/** `\nana@` in JSON and `ESC [31mana@` from a colouring grep: the escape is not part of the name. */
function afterEscape(b: Uint8Array, start: number, at: number): number {
  if (start === 0 || start === at) return start
  const before = b[start - 1] ?? 0
  const first = b[start] ?? 0
  if (before === 0x5c) {
    if (isShortEscape(first)) return start + 1
    if (first !== 0x75 || start + 5 > at) return start
    for (let k = start + 1; k < start + 5; k += 1) if (!hasClass(b[k] ?? 0, HEX)) return start
    return start + 5
  }
  if (!insideControlSequence(b, start)) return start
  let k = start
  while (k < at && isDigit(b[k] ?? 0)) k += 1
  return k < at && hasClass(b[k] ?? 0, LETTER) ? k + 1 : start
}

/**
 * The end of the domain: the longest prefix of at least two labels whose last is alphabetic or an
 * A-label. `4.17.21`, as in `lodash@4.17.21`, is no domain.
 */
export function emailEnd(b: Uint8Array, start: number, at: number, hi: number): number {
  if (start === at) return NONE
  let best = NONE
  let label = at + 1
  let labels = 0
  let numeric = 0
  let alphabetic = true
  let digitsOnly = true
  let i = label
  for (; ; i += 1) {
    if (i >= hi) return MORE
    const byte = b[i] ?? 0
    const more = i - at <= MAX_DOMAIN
    if (more && hasClass(byte, LETTER)) {
      digitsOnly = false
      continue
    }
    if (more && isDigit(byte)) {
      alphabetic = false
      continue
    }
    if (more && isLead2(byte)) {
      if (i + 1 >= hi) return MORE
      if (isContinuation(b[i + 1] ?? 0)) {
        digitsOnly = false
        i += 1
        continue
      }
    }
    const length = i - label
    const aLabel = length > 4 && b[label] === 0x78 && b[label + 1] === 0x6e && b[label + 2] === DASH
    if (labels > 0 && length > 1 && (alphabetic || (aLabel && byte !== DASH))) best = i
    if (more && byte === DASH && length > 0) {
      alphabetic = false
      digitsOnly = false
      continue
    }
    if (!more || byte !== DOT || length === 0) break
    if (digitsOnly && numeric === labels) numeric += 1
    labels += 1
    label = i + 1
    alphabetic = true
    digitsOnly = true
  }
  if (best === NONE || numeric > 1) return NONE
  if (best - start >= MIN_LENGTH_ANYWHERE) return best
  return standsInText(b, start, best, hi)
}

function standsInText(b: Uint8Array, start: number, end: number, hi: number): number {
  if (mixedCase(b[end - 2] ?? 0, b[end - 1] ?? 0)) return NONE
  if (start > 0 && !isText(b[start - 1] ?? 0) && !endsCharacter(b, start)) return NONE
  if (end >= hi) return MORE
  const next = b[end] ?? 0
  if (isText(next)) return end
  if (next < 0xc2 || next > 0xf4) return NONE
  if (end + 1 >= hi) return MORE
  return isContinuation(b[end + 1] ?? 0) ? end : NONE
}

/** Upper next to lower case: the ending of no short domain that a person wrote. */
function mixedCase(first: number, second: number): boolean {
  return hasClass(first, LETTER) && hasClass(second, LETTER) && ((first ^ second) & 0x20) !== 0
}

/** Printable ASCII, the usual controls (TAB, LF, CR, ESC, BEL), and NUL, which parts `environ`. */
function isText(byte: number): boolean {
  if (byte >= 0x20) return byte < 0x7f
  return byte === 0 || byte === 7 || byte === 9 || byte === 10 || byte === 13 || byte === 0x1b
}

/** Does a multi-byte UTF-8 character end right before `i`? */
function endsCharacter(b: Uint8Array, i: number): boolean {
  let lead = i - 1
  while (lead > 0 && i - lead < 4 && isContinuation(b[lead] ?? 0)) lead -= 1
  const byte = b[lead] ?? 0
  const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
  return byte >= 0xc2 && byte <= 0xf4 && i - lead === length
}
