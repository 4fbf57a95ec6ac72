/**
 * The pass over the stream. Triggers are the bytes a match can turn on: a digit, `:`, `@`, `+`. At
 * each, the detectors look at its surroundings and most often say no after two or three bytes.
 *
 * Long input goes through the shape automaton first, in two lanes because each step waits for the
 * one before; then only the triggers shortly before a recognised shape are looked at. Both ways
 * find the same matches: the shapes only leave out triggers that no detector would accept.
 */
import { MAX_LEAD, MORE, NONE, isDigit } from './bytes.ts'
import { MAX_CARD_DIGITS, MIN_CARD_DIGITS, cardEnd } from './card.ts'
import { emailEnd, emailStart } from './email.ts'
import { followsCountry, ibanEnd } from './iban.ts'
import { ipv4End, ipv6End, ipv6Start } from './ip-address.ts'
import { mayBeginNumber, nationalEnd, numberStart } from './phone-national.ts'
import { plusNumberEnd } from './phone.ts'
import {
  AT,
  CREDIT_CARD,
  EMAIL,
  IBAN,
  IP_ADDRESS,
  LANE_WORDS,
  NUMBER,
  PHONE,
  PLUS,
  QUIET,
  type ScanPlan,
} from './scan-plan.ts'
import { runLanes } from './shape-table.ts'
import { SHAPE_DEPTH } from './shapes.ts'

const SPACE = 0x20
const DASH = 0x2d
const DOT = 0x2e
const COLON = 0x3a

/** Colons this close may belong to one IPv6 address: a group has four digits. */
const COLON_REACH = 5
/** `1:2:3:4:5:6:` and then two groups or an IPv4 address. */
const FULL_ADDRESS_COLONS = 6
/** Below this the automaton's warm-up costs more than it saves. */
const MIN_FAST = 512

/** The same memory twice. */
export interface WordBytes {
  readonly bytes: Uint8Array
  readonly words: Uint16Array
}

export interface HitSink {
  add(rule: number, start: number, end: number): void
}

/**
 * Scans the bytes from `from` to `hi` and reports every match whose trigger lies there. Stops early at a
 * trigger that needs more bytes; gives the position to go on from.
 */
export function scan(
  plan: ScanPlan,
  { bytes: b, words }: WordBytes,
  from: number,
  hi: number,
  base: number,
  hits: HitSink,
): number {
  if (!plan.enabled.includes(true)) return hi
  const { stops } = plan
  let at = from
  while (hi - at >= MIN_FAST) {
    const half = Math.min(LANE_WORDS, (hi - at) >> 2)
    // A word may begin with the byte before `at`.
    const first = at >> 1
    const count = runLanes(plan.shapes, stops, words, first, half)
    const end = 2 * (first + 2 * half)
    let next = at
    for (let lane = 0; lane < 2; lane += 1) {
      for (let k = 0; k < count; k += 1) {
        const packed = stops[k] ?? 0
        const stop = 2 * ((packed >> 2) + lane * half)
        if ((packed & (1 << lane)) === 0 || stop + 1 < next) continue
        next = examine(plan, b, Math.max(next, stop - SHAPE_DEPTH), stop + 2, hi, base, hits)
        if (next < 0) return ~next
      }
    }
    // A shape may still be on its way where the lanes end.
    next = examine(plan, b, Math.max(next, end - SHAPE_DEPTH), end, hi, base, hits)
    if (next < 0) return ~next
    at = next
  }
  const next = examine(plan, b, at, hi, hi, base, hits)
  return next < 0 ? ~next : next
}

/**
 * Looks at every trigger in [from, to). Gives the position it came to, or, if the trigger at `i`
 * needs more bytes, `~i`.
 */
