/**
 * A second opinion, written from the documented definition and not from the code: slow, on the
 * whole stream as one Latin-1 string, by V8 regular expressions tried at every position. No state,
 * no chunks, no triggers, no shapes.
 */

export type Ranges = [number, number][]

const ESC = '\u001b'
const CONTROL_SEQUENCE = `(?:${ESC}|\\\\x1b|\\\\u001b)\\[[0-?]{0,19}`
const ESCAPE_END = new RegExp(
  String.raw`(?:\\[nrtbf]|\\u[0-9A-Fa-f]{4}|${CONTROL_SEQUENCE}[A-Za-z])$`,
)
const IN_CONTROL_SEQUENCE = new RegExp(`${CONTROL_SEQUENCE}$`)
const TEXT = new RegExp(`^[\\0\u0007\t\n\r${ESC} -~]*$`)

const CARD_SHAPES = [
  /\d{13,19}(?!\d)/y,
  /\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,3}(?!\d)/y,
  /\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,4}(?!\d)/y,
  /\d{4}[ -]\d{6}[ -]\d{4,5}(?!\d)/y,
  /\d{6}[ -]\d{13}(?!\d)/y,
]

function at(regex: RegExp, text: string, index: number): string | undefined {
  regex.lastIndex = index
  return regex.exec(text)?.[0]
}

/** Is the letter or digit before `index` of the same word, and not the end of an escape? */
export function joined(text: string, index: number): boolean {
  const before = text.slice(Math.max(0, index - 30), index)
  if (!/[A-Za-z0-9]$/.test(before)) return false
  if (/\d$/.test(before)) return true
  return !ESCAPE_END.test(before)
}

function luhn(digits: string): boolean {
  let sum = 0
  for (let k = 0; k < digits.length; k += 1) {
    const digit = Number(digits[digits.length - 1 - k])
    sum += k % 2 === 0 ? digit : ([0, 2, 4, 6, 8, 1, 3, 5, 7, 9][digit] ?? 0)
  }
  return sum % 10 === 0
}

function issued(digits: string): boolean {
  const n = digits.length
  const four = Number(digits.slice(0, 4))
  const two = Math.floor(four / 100)
  if (digits.startsWith('4')) return n === 13 || n === 16 || n === 19
  if (two === 34 || two === 37) return n === 15
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return n === 16
  if ((four >= 3000 && four <= 3059) || (four >= 3090 && four <= 3099)) return n === 14 || n === 16
  if (two === 36 || two === 38 || two === 39) return n === 14 || n === 16
  if ((four >= 3528 && four <= 3589) || two === 62 || (four >= 2200 && four <= 2204)) return n >= 16
  if (four === 6011 || (four >= 6440 && four <= 6599)) return n === 16 || n === 19
  if ([5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763].includes(four)) return n >= 13
  return n === 16 && (two === 81 || two === 82 || (four >= 5080 && four <= 5089) || four === 9792)
}

export function cards(text: string): Ranges {
  const found: Ranges = []
  for (let i = 0; i < text.length; i += 1) {
    if (!/\d/.test(text[i] ?? '') || joined(text, i)) continue
    if (/[A-Za-z0-9]\.$/.test(text.slice(Math.max(0, i - 2), i))) continue
    for (const shape of CARD_SHAPES) {
      const value = at(shape, text, i)
      if (value === undefined) continue
      const digits = value.replaceAll(/\D/g, '')
      const rest = text.slice(i + value.length, i + value.length + 2)
      if (/^(?:[A-Za-z]|\.\d)/.test(rest) || !issued(digits) || !luhn(digits)) continue
      found.push([i, i + value.length])
      break
    }
  }
  return found
}

/** From the SWIFT registry: total lengths. Structures are left to the code under test. */
const IBAN_LENGTH: Readonly<Record<string, number>> = Object.fromEntries(
  `AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23
IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30
NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23
ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30`
    .split(/\s/)
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)

export function ibanLengths(): Readonly<Record<string, number>> {
  return IBAN_LENGTH
}

export function ibans(text: string): Ranges {
  const found: Ranges = []
  for (let i = 0; i < text.length; i += 1) {
    const country = at(/[A-Za-z]{2}(?=\d\d)/y, text, i)
    const length = IBAN_LENGTH[country?.toUpperCase() ?? '']
    if (length === undefined || joined(text, i)) continue
    const grouped = `(?:[ -][A-Za-z0-9]{4}){${Math.floor((length - 4) / 4)}}`
    const rest = (length - 4) % 4
    const tail = rest > 0 ? `[ -][A-Za-z0-9]{${rest}}` : ''
    const value =
      at(new RegExp(`[A-Za-z0-9]{4}${grouped}${tail}(?![A-Za-z0-9])`, 'y'), text, i) ??
      at(new RegExp(`[A-Za-z0-9]{${length}}(?![A-Za-z0-9])`, 'y'), text, i)
    if (value === undefined) continue
    const plain = value.replaceAll(/[ -]/g, '').toUpperCase()
    const turned = (plain.slice(4) + plain.slice(0, 4)).replaceAll(/[A-Z]/g, (letter) =>
      String(letter.charCodeAt(0) - 55),
    )
    if (BigInt(turned) % 97n === 1n) found.push([i, i + value.length])
  }
  return found
}

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]\\d|\\d)'
const IPV4 = new RegExp(`${OCTET}(?:\\.${OCTET}){3}(?![A-Za-z0-9])(?!\\.\\d)(?!-[A-Za-z])`, 'y')
const EMBEDDED = new RegExp(`${OCTET}(?:\\.${OCTET}){3}$`)

