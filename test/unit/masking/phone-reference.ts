/** The second opinion on telephone numbers: lists of groups and regular expressions on whole text. */
import { numberLength } from '../../../lib/masking/calling-codes.ts'
import { type Ranges, joined } from './reference.ts'

/** What may not follow a number in national form. */
const END = '(?![A-Za-z0-9_:])(?![-./]\\d)'
const NORTH_AMERICAN = [
  new RegExp(`^1([-.])[2-9]\\d\\d\\1[2-9]\\d\\d\\1\\d{4}${END}`),
  new RegExp(`^[2-9]\\d\\d([-.])[2-9]\\d\\d\\1\\d{4}${END}`),
]
const NORTH_AMERICAN_ENCLOSED = new RegExp(`^[2-9]\\d\\d\\) ?[2-9]\\d\\d[-. ]\\d{4}${END}`)
const FRENCH = new RegExp(`^0[1-9]([ .-])\\d\\d(?:\\1\\d\\d){3}${END}(?!\\1[0-9A-Fa-f]{2})`)
const FOUR_FOUR = new RegExp(`^0[1-9]([ -])\\d{4}\\1\\d{4}${END}`)
const TIED = /(?:[A-Za-z0-9][-./,]|\d:|_|[0-9A-Fa-f]{2} )$/
const PAIRS = new Set([' (', '-(', ') ', ')-', ')/', ' -', ' /', '- ', '/ '])

interface Group {
  gap: string
  digits: string
  end: number
}

/** Groups of digits from `from`, each with the gap before it. */
function groupsAt(text: string, from: number): Group[] {
  const groups: Group[] = []
  for (let at = from; ;) {
    const gap = groups.length === 0 ? '' : gapAt(text, at)
    if (gap === undefined) return groups
    const digits = /^\d+/.exec(text.slice(at + gap.length, at + gap.length + 40))?.[0]
    if (digits === undefined) return groups
    at += gap.length + digits.length
    groups.push({ gap, digits, end: at })
    if (groups.length > 20) return groups
  }
}

function gapAt(text: string, at: number): string | undefined {
  const rest = text.slice(at, at + 8)
  for (let tokens = 1, size = 0; tokens <= 4; tokens += 1) {
    if (rest.slice(0, size).endsWith('(') && rest.startsWith('0)', size)) size += 2
    else if (/^[ \-./()]/.test(rest.slice(size))) {
      if (size > 0 && !PAIRS.has(rest.slice(size - 1, size + 1))) return undefined
      size += 1
    } else return undefined
    const ahead = rest.slice(size)
    const dropped = rest.slice(0, size).endsWith('(') && ahead.startsWith('0)')
    if (/^\d/.test(ahead) && !dropped) return rest.slice(0, size)
  }
  return undefined
}

function international(text: string, at: number, strict: boolean): number | undefined {
  if (!/^[1-9]/.test(text.slice(at))) return undefined
  let best: number | undefined
  let digits = ''
  for (const group of groupsAt(text, at)) {
    digits += group.digits
    if (digits.length < 3) continue
    const plan = numberLength(Number(digits.slice(0, 3)))
    if (plan === undefined || (strict && !plan.known)) return undefined
    if (digits.length > plan.max) return best
    const plausible = /^1[2-9]..[2-9]/.test(digits) || !digits.startsWith('1')
    const closed = !/^[A-Za-z0-9_:]/.test(text.slice(group.end))
    if (digits.length >= plan.min && closed && plausible) best = group.end
    if (digits.length === plan.max || group.end - at > 32) return best
  }
  return best
}

function trunk(text: string, at: number): number | undefined {
  let best: number | undefined
  let digits = 0
  let fours = true
  for (const [k, group] of groupsAt(text, at).entries()) {
    if (k > 4) break
    if (k === 0 && !/^0[1-9]\d{1,4}$/.test(group.digits)) return undefined
    if (k === 1 && group.gap.startsWith('.')) return undefined
    if (k > 1 && !/^[ -]/.test(group.gap)) return best
    fours &&= group.digits.length === 4
    digits += group.digits.length
    if (digits > 12) return fours ? undefined : best
    if (group.digits.length < 2) return best
    if (k > 0 && digits > 8 && new RegExp(`^${END}`).test(text.slice(group.end))) best = group.end
  }
  return best
}

function national(text: string, at: number): number | undefined {
  const rest = text.slice(at, at + 60)
  const run = /^\d+/.exec(rest)?.[0] ?? ''
  const enclosed = text[at - 1] === '('
  if (!rest.startsWith('00') && enclosed !== (rest[run.length] === ')')) return undefined
  const ends = (regex: RegExp): number | undefined => {
    const found = regex.exec(rest)
    return found === null ? undefined : at + found[0].length
  }
  if (!rest.startsWith('0')) {
    const forms = enclosed ? [NORTH_AMERICAN_ENCLOSED] : NORTH_AMERICAN
    return forms.map(ends).find((end) => end !== undefined)
  }
  if (rest.startsWith('00')) {
    if (run.length > 19) return undefined
    if (run.length > 2) return international(text, at + 2, true)
    return /^00[ -]/.test(rest) ? international(text, at + 3, true) : undefined
  }
  if (run.length === 2) return ends(FRENCH) ?? ends(FOUR_FOUR)
  return trunk(text, at)
}

export function phones(text: string): Ranges {
  const found: Ranges = []
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '+' && text[i - 1] !== '+' && !joined(text, i)) {
      const end = international(text, i + 1, false)
      if (end !== undefined) found.push([i, end])
    }
    const begins = /\d/.test(text[i] ?? '') && !/\d/.test(text[i - 1] ?? '')
    if (!begins || joined(text, i) || TIED.test(text.slice(Math.max(0, i - 3), i))) continue
    const end = national(text, i)
    if (end !== undefined) found.push([text[i - 1] === '(' ? i - 1 : i, end])
  }
  return found
}
