/** Payment card numbers: issuer prefix and length (ISO/IEC 7812), Luhn, and the printed groupings. */
import { MORE, NONE, WORD, hasClass, isDigit, joinedBefore, tiedBy } from './bytes.ts'

const DOT = 0x2e
export const MIN_CARD_DIGITS = 13
export const MAX_CARD_DIGITS = 19

function lengths(...all: number[]): number {
  return all.reduce((bits, length) => bits | (1 << length), 0)
}

const FROM_13 = lengths(13, 14, 15, 16, 17, 18, 19)
const FROM_16 = lengths(16, 17, 18, 19)

/** [first, last, lengths] of the leading four digits. 1 is left out: every epoch time begins so. */
const ISSUERS: readonly (readonly [number, number, number])[] = [
  [2200, 2204, FROM_16], // Mir
  [2221, 2720, lengths(16)], // Mastercard
  [3000, 3059, lengths(14, 16)], // Diners Club
  [3090, 3099, lengths(14, 16)],
  [3400, 3499, lengths(15)], // American Express
  [3528, 3589, FROM_16], // JCB
  [3600, 3699, lengths(14, 16)], // Diners Club
  [3700, 3799, lengths(15)],
  [3800, 3999, lengths(14, 16)],
  [4000, 4999, lengths(13, 16, 19)], // Visa
  [5018, 5018, FROM_13], // Maestro
  [5020, 5020, FROM_13],
  [5038, 5038, FROM_13],
  [5080, 5089, lengths(16)], // RuPay
  [5100, 5599, lengths(16)], // Mastercard
  [5893, 5893, FROM_13],
  [6011, 6011, lengths(16, 19)], // Discover
  [6200, 6299, FROM_16], // UnionPay
  [6304, 6304, FROM_13],
  [6440, 6599, lengths(16, 19)], // Discover, RuPay
  [6759, 6759, FROM_13],
  [6761, 6763, FROM_13],
  [8100, 8299, lengths(16)], // RuPay, UnionPay
  [9792, 9792, lengths(16)], // Troy
]

const ISSUER_LENGTHS = new Uint32Array(10_000)
for (const [first, last, bits] of ISSUERS) ISSUER_LENGTHS.fill(bits, first, last + 1)

function issuerLengths(b: Uint8Array, at: number): number {
  let prefix = 0
  for (let i = at; i < at + 4; i += 1) prefix = prefix * 10 + (b[i] ?? 0) - 0x30
  return ISSUER_LENGTHS[prefix] ?? 0
}

/** Luhn (ISO/IEC 7812-1 annex B) over the digits of [start, end), whatever stands between them. */
function luhn(b: Uint8Array, start: number, end: number): boolean {
  let sum = 0
  let double = false
  for (let i = end - 1; i >= start; i -= 1) {
    const byte = b[i] ?? 0
    if (!isDigit(byte)) continue
    const digit = byte - 0x30
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit
    double = !double
  }
  return sum % 10 === 0
}

/** A card number that begins with the digit run [start, runEnd). */
export function cardEnd(b: Uint8Array, start: number, runEnd: number, hi: number): number {
  const allowed = issuerLengths(b, start)
  if (allowed === 0 || joinedBefore(b, start) || tiedBy(b, start, DOT)) return NONE
  const run = runEnd - start
  if (run >= MIN_CARD_DIGITS) return closed(b, start, runEnd, run, allowed, hi)
  const first = group(b, runEnd, hi)
  if (first <= NONE) return first
  const second = first - runEnd - 1
  if (run === 6) return second === 13 ? closed(b, start, first, 19, allowed, hi) : NONE
  const next = group(b, first, hi)
  if (next <= NONE) return next
  const third = next - first - 1
  if (second === 6) {
    return third === 4 || third === 5 ? closed(b, start, next, 10 + third, allowed, hi) : NONE
  }
  return second === 4 && third === 4 ? fours(b, start, next, allowed, hi) : NONE
}

/** 4-4-4 is read up to `at`: the fourth group, and perhaps a fifth, follow. */
function fours(b: Uint8Array, start: number, at: number, allowed: number, hi: number): number {
  const fourth = group(b, at, hi)
  if (fourth <= NONE) return fourth
  const size = fourth - at - 1
  if (size > 4) return NONE
  if (size === 4) {
    const fifth = group(b, fourth, hi)
    if (fifth === MORE) return MORE
    if (fifth !== NONE && fifth - fourth <= 4) {
      const long = closed(b, start, fifth, 16 + fifth - fourth - 1, allowed, hi)
      if (long !== NONE) return long
    }
  }
  return closed(b, start, fourth, 12 + size, allowed, hi)
}

/** The end of the digits after one separator at `at`; NONE when there is no separator or no digit. */
function group(b: Uint8Array, at: number, hi: number): number {
  if (at >= hi) return MORE
  if (b[at] !== 0x20 && b[at] !== 0x2d) return NONE
  let i = at + 1
  while (i < hi && i - at <= MAX_CARD_DIGITS && isDigit(b[i] ?? 0)) i += 1
  if (i >= hi) return MORE
  return i === at + 1 ? NONE : i
}

function closed(
  b: Uint8Array,
  start: number,
  end: number,
  digits: number,
  allowed: number,
  hi: number,
): number {
  if ((allowed & (1 << digits)) === 0 || !luhn(b, start, end)) return NONE
  if (end >= hi) return MORE
  const next = b[end] ?? 0
  if (hasClass(next, WORD)) return NONE
  if (next !== DOT) return end
  if (end + 1 >= hi) return MORE
  return isDigit(b[end + 1] ?? 0) ? NONE : end
}