export function ipv4s(text: string): Ranges {
  const found: Ranges = []
  for (let i = 0; i < text.length; i += 1) {
    if (!/\d/.test(text[i] ?? '') || joined(text, i)) continue
    if (/[A-Za-z0-9]\.$/.test(text.slice(Math.max(0, i - 2), i))) continue
    const value = at(IPV4, text, i)
    if (value !== undefined) found.push([i, i + value.length])
  }
  return found
}

/** Whole runs of hex digits, colons and, after a colon, one dotted tail. */
export function ipv6s(text: string): Ranges {
  const found: Ranges = []
  for (const run of text.matchAll(/[0-9A-Fa-f:]*:[0-9A-Fa-f:]*/g)) {
    // A group of five digits or more is a word before the address.
    const long = /^.*[0-9A-Fa-f]{5,}(?=:)/.exec(run[0])?.[0].length ?? 0
    let start = run.index + long
    let value = run[0].slice(long)
    const word = long > 0 || joined(text, start) || text[start - 1] === '_'
    const first = value.indexOf(':')
    if (word && value[first + 1] === ':') continue
    if (word || (value.startsWith(':') && !value.startsWith('::'))) {
      start += first + 1
      value = value.slice(first + 1)
    }
    const dotted = at(/\d+(?:\.\d+){3}/y, text, start + value.lastIndexOf(':') + 1)
    if (dotted !== undefined && EMBEDDED.test(dotted) && dotted === EMBEDDED.exec(dotted)?.[0]) {
      value = value.slice(0, value.lastIndexOf(':') + 1) + dotted
    } else if (/[0-9A-Fa-f]:$/.test(value)) value = value.slice(0, -1)
    const rest = text.slice(start + value.length, start + value.length + 2)
    if (/^[A-Za-z0-9_]/.test(rest) || !isIpv6(value)) continue
    if (!value.includes('.') && /^\.\d/.test(rest)) continue
    const digits = value.replaceAll(':', '')
    const mixed = /[a-f]/.test(digits) && /[A-F]/.test(digits)
    const written =
      TEXT.test((text[start - 1] ?? '') + (text[start + value.length] ?? '')) &&
      /^(?:[23]...|f[cdf]..|fe[89ab].):/i.test(value)
    if (!value.includes('.') && digits.length < 8 && (mixed || !written)) continue
    found.push([start, start + value.length])
  }
  return found
}

function isIpv6(value: string): boolean {
  const embedded = value.includes('.')
  const plain = embedded ? value.replace(/[\d.]+$/, '0:0') : value
  if (!/^[0-9A-Fa-f:]+$/.test(plain) || /:::/.test(plain)) return false
  const halves = plain.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  if (groups.some((group) => !/^[0-9A-Fa-f]{1,4}$/.test(group))) return false
  if (halves.length === 1) return groups.length === 8
  if (groups.length > 7) return false
  const digits = groups.join('')
  return embedded || (digits.length >= 5 && (/\d/.test(digits) || groups.length > 2))
}

/** The bytes of `text` under any range, as stars: for ASCII text, where a byte is a cell. */
export function starsOver(text: string, ranges: Ranges): string {
  const out = Array.from(text)
  for (const [start, end] of ranges) out.fill('*', start, end)
  return out.join('')
}

const LOCAL = /[A-Za-z0-9._%+-]/
const TLD = /^(?:[A-Za-z]{2,}|xn-[A-Za-z0-9-]*)$/

/** ASCII addresses. */
export function emails(text: string): Ranges {
  const found: Ranges = []
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] !== '@') continue
    const start = localStart(text, i)
    const run = at(/[A-Za-z0-9.-]*/y, text, i + 1) ?? ''
    const domain = bestDomain(run.slice(0, 255))
    if (start === i || domain === '') continue
    const end = i + 1 + domain.length
    const ending = /[A-Za-z]*$/.exec(domain)?.[0] ?? ''
    const odd = /[a-z]/.test(ending) && /[A-Z]/.test(ending)
    if (odd && end - start < 14) continue
    const before = /[^\n\r]{0,8}$/.exec(text.slice(0, start))?.[0] ?? ''
    const after = /^[^\n\r]{0,8}/.exec(text.slice(end))?.[0] ?? ''
    if ((odd || end - start < 14) && !TEXT.test(before + after)) continue
    found.push([start, end])
  }
  return found
}

function localStart(text: string, sign: number): number {
  let start = sign
  while (start > 0 && sign - start < 64 && LOCAL.test(text[start - 1] ?? '')) start -= 1
  const run = text.slice(start, sign)
  const before = text.slice(Math.max(0, start - 24), start)
  let skip = 0
  if (before.endsWith('\\')) {
    skip = /^(?:[nrtbf]|u[0-9A-Fa-f]{4})/.exec(run)?.[0].length ?? 0
  } else if (IN_CONTROL_SEQUENCE.test(before)) {
    skip = /^\d*[A-Za-z]/.exec(run)?.[0].length ?? 0
  }
  const name = run.slice(skip)
  return sign - name.length + (/[A-Za-z0-9_]/.exec(name)?.index ?? name.length)
}

function bestDomain(run: string): string {
  let best = ''
  const labels = run.split('.')
  const usable = labels.findIndex((label) => label === '' || label.startsWith('-'))
  const known = usable < 0 ? labels : labels.slice(0, usable)
  for (let k = 1; k < known.length; k += 1) {
    const label = known[k] ?? ''
    const head = /^[A-Za-z]*/.exec(label)?.[0] ?? ''
    const prefix = known.slice(0, k).join('.')
    if (head.length > 1 && (head === label || label[head.length] === '-')) {
      best = `${prefix}.${head}`
    }
    if (label.startsWith('xn-') && label.length > 4 && TLD.test(label)) best = `${prefix}.${label}`
  }
  const versions = known.slice(0, 2).every((label) => /^\d+$/.test(label)) && known.length > 2
  return versions ? '' : best
}
