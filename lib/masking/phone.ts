/** Telephone numbers in international form: E.164 with `+` or `00`, and how numbers are written. */
import { MORE, NONE, WORD, hasClass, isDigit, joinedBefore } from './bytes.ts'
import { numberLength } from './calling-codes.ts'

const SPACE = 0x20
const DASH = 0x2d
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a
const ZERO = 0x30
const OPEN = 0x28
const CLOSE = 0x29
const PLUS = 0x2b
const UNDERSCORE = 0x5f
/** E.164 6.2.1 allows 15 digits; with separators nobody writes longer than this. */
const MAX_NUMBER = 32

/** A number in international form whose `+` stands at `plus`. */
export function plusNumberEnd(b: Uint8Array, plus: number, hi: number): number {
  if (plus > 0 && (b[plus - 1] === PLUS || joinedBefore(b, plus))) return NONE
  return internationalEnd(b, plus + 1, hi, false)
}

/** Country code and subscriber from `at`; the longest run of groups its numbering plan allows. */
export function internationalEnd(b: Uint8Array, at: number, hi: number, strict: boolean): number {
  if (at >= hi) return MORE
  if (b[at] === ZERO) return NONE
  let i = at
  let digits = 0
  let lead = 0
  let best = NONE
  let min = 0
  let max = 15
  for (;;) {
    const group = i
    while (i < hi && digits <= max && isDigit(b[i] ?? 0)) {
      if (digits < 7) lead = lead * 10 + (b[i] ?? 0) - ZERO
      digits += 1
      i += 1
      if (digits === 3) {
        const plan = numberLength(lead)
        if (plan === undefined || (strict && !plan.known)) return NONE
        min = plan.min
        max = plan.max
      }
    }
    if (i >= hi) return MORE
    if (i === group || digits > max) return best
    if (digits >= min && digits > 2 && endsNumber(b[i] ?? 0) && plausible(lead)) best = i
    if (digits === max || i - at > MAX_NUMBER) return best
    const next = separated(b, i, hi)
    if (next <= NONE) return next === MORE ? MORE : best
    i = next
  }
}

/** In the North American plan area and exchange begin with 2 to 9. `lead` is 1 NPA NXX. */
function plausible(lead: number): boolean {
  if (lead < 1_000_000 || lead > 1_999_999) return true
  return Math.trunc(lead / 100_000) % 10 > 1 && Math.trunc(lead / 100) % 10 > 1
}

/** May a number end before `byte`? */
export function endsNumber(byte: number): boolean {
  return !hasClass(byte, WORD) && byte !== UNDERSCORE && byte !== COLON
}

/** Past the separator at `i`, to the next digit; `(0)`, the trunk digit, counts as a separator. */
export function separated(b: Uint8Array, i: number, hi: number): number {
  let k = i
  for (let taken = 0; taken < 5; taken += 1) {
    if (k >= hi) return MORE
    const byte = b[k] ?? 0
    if (isDigit(byte)) {
      if (byte !== ZERO || b[k - 1] !== OPEN) return taken > 0 ? k : NONE
      if (k + 1 >= hi) return MORE
      if (b[k + 1] !== CLOSE) return k
      k += 1
    } else if (!isSeparator(byte) || (taken > 0 && !pairs(b[k - 1] ?? 0, byte))) return NONE
    k += 1
  }
  return NONE
}

function isSeparator(byte: number): boolean {
  return (
    byte === SPACE ||
    byte === DASH ||
    byte === DOT ||
    byte === SLASH ||
    byte === OPEN ||
    byte === CLOSE
  )
}

/** Two separators in a row: ` (`, `) `, ` / `, ` - `, `)-`; never two spaces, a column gap. */
function pairs(first: number, second: number): boolean {
  if (second === OPEN) return first === SPACE || first === DASH
  if (first === CLOSE) return second === SPACE || second === DASH || second === SLASH
  if (first === SPACE) return second === DASH || second === SLASH
  return second === SPACE && (first === DASH || first === SLASH)
}
