/**
 * What the detectors share: byte classes, verdicts, and where a word begins.
 *
 * Every detector is a function of the bytes around one trigger byte. It may read back freely (the
 * masker keeps LOOK_BACK bytes of context) but forward only below `hi`; where it would read at
 * `hi` it answers MORE. So its verdict never depends on how the stream was cut.
 */

/** Nothing starts here. */
export const NONE = 0
/** The bytes that decide have not arrived yet. Any other verdict is the end of the match. */
export const MORE = -1

/** The furthest a detector may look behind its trigger: a local part plus the escape before it. */
export const LOOK_BACK = 128
/** How far before its trigger a match may begin (RFC 5321 4.5.3.1.1: a local part has 64 octets). */
export const MAX_LEAD = 64

export const DIGIT = 1
export const LETTER = 2
export const HEX = 4
/** May stand in the local part of an address as people write it (a subset of RFC 5322 atext). */
export const LOCAL = 8
export const WORD: number = DIGIT | LETTER

function classify(byte: number): number {
  const text = String.fromCharCode(byte)
  if (text >= '0' && text <= '9') return DIGIT | HEX | LOCAL
  const lower = text.toLowerCase()
  if (byte < 0x80 && lower >= 'a' && lower <= 'z') {
    return LETTER | LOCAL | (lower <= 'f' ? HEX : 0)
  }
  return '._%+-'.includes(text) ? LOCAL : 0
}

export const CLASS: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => classify(byte))

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

export function hasClass(byte: number, mask: number): boolean {
  return ((CLASS[byte] ?? 0) & mask) !== 0
}

/** Two-byte letters (Latin, Greek, Cyrillic, Hebrew, Arabic): U+00C0 to U+07FF. */
export function isLead2(byte: number): boolean {
  return byte >= 0xc3 && byte <= 0xdf
}

export function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

const ESC = 0x1b
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const MAX_ESCAPE_PARAMETERS = 20

/** Do the parameter bytes before `i` belong to a control sequence (ECMA-48 5.4), raw or JSON-escaped? */
export function insideControlSequence(b: Uint8Array, i: number): boolean {
  let k = i - 1
  const limit = Math.max(0, i - MAX_ESCAPE_PARAMETERS)
  while (k > limit && (b[k] ?? 0) >= 0x30 && (b[k] ?? 0) <= 0x3f) k -= 1
  if (k < 1 || b[k] !== OPEN_BRACKET) return false
  if (b[k - 1] === ESC) return true
  return k > 1 && b[k - 1] === 0x62 && b[k - 2] === 0x31 // \u001b[ and \x1b[
}

/** Is the letter at `i - 1` the end of an escape (`ESC [31m`, `\n`, `\u003c`) and not of a word? */
function endsEscape(b: Uint8Array, i: number): boolean {
  const last = b[i - 1] ?? 0
  if (i > 1 && b[i - 2] === BACKSLASH) return isShortEscape(last)
  if (i > 5 && b[i - 5] === 0x75 && b[i - 6] === BACKSLASH) return true
  return insideControlSequence(b, i - 1)
}

/** The letters of JSON's two-character escapes (RFC 8259 section 7). */
export function isShortEscape(byte: number): boolean {
  return byte === 0x6e || byte === 0x72 || byte === 0x74 || byte === 0x62 || byte === 0x66
}

/** Would a value starting at `i` be the tail of a longer word? */
export function joinedBefore(b: Uint8Array, i: number): boolean {
  if (i === 0) return false
  const kind = CLASS[b[i - 1] ?? 0] ?? 0
  if ((kind & WORD) === 0) return false
  return (kind & DIGIT) !== 0 || !endsEscape(b, i)
}

/** Is there `byte` at `i - 1` with a letter or digit before it, as in `12.` or `ab-`? */
export function tiedBy(b: Uint8Array, i: number, byte: number): boolean {
  return i > 1 && b[i - 1] === byte && hasClass(b[i - 2] ?? 0, WORD)
}
