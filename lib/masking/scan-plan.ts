/** What a policy's detectors come to as tables: computed once, shared by all its sessions. */
import { HEX, LOCAL, hasClass } from './bytes.ts'
import { type ShapeTable, shapeTableOf } from './shape-table.ts'

export const DETECTORS = ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress'] as const
export type Detector = (typeof DETECTORS)[number]

export const EMAIL = 0
export const PHONE = 1
export const CREDIT_CARD = 2
export const IBAN = 3
export const IP_ADDRESS = 4

export const QUIET = 0
export const NUMBER = 1
export const COLON = 2
export const AT = 3
export const PLUS = 4

/** Words per lane of the automaton. */
export const LANE_WORDS = 4096

/** What the scan needs to know of the rules, as tables. */
export interface ScanPlan {
  /** Byte to kind of trigger; QUIET for all others. */
  readonly triggers: Uint8Array
  /** Bytes that may stand in a match before its trigger. */
  readonly leads: Uint8Array
  readonly enabled: readonly boolean[]
  readonly shapes: ShapeTable
  /** Where the lanes stopped; only in use within one call of `scan`. */
  readonly stops: Int32Array
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
  return {
    triggers,
    leads,
    enabled,
    shapes: shapeTableOf(DETECTORS.filter((_, k) => enabled[k])),
    stops: new Int32Array(LANE_WORDS),
  }
}
