/** Names of sessions: sortable by time, unguessable, safe in a URL, a header and a shell. */
import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARS = 9
const RANDOM_BYTES = 16

/** `s-` + 9 characters of milliseconds + 16 of randomness (80 bits), all Crockford base 32. */
export function newSessionId(nowMs: number): string {
  let time = ''
  for (let rest = nowMs, i = 0; i < TIME_CHARS; i += 1) {
    time = (ALPHABET[rest % 32] ?? '0') + time
    rest = Math.floor(rest / 32)
  }
  let random = ''
  for (const byte of randomBytes(RANDOM_BYTES)) random += ALPHABET[byte % 32] ?? '0'
  return `s-${time}${random}`
}
