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
  isLineBreak,
  isPartOfCharacter,
  isShortEscape,
  isText,
} from './bytes.ts'

const DOT = 0x2e
const DASH = 0x2d
/** RFC 1035 2.3.4. */
const MAX_DOMAIN = 255
/**
 * `x@y.zz` turns up about three times in 100 MB of random bytes, so a short or odd address counts
 * only with TEXT_CONTEXT bytes of text on both sides; a longer one is evidence enough and is masked
 * in binary data as well. Together: one false match in some ten gigabytes.
 */
const MIN_LENGTH_ANYWHERE = 14
const TEXT_CONTEXT = 8

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
 * The end of the domain: the longest prefix of at least two labels whose last has two letters or
 * more, of one kind, or is an A-label. `4.17.21`, as in `lodash@4.17.21`, is no domain.
 */
export function emailEnd(b: Uint8Array, start: number, at: number, hi: number): number {
  if (start === at) return NONE
  let best = NONE
  let label = at + 1
  let labels = 0
  let numeric = 0
  let alphabetic = true
  let digitsOnly = true
  let wide = 0
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
        wide += 1
        i += 1
        continue
      }
    }
    const length = i - label
    const aLabel = length > 4 && b[label] === 0x78 && b[label + 1] === 0x6e && b[label + 2] === DASH
    const word = alphabetic && (wide === 0 ? length > 1 : wide > 1 && wide * 2 === length)
    if (labels > 0 && (word || (aLabel && byte !== DASH))) best = i
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
    wide = 0
  }
  if (best === NONE || numeric > 1) return NONE
  const odd = mixedCase(b, best)
  if (best - start < MIN_LENGTH_ANYWHERE) return odd ? NONE : standsInText(b, start, best, hi)
  return odd || !isAscii(b, at + 1, best) ? standsInText(b, start, best, hi) : best
}

/** No short domain ends like `.cO`. */
function mixedCase(b: Uint8Array, end: number): boolean {
  let cases = 0
  for (let i = end - 1; hasClass(b[i] ?? 0, LETTER); i -= 1) {
    cases |= ((b[i] ?? 0) & 0x20) === 0 ? 1 : 2
  }
  return cases === 3
}

function isAscii(b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) if ((b[i] ?? 0) >= 0x80) return false
  return true
}

function standsInText(b: Uint8Array, start: number, end: number, hi: number): number {
  for (let i = start - 1; i >= 0 && start - i <= TEXT_CONTEXT; i -= 1) {
    const byte = b[i] ?? 0
    if (isLineBreak(byte)) break
    if (!isText(byte) && !isPartOfCharacter(byte, b[i - 1] ?? 0, b[i + 1] ?? 0)) return NONE
  }
  for (let i = end; i - end < TEXT_CONTEXT; i += 1) {
    if (i >= hi) return MORE
    const byte = b[i] ?? 0
    if (isLineBreak(byte)) break
    if (isText(byte)) continue
    if (i + 1 >= hi) return MORE
    if (!isPartOfCharacter(byte, b[i - 1] ?? 0, b[i + 1] ?? 0)) return NONE
  }
  return end
}