function examine(
  plan: ScanPlan,
  b: Uint8Array,
  from: number,
  to: number,
  hi: number,
  base: number,
  hits: HitSink,
): number {
  const { triggers } = plan
  let i = from
  while (i < to) {
    const kind = triggers[b[i] ?? 0]
    if (kind === QUIET) {
      i += 1
      continue
    }
    if (kind === NUMBER) {
      const next = examineNumber(plan, b, i, hi, base, hits)
      if (next === MORE) return ~i
      i = next
      continue
    }
    if (examineMark(kind, b, i, hi, base, hits) === MORE) return ~i
    i += 1
  }
  return i
}

function examineMark(
  kind: number | undefined,
  b: Uint8Array,
  i: number,
  hi: number,
  base: number,
  hits: HitSink,
): number {
  let start = i
  let end = NONE
  let detector = PHONE
  if (kind === AT) {
    detector = EMAIL
    start = emailStart(b, i)
    end = emailEnd(b, start, i, hi)
  } else if (kind === PLUS) {
    end = plusNumberEnd(b, i, hi)
  } else if (b[i - 1] === COLON || colonsBefore(b, i) >= FULL_ADDRESS_COLONS - 1) {
    detector = IP_ADDRESS
    start = ipv6Start(b, i)
    if (start >= 0) end = ipv6End(b, start, hi)
  }
  if (end > NONE) hits.add(detector, base + start, base + end)
  return end
}

/** How many colons precede the one at `at`, each close enough to be of the same address. */
function colonsBefore(b: Uint8Array, at: number): number {
  let count = 0
  let last = at
  for (let i = at - 1; i >= 0 && last - i <= COLON_REACH && count < FULL_ADDRESS_COLONS; i -= 1) {
    if (b[i] !== COLON) continue
    count += 1
    last = i
  }
  return count
}

/** All detectors that begin with digits, for the run of digits at `start`; gives the run's end. */
function examineNumber(
  plan: ScanPlan,
  b: Uint8Array,
  start: number,
  hi: number,
  base: number,
  hits: HitSink,
): number {
  let end = start + 1
  while (end < hi && isDigit(b[end] ?? 0)) end += 1
  if (start > 0 && isDigit(b[start - 1] ?? 0)) return end
  // A run too long for any number is over with; what follows of it is no beginning either.
  if (end === hi && end - start <= MAX_CARD_DIGITS) return MORE
  const { enabled } = plan
  const run = end - start
  const next = end < hi ? (b[end] ?? 0) : 0
  let iban = NONE
  let card = NONE
  let address = NONE
  let phone = NONE
  if (enabled[IBAN] && followsCountry(b, start)) {
    iban = ibanEnd(b, start, hi)
    if (iban === MORE) return MORE
  }
  if (run > 3) {
    const separated = (run === 4 || run === 6) && (next === SPACE || next === DASH)
    const plain = run >= MIN_CARD_DIGITS && run <= MAX_CARD_DIGITS
    if ((separated || plain) && enabled[CREDIT_CARD]) {
      card = cardEnd(b, start, end, hi)
      if (card === MORE) return MORE
    }
  } else if (next === DOT && enabled[IP_ADDRESS]) {
    address = ipv4End(b, start, end, hi)
    if (address === MORE) return MORE
  }
  if (enabled[PHONE] && run <= MAX_CARD_DIGITS && mayBeginNumber(b, start, end, next)) {
    phone = nationalEnd(b, start, end, hi)
    if (phone === MORE) return MORE
  }
  if (iban !== NONE) hits.add(IBAN, base + start - 2, base + iban)
  if (card !== NONE) hits.add(CREDIT_CARD, base + start, base + card)
  if (address !== NONE) hits.add(IP_ADDRESS, base + start, base + address)
  if (phone !== NONE) hits.add(PHONE, base + numberStart(b, start), base + phone)
  return end
}

/**
 * The first byte that a match with its trigger at or after `at` may still cover: the bytes before
 * `at` that could lead up to one, at most MAX_LEAD of them.
 */
export function holdFrom(plan: ScanPlan, b: Uint8Array, at: number): number {
  const limit = Math.max(0, at - MAX_LEAD)
  let from = at
  while (from > limit && plan.leads[b[from - 1] ?? 0] === 1) from -= 1
  return from
}
