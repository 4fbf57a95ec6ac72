/**
 * The body of a PAX extended header (POSIX.1-2001, pax, "Extended Header"): records of
 * `LENGTH KEY=VALUE\n`, where the length counts the whole record.
 */
import { quotePath } from './quote-path.ts'
import { TarViolation } from './tar-violation.ts'

const SPACE = 0x20
const NEWLINE = 0x0a
const MAX_DIGITS = 8
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Of a key that comes twice the last counts, as POSIX says. Throws TarViolation. */
export function parsePaxRecords(body: Uint8Array): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(SPACE, at)
    const length = space < 0 || space > at + MAX_DIGITS ? 0 : lengthIn(body.subarray(at, space))
    const end = at + length
    if (space < 0 || end <= space + 1 || end > body.length || body[end - 1] !== NEWLINE) {
      throw new TarViolation('an extended header has a record of a wrong length')
    }
    const record = decoder.decode(body.subarray(space + 1, end - 1))
    const equals = record.indexOf('=')
    if (equals < 1) throw new TarViolation('an extended header has a record without a key')
    records.set(record.slice(0, equals), record.slice(equals + 1))
    at = end
  }
  return records
}

function lengthIn(digits: Uint8Array): number {
  const text = decoder.decode(digits)
  return /^[1-9]\d*$/.test(text) ? Number(text) : 0
}

/** A size in bytes, or undefined when the record is not there. */
export function paxNumber(
  records: ReadonlyMap<string, string>,
  ...keys: string[]
): number | undefined {
  const key = keys.find((name) => records.has(name))
  if (key === undefined) return undefined
  const text = records.get(key) ?? ''
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(value)) return value
  throw new TarViolation(`an extended header's ${key} is no size: ${quotePath(text)}`)
}

/** An empty value takes a record back, so that the plain header counts again. */
export function paxText(records: ReadonlyMap<string, string>, key: string): string | undefined {
  const text = records.get(key)
  if (text?.includes('\0') === true) {
    throw new TarViolation(`an extended header's ${key} has a NUL byte in it`)
  }
  return text === '' ? undefined : text
}
