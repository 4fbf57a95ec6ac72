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
  if (k < 4 || b[k - 1] !== 0x62 || b[k - 2] !== 0x31) return false // 1b
  if (b[k - 3] === 0x78) return b[k - 4] === BACKSLASH // \x1b
  return k > 5 && b[k - 3] === 0x30 && b[k - 4] === 0x30 && isUnicodeEscape(b, k - 5)
}

function isUnicodeEscape(b: Uint8Array, u: number): boolean {
  return b[u] === 0x75 && b[u - 1] === BACKSLASH
}

/** Is the letter at `i - 1` the end of an escape (`ESC [31m`, `\n`, `\u003c`) and not of a word? */
function endsEscape(b: Uint8Array, i: number): boolean {
  const last = b[i - 1] ?? 0
  if (i > 1 && b[i - 2] === BACKSLASH) return isShortEscape(last)
  if (i > 5 && isUnicodeEscape(b, i - 5)) {
    return (
      hasClass(last, HEX) &&
      hasClass(b[i - 2] ?? 0, HEX) &&
      hasClass(b[i - 3] ?? 0, HEX) &&
      hasClass(b[i - 4] ?? 0, HEX)
    )
  }
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

export function isLineBreak(byte: number): boolean {
  return byte === 10 || byte === 13
}

/** Printable ASCII, the usual controls (TAB, ESC, BEL), and NUL, which parts `environ`. */
export function isText(byte: number): boolean {
  if (byte >= 0x20) return byte < 0x7f
  return byte === 0 || byte === 7 || byte === 9 || isLineBreak(byte) || byte === 0x1b
}

/** Could `byte` belong to a UTF-8 character, by its neighbours? */
export function isPartOfCharacter(byte: number, before: number, after: number): boolean {
  if (isContinuation(byte)) return before >= 0x80
  return byte >= 0xc2 && byte <= 0xf4 && isContinuation(after)
}
