/** IPv4 in dotted decimals and IPv6 in the text forms of RFC 4291 2.2. */
import {
  DIGIT,
  HEX,
  LETTER,
  MORE,
  NONE,
  WORD,
  hasClass,
  isDigit,
  isPartOfCharacter,
  isText,
  joinedBefore,
  tiedBy,
} from './bytes.ts'

const DOT = 0x2e
const COLON = 0x3a
const DASH = 0x2d
const UNDERSCORE = 0x5f
/** The longest text form, `INET6_ADDRSTRLEN` less its NUL. */
const MAX_IPV6 = 45
/** Hex digits between two colons; what has more is a word to us. */
const MAX_GROUP = 4
/** Fewer hex digits than in `fe80::1` turn up in random bytes and as `a::b` in program text. */
const MIN_COMPRESSED_DIGITS = 5
const SAFE_DIGITS = 8

/** The IPv4 address that begins with the digit run [start, runEnd). */
export function ipv4End(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  let end = octet(b, start, runEnd)
  if (end === NONE) return NONE
  for (let dots = 0; dots < 3; dots += 1) {
    if (end >= hi) return MORE
    if (b[end] !== DOT) return NONE
    const next = end + 1
    end = next
    while (end < hi && end - next < 4 && isDigit(b[end] ?? 0)) end += 1
    if (end >= hi) return MORE
    if (octet(b, next, end) === NONE) return NONE
  }
  if (joinedBefore(b, start) || tiedBy(b, start, DOT)) return NONE
  const byte = b[end] ?? 0
  if (hasClass(byte, WORD)) return NONE
  if (byte !== DOT && byte !== DASH) return end
  if (end + 1 >= hi) return MORE
  // 1.2.3.4.5 is an object identifier, 1.2.3.4-alpine a version.
  return hasClass(b[end + 1] ?? 0, byte === DOT ? DIGIT : LETTER) ? NONE : end
}

function octet(b: Uint8Array, start: number, end: number): number {
  const size = end - start
  if (size < 1 || size > 3 || (size > 1 && b[start] === 0x30)) return NONE
  let value = 0
  for (let i = start; i < end; i += 1) value = value * 10 + (b[i] ?? 0) - 0x30
  return value > 255 ? NONE : end
}

/** Where the address around the colon at `colon` begins, or -1. */
export function ipv6Start(b: Uint8Array, colon: number): number {
  const limit = Math.max(0, colon - MAX_IPV6)
  let start = colon
  let group = 0
  while (start > limit && group <= MAX_GROUP) {
    if (b[start - 1] === COLON) group = 0
    else if (hasClass(b[start - 1] ?? 0, HEX)) group += 1
    else break
    start -= 1
  }
  if (start === limit && limit > 0) return -1
  const word =
    group > MAX_GROUP || joinedBefore(b, start) || (start > 0 && b[start - 1] === UNDERSCORE)
  if (word) while (start < colon && b[start] !== COLON) start += 1
  if (b[start] !== COLON || (b[start + 1] === COLON && !word)) return start
  // `src:fe80::1` begins after the word; `std::fe` is a scope.
  return b[start + 1] === COLON || start === colon ? -1 : start + 1
}

/** The end of the address that begins at `start`. */
export function ipv6End(b: Uint8Array, start: number, hi: number): number {
  let i = start
  let groups = 0
  let hexDigits = 0
  let decimals = false
  let compressed = false
  let embedded = false
  if (b[i] === COLON) {
    compressed = true
    i += 2
  }
  for (;;) {
    const group = i
    while (i < hi && i - group < 5 && hasClass(b[i] ?? 0, HEX)) {
      if (isDigit(b[i] ?? 0)) decimals = true
      i += 1
    }
    if (i >= hi) return MORE
    if (i - group > 4) return NONE
    if (i === group) break
    if (b[i] === DOT && (compressed ? groups < 6 : groups === 6)) {
      const end = embeddedIpv4(b, group, i, hi)
      if (end === MORE) return MORE
      if (end !== NONE) {
        embedded = true
        groups += 2
        i = end
        break
      }
    }
    hexDigits += i - group
    groups += 1
    if (groups > 8) return NONE
    if (b[i] !== COLON) break
    if (i + 1 >= hi) return MORE
    if (b[i + 1] === COLON) {
      if (compressed) return NONE
      compressed = true
      i += 2
    } else if (hasClass(b[i + 1] ?? 0, HEX)) i += 1
    else break
  }
  if (hasClass(b[i] ?? 0, WORD) || b[i] === UNDERSCORE || (b[i] === COLON && b[i - 1] === COLON)) {
    return NONE
  }
  if (b[i] === DOT && !embedded) {
    if (i + 1 >= hi) return MORE
    if (isDigit(b[i + 1] ?? 0)) return NONE
  }
  if (!compressed) return groups === 8 ? i : NONE
  if (groups > 7) return NONE
  if (embedded) return i
  if (hexDigits < MIN_COMPRESSED_DIGITS || !(decimals || groups > 2)) return NONE
  return hexDigits < SAFE_DIGITS && !looksWritten(b, start, i) ? NONE : i
}

/**
 * A short one must be in one case, with text around it, and in a range that is in use (the IANA
 * registry: 2000::/3, fc00::/7, fe80::/10, ff00::/8); random bytes have others every few gigabytes.
 */
function looksWritten(b: Uint8Array, start: number, end: number): boolean {
  const before = start === 0 ? 0 : (b[start - 1] ?? 0)
  if (!isText(before) && !isPartOfCharacter(before, b[start - 2] ?? 0, 0)) return false
  const after = b[end] ?? 0
  if (!isText(after) && after < 0xc2) return false
  let cases = 0
  for (let i = start; i < end; i += 1) {
    if (hasClass(b[i] ?? 0, LETTER)) cases |= ((b[i] ?? 0) & 0x20) === 0 ? 1 : 2
  }
  return cases < 3 && isRangeInUse(b, start)
}

function isRangeInUse(b: Uint8Array, start: number): boolean {
  if (b[start + 4] !== COLON || b.indexOf(COLON, start) !== start + 4) return false
  const first = b[start] ?? 0
  if (first === 0x32 || first === 0x33) return true
  if ((first | 0x20) !== 0x66) return false
  const second = (b[start + 1] ?? 0) | 0x20
  if (second !== 0x65) return second === 0x63 || second === 0x64 || second === 0x66
  const third = (b[start + 2] ?? 0) | 0x20
  return third === 0x38 || third === 0x39 || third === 0x61 || third === 0x62
}

function embeddedIpv4(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  for (let i = start; i < runEnd; i += 1) if (!isDigit(b[i] ?? 0)) return NONE
  let end = octet(b, start, runEnd)
  for (let dots = 0; dots < 3 && end !== NONE; dots += 1) {
    if (end >= hi) return MORE
    if (b[end] !== DOT) return NONE
    const next = end + 1
    end = next
    while (end < hi && end - next < 4 && isDigit(b[end] ?? 0)) end += 1
    if (end >= hi) return MORE
    end = octet(b, next, end)
  }
  return end
}
