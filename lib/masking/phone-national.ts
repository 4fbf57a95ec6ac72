/**
 * Telephone numbers in national form, as far as their shape tells them from ids and dates:
 * (NPA) NXX-XXXX, French pairs, and a trunk 0 with a separated area code. Digits without any
 * separator are an id to us.
 */
import { HEX, MORE, NONE, WORD, hasClass, isDigit, joinedBefore } from './bytes.ts'
import { endsNumber, internationalEnd, separated } from './phone.ts'

const SPACE = 0x20
const DASH = 0x2d
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a
const COMMA = 0x2c
const ZERO = 0x30
const OPEN = 0x28
const CLOSE = 0x29
const UNDERSCORE = 0x5f

/** Can a national number begin with this digit run? Cheap, for the scan. */
export function mayBeginNumber(
  b: Uint8Array,
  start: number,
  runEnd: number,
  next: number,
): boolean {
  if (b[start] === ZERO) return runEnd - start > 1
  if (runEnd - start === 3) return next === DASH || next === DOT || next === CLOSE
  return runEnd - start === 1 && b[start] === 0x31 && (next === DASH || next === DOT)
}

/** Where a number whose digits begin at `start` begins: an open parenthesis belongs to it. */
export function numberStart(b: Uint8Array, start: number): number {
  return start > 0 && b[start - 1] === OPEN ? start - 1 : start
}

/** A number in national form, or with 00, that begins with the digit run [start, runEnd). */
export function nationalEnd(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  if (joinedBefore(b, start) || continues(b, start)) return NONE
  if (b[start] !== ZERO) return northAmericanEnd(b, start, runEnd, hi)
  if (b[start + 1] === ZERO) {
    if (runEnd - start > 2) return internationalEnd(b, start + 2, hi, true)
    if (b[runEnd] !== SPACE && b[runEnd] !== DASH) return NONE
    return internationalEnd(b, runEnd + 1, hi, true)
  }
  const enclosed = start > 0 && b[start - 1] === OPEN
  if (runEnd - start > 6 || enclosed !== (b[runEnd] === CLOSE)) return NONE
  if (runEnd - start > 2) return trunkEnd(b, start, runEnd, hi)
  const french = pairsEnd(b, runEnd, hi)
  return french === NONE ? fourFourEnd(b, runEnd, hi) : french
}

/** `12-`, `3.`, `ab/` and a hex pair before: the middle of a date, an id or a dump. */
function continues(b: Uint8Array, start: number): boolean {
  if (start === 0) return false
  const byte = b[start - 1] ?? 0
  if (byte === UNDERSCORE) return true
  if (start === 1) return false
  const before = b[start - 2] ?? 0
  if (byte === SPACE) return start > 2 && hasClass(before, HEX) && hasClass(b[start - 3] ?? 0, HEX)
  if (byte === COLON) return isDigit(before)
  const tie = byte === DASH || byte === DOT || byte === SLASH || byte === COMMA
  return tie && hasClass(before, WORD)
}

/** NPA-NXX-XXXX, NPA.NXX.XXXX, (NPA) NXX-XXXX, each also after `1` and the same separator. */
function northAmericanEnd(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  const enclosed = start > 0 && b[start - 1] === OPEN
  if (enclosed !== (b[runEnd] === CLOSE)) return NONE
  let separator = b[runEnd] ?? 0
  let area = start
  if (runEnd - start === 1) {
    area = runEnd + 1
    const end = digitRun(b, area, 3, hi)
    if (end <= NONE) return end
    if (end >= hi) return MORE
    if (b[end] !== separator) return NONE
  }
  if ((b[area] ?? 0) < 0x32) return NONE
  let exchange = area + 4
  if (enclosed) {
    if (exchange >= hi) return MORE
    if (b[exchange] === SPACE) exchange += 1
    separator = 0
  }
  const exchangeEnd = digitRun(b, exchange, 3, hi)
  if (exchangeEnd <= NONE) return exchangeEnd
  if ((b[exchange] ?? 0) < 0x32) return NONE
  if (exchangeEnd >= hi) return MORE
  const last = b[exchangeEnd] ?? 0
  if (enclosed ? last !== DASH && last !== DOT && last !== SPACE : last !== separator) return NONE
  return closing(b, digitRun(b, exchangeEnd + 1, 4, hi), hi)
}

/** `01 23 45 67 89`, with one separator throughout. */
function pairsEnd(b: Uint8Array, runEnd: number, hi: number): number {
  const separator = b[runEnd] ?? 0
  if (separator !== SPACE && separator !== DOT && separator !== DASH) return NONE
  let end = runEnd
  for (let pair = 0; pair < 4; pair += 1) {
    if (end >= hi) return MORE
    if (b[end] !== separator) return NONE
    end = digitRun(b, end + 1, 2, hi)
    if (end <= NONE) return end
  }
  const closed = closing(b, end, hi)
  if (closed <= NONE || b[closed] !== separator) return closed
  if (closed + 1 >= hi) return MORE
  if (!hasClass(b[closed + 1] ?? 0, HEX)) return closed
  // A sixth pair: bytes of a dump, not a number.
  if (closed + 2 >= hi) return MORE
  return hasClass(b[closed + 2] ?? 0, HEX) ? NONE : closed
}

/** `03-1234-5678`, `06 1234 5678`: a two-digit area code and two groups of four. */
function fourFourEnd(b: Uint8Array, runEnd: number, hi: number): number {
  const separator = b[runEnd] ?? 0
  if (separator !== SPACE && separator !== DASH) return NONE
  const middle = digitRun(b, runEnd + 1, 4, hi)
  if (middle <= NONE) return middle
  if (middle >= hi) return MORE
  if (b[middle] !== separator) return NONE
  return closing(b, digitRun(b, middle + 1, 4, hi), hi)
}

/** `0170 1234567`, `(030) 1234 5678`, `07700 900123`: 9 to 12 digits in groups of at least two. */
function trunkEnd(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  let best = NONE
  let digits = runEnd - start
  let fours = digits === 4
  let i = runEnd
  for (let groups = 0; groups < 4; groups += 1) {
    const first = b[i] ?? 0
    if (groups > 0 && first !== SPACE && first !== DASH) return best
    const next = first === DOT ? NONE : separated(b, i, hi)
    if (next <= NONE) return next === MORE ? MORE : best
    i = next
    while (i < hi && i - next < 10 && isDigit(b[i] ?? 0)) i += 1
    if (i >= hi) return MORE
    digits += i - next
    fours &&= i - next === 4
    // Four by four digits without an end: `xxd` prints so, people do not.
    if (digits > 12) return fours ? NONE : best
    if (i - next < 2) return best
    if (digits > 8) {
      const end = closing(b, i, hi)
      if (end === MORE) return MORE
      if (end !== NONE) best = end
    }
  }
  return best
}

/** The end of exactly `count` digits at `at`. */
function digitRun(b: Uint8Array, at: number, count: number, hi: number): number {
  for (let i = at; i < at + count; i += 1) {
    if (i >= hi) return MORE
    if (!isDigit(b[i] ?? 0)) return NONE
  }
  return at + count
}

/** Keeps `end` if a number may end there: no word goes on, and no `-5`, `.5`, `:05` follows. */
function closing(b: Uint8Array, end: number, hi: number): number {
  if (end <= NONE) return end
  if (end >= hi) return MORE
  const byte = b[end] ?? 0
  if (!endsNumber(byte)) return NONE
  if (byte !== DASH && byte !== DOT && byte !== SLASH) return end
  if (end + 1 >= hi) return MORE
  return isDigit(b[end + 1] ?? 0) ? NONE : end
}
