/** Country calling codes (ITU-T E.164 annex) and how many digits a number there may have. */

/** `code min-max`, the code's own digits included; national numbering plans, fixed and mobile. */
const KNOWN = `1 11-11 7 11-11 20 10-12 27 11-11 30 12-12 31 11-11 32 10-11 33 11-11 34 11-11
36 10-11 39 9-13 40 11-11 41 11-11 43 9-13 44 11-12 45 10-10 46 9-12 47 10-10 48 11-11 49 10-13
51 10-11 52 12-13 54 12-13 55 12-13 56 11-11 57 12-12 60 10-12 61 11-11 62 10-13 63 11-12 64 10-12
65 10-10 66 10-11 81 11-12 82 10-12 84 11-12 86 11-13 90 12-12 91 12-12 92 12-12 351 12-12
352 9-12 353 10-12 354 10-10 356 11-11 357 11-11 358 9-13 359 11-12 370 11-11 371 11-11 372 10-11
380 12-12 385 11-12 386 11-11 420 12-12 421 12-12 852 11-11 886 11-12 971 11-12 972 11-12`

/** Every other assigned code, as ranges. */
const ASSIGNED = `53 58 93-95 98 211-213 216 218 220-258 260-269 290-291 297-299 350 355 373-378 381-383
387 389 423 500-509 590-599 670 672-683 685-692 800 808 850 853 855-856 870 878 880-883 888 960-968
970 973-977 979 992-996 998`

const DEFAULT_MIN = 8
const DEFAULT_MAX = 13

export interface NumberLength {
  readonly min: number
  readonly max: number
  /** The plan of this country was looked at, so a number without separators is believed as well. */
  readonly known: boolean
}

function compile(): ReadonlyMap<number, NumberLength> {
  const table = new Map<number, NumberLength>()
  for (const range of ASSIGNED.split(/\s+/)) {
    const [first = 0, last = first] = range.split('-').map(Number)
    for (let code = first; code <= last; code += 1) {
      table.set(code, { min: DEFAULT_MIN, max: DEFAULT_MAX, known: false })
    }
  }
  const words = KNOWN.split(/\s+/)
  for (let i = 0; i + 1 < words.length; i += 2) {
    const [min = 0, max = min] = (words[i + 1] ?? '').split('-').map(Number)
    table.set(Number(words[i]), { min, max, known: true })
  }
  return table
}

const CODES = compile()

/** The plan of the code that the first three digits of a number begin with. */
export function numberLength(threeDigits: number): NumberLength | undefined {
  return (
    CODES.get(Math.trunc(threeDigits / 100)) ??
    CODES.get(Math.trunc(threeDigits / 10)) ??
    CODES.get(threeDigits)
  )
}
