/** International bank account numbers (ISO 13616): country structure and ISO 7064 mod 97-10. */
import { DIGIT, LETTER, MORE, NONE, WORD, hasClass, joinedBefore } from './bytes.ts'

/** BBAN structures of the SWIFT registry: n digits, a letters, c either. */
const STRUCTURES = `AD n8c12 AE n19 AL n8c16 AT n16 AZ a4c20 BA n16 BE n12 BG a4n6c8 BH a4c14 BI n23
BR n23a1c1 BY c4n4c16 CH n5c12 CR n18 CY n8c16 CZ n20 DE n18 DJ n23 DK n14 DO c4n20 EE n16 EG n25
ES n20 FI n14 FK a2n12 FO n14 FR n10c11n2 GB a4n14 GE a2n16 GI a4c15 GL n14 GR n7c16 GT c24
HN a4n20 HR n17 HU n24 IE a4n14 IL n19 IQ a4n15 IS n22 IT a1n10c12 JO a4n4c18 KW a4c22 KZ n3c13
LB n4c20 LC a4c24 LI n5c12 LT n16 LU n3c13 LV a4c13 LY n21 MC n10c11n2 MD c20 ME n18 MK n3c10n2
MN n16 MR n23 MT a4n5c18 MU a4n19a3 NI a4n20 NL a4n10 NO n11 OM n3c16 PK a4c16 PL n24 PS a4c21
PT n21 QA a4c21 RO a4c16 RS n18 RU n14c15 SA n2c18 SC a4n20a3 SD n14 SE n20 SI n15 SK n20
SM a1n10c12 SO n19 ST n21 SV a4n20 TL n19 TN n20 TR n6c16 UA n6c19 VA n18 VG a4n16 XK n16
YE a4n4c18`

const SPACE = 0x20
const DASH = 0x2d

function letterIndex(byte: number): number {
  return (byte | 0x20) - 0x61
}

function countryIndex(first: number, second: number): number {
  return letterIndex(first) * 26 + letterIndex(second)
}

/** The class each BBAN character must have, by country. */
function compile(): (Uint8Array | undefined)[] {
  const table: (Uint8Array | undefined)[] = Array.from({ length: 26 * 26 }, () => undefined)
  const words = STRUCTURES.split(/\s+/)
  for (let i = 0; i + 1 < words.length; i += 2) {
    const [country = '', structure = ''] = words.slice(i, i + 2)
    const classes = [...structure.matchAll(/([nac])(\d+)/g)].flatMap(([, kind, count]) =>
      Array.from({ length: Number(count) }, () =>
        kind === 'n' ? DIGIT : kind === 'a' ? LETTER : WORD,
      ),
    )
    table[countryIndex(country.charCodeAt(0), country.charCodeAt(1))] = Uint8Array.from(classes)
  }
  return table
}

const BBAN = compile()

/** Can the two bytes before `digits` be the country of an IBAN? Cheap, for the scan. */
export function followsCountry(b: Uint8Array, digits: number): boolean {
  if (digits < 2) return false
  const second = b[digits - 1] ?? 0
  const first = b[digits - 2] ?? 0
  if (!hasClass(second, LETTER) || !hasClass(first, LETTER)) return false
  return BBAN[countryIndex(first, second)] !== undefined
}

/** The IBAN whose check digits begin at `digits`; it starts two bytes earlier. */
export function ibanEnd(b: Uint8Array, digits: number, hi: number): number {
  const first = b[digits - 2] ?? 0
  const second = b[digits - 1] ?? 0
  const bban = BBAN[countryIndex(first, second)]
  if (bban === undefined || joinedBefore(b, digits - 2)) return NONE
  if (digits + 2 >= hi) return MORE
  if (!hasClass(b[digits + 1] ?? 0, DIGIT)) return NONE
  let i = digits + 2
  const grouped = b[i] === SPACE || b[i] === DASH
  let remainder = 0
  for (let k = 0; k < bban.length; k += 1) {
    if (grouped && k % 4 === 0) {
      if (i >= hi) return MORE
      if (b[i] !== SPACE && b[i] !== DASH) return NONE
      i += 1
    }
    if (i >= hi) return MORE
    const byte = b[i] ?? 0
    if (!hasClass(byte, bban[k] ?? 0)) return NONE
    remainder = append(remainder, byte)
    i += 1
  }
  if (i >= hi) return MORE
  if (hasClass(b[i] ?? 0, WORD)) return NONE
  for (const byte of [first, second, b[digits] ?? 0, b[digits + 1] ?? 0]) {
    remainder = append(remainder, byte)
  }
  return remainder === 1 ? i : NONE
}

/** ISO 7064: a letter counts as two digits, A = 10 to Z = 35. */
function append(remainder: number, byte: number): number {
  if (hasClass(byte, DIGIT)) return (remainder * 10 + byte - 0x30) % 97
  return (remainder * 100 + letterIndex(byte) + 10) % 97
}
