/**
 * The one pass over the stream. A 256-entry table picks out the few bytes a match can turn on (a
 * digit, `:`, `@`, `+`); a detector then looks at its surroundings, most often to say no after two
 * or three bytes. Text without such bytes costs one load and one compare per byte.
 */
import { MAX_LEAD, MORE, NONE, hasClass, isDigit, LOCAL, HEX } from './bytes.ts'
import { MAX_CARD_DIGITS, MIN_CARD_DIGITS, cardEnd } from './card.ts'
import { emailEnd, emailStart } from './email.ts'
import { followsCountry, ibanEnd } from './iban.ts'
import { ipv4End, ipv6End, ipv6Start } from './ip-address.ts'
import { mayBeginNumber, nationalEnd, numberStart, plusNumberEnd } from './phone.ts'

export const DETECTORS = ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress'] as const
export type Detector = (typeof DETECTORS)[number]

const EMAIL = 0
const PHONE = 1
const CREDIT_CARD = 2
const IBAN = 3
const IP_ADDRESS = 4

const QUIET = 0
const NUMBER = 1
const COLON = 2
const AT = 3
const PLUS = 4

const SPACE = 0x20
const DASH = 0x2d
const DOT = 0x2e

/** Colons this close may belong to one IPv6 address: a group has four digits. */
const COLON_REACH = 5
/** `1:2:3:4:5:6:` and then two groups or an IPv4 address. */
const FULL_ADDRESS_COLONS = 6
const LONG_AGO = -1000

/** What the scan needs to know of the rules, as tables. */
export interface ScanPlan {
  /** Byte to kind of trigger; QUIET for all others. */
  readonly triggers: Uint8Array
  /** Bytes that may stand in a match before its trigger. */
  readonly leads: Uint8Array
  readonly enabled: readonly boolean[]
}

/** The run of colons before the scan position, in stream offsets. */
export interface ColonRun {
  last: number
  count: number
}

export interface HitSink {
  add(rule: number, start: number, end: number): void
}

export function planScan(detectors: ReadonlySet<string>): ScanPlan {
  const enabled = DETECTORS.map((name) => detectors.has(name))
  const on = (detector: number): boolean => enabled[detector] ?? false
  const triggers = new Uint8Array(256)
  if (on(PHONE) || on(CREDIT_CARD) || on(IBAN) || on(IP_ADDRESS)) triggers.fill(NUMBER, 0x30, 0x3a)
  if (on(IP_ADDRESS)) triggers[0x3a] = COLON
  if (on(EMAIL)) triggers[0x40] = AT
  if (on(PHONE)) triggers[0x2b] = PLUS
  const leads = new Uint8Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    const local = hasClass(byte, LOCAL) || (byte >= 0x80 && byte <= 0xdf)
    const address = hasClass(byte, HEX) || byte === 0x3a
    const letter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a
    const lead =
      (on(EMAIL) && local) ||
      (on(IP_ADDRESS) && address) ||
      (on(IBAN) && letter) ||
      (on(PHONE) && byte === 0x28)
    if (lead) leads[byte] = 1
  }
  return { triggers, leads, enabled }
}

/**
 * Scans `b` from `from` to `hi` and reports every match whose trigger lies there. Stops early at a
 * trigger that needs more bytes; gives the position to go on from.
 */
export function scan(
  plan: ScanPlan,
  b: Uint8Array,
  from: number,
  hi: number,
  base: number,
  colons: ColonRun,
  hits: HitSink,
): number {
  const { triggers } = plan
  let lastColon = Math.max(LONG_AGO, colons.last - base)
  let colonCount = colons.count
  let i = from
  while (i < hi) {
    const kind = triggers[b[i] ?? 0]
    if (kind === QUIET) {
      i += 1
      continue
    }
    if (kind === NUMBER) {
      const next = scanNumber(plan, b, i, hi, base, hits)
      if (next === MORE) break
      i = next
      continue
    }
    if (kind === COLON) {
      const near = i - lastColon
      const count = near <= COLON_REACH ? colonCount + 1 : 1
      if (near === 1 || count === FULL_ADDRESS_COLONS) {
        if (report(hits, IP_ADDRESS, base, ipv6Start(b, i), b, hi) === MORE) break
      }
      lastColon = i
      colonCount = count
    } else if (kind === AT) {
      const start = emailStart(b, i)
      const end = emailEnd(b, start, i, hi)
      if (end === MORE) break
      if (end !== NONE) hits.add(EMAIL, base + start, base + end)
    } else {
      const end = plusNumberEnd(b, i, hi)
      if (end === MORE) break
      if (end !== NONE) hits.add(PHONE, base + i, base + end)
    }
    i += 1
  }
  colons.last = lastColon + base
  colons.count = colonCount
  return i
}

function report(
  hits: HitSink,
  detector: number,
  base: number,
  start: number,
  b: Uint8Array,
  hi: number,
): number {
  if (start < 0) return NONE
  const end = ipv6End(b, start, hi)
  if (end > NONE) hits.add(detector, base + start, base + end)
  return end
}

/** All detectors that begin with digits, for the run of digits at `start`; gives the run's end. */
function scanNumber(
  plan: ScanPlan,
  b: Uint8Array,
  start: number,
  hi: number,
  base: number,
  hits: HitSink,
): number {
  let end = start + 1
  while (end < hi && isDigit(b[end] ?? 0)) end += 1
  // A run too long for any number is over with; what follows of it is no beginning either.
  if (end === hi && end - start <= MAX_CARD_DIGITS) return MORE
  if (start > 0 && isDigit(b[start - 1] ?? 0)) return end
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
