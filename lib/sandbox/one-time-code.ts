/**
 * The second factor of the sandbox's people: one-time codes by the clock (RFC 6238 with its
 * defaults: SHA-1, six digits, a new one every 30 seconds), as any authenticator app makes them.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const STEP_MS = 30_000
const DIGITS = 6
/** RFC 4648 section 6: what apps take as a secret. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** As long as the hash, as RFC 4226 4 recommends; 32 characters without padding. */
export function createCodeSecret(): string {
  return encodeBase32(randomBytes(20))
}

export function oneTimeCode(secret: string, atMs: number): string {
  return codeOfStep(secret, Math.floor(atMs / STEP_MS))
}

export interface CodeCheck {
  /** True once for each code: RFC 6238 5.2 forbids a second use. */
  spend(owner: { name: string; codeSecret: string }, code: string): boolean
}

export function createCodeCheck(now: () => number): CodeCheck {
  const lastSteps = new Map<string, number>()
  return {
    spend: ({ name, codeSecret }, code) => {
      const current = Math.floor(now() / STEP_MS)
      const last = lastSteps.get(name) ?? Number.NEGATIVE_INFINITY
      // The clocks of two machines differ; one step to either side is what RFC 6238 5.2 advises.
      const step = [current - 1, current, current + 1].find(
        (candidate) => candidate > last && isSame(codeOfStep(codeSecret, candidate), code),
      )
      if (step === undefined) return false
      lastSteps.set(name, step)
      return true
    },
  }
}

/** RFC 4226 5.3 */
function codeOfStep(secret: string, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const hash = createHmac('sha1', decodeBase32(secret)).update(counter).digest()
  const offset = hash.readUInt8(hash.length - 1) & 0xf
  const number = (hash.readUInt32BE(offset) & 0x7fff_ffff) % 10 ** DIGITS
  return String(number).padStart(DIGITS, '0')
}

function isSame(expected: string, given: string): boolean {
  const left = Buffer.from(expected)
  const right = Buffer.from(given)
  return left.length === right.length && timingSafeEqual(left, right)
}

function encodeBase32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return bits.replace(/.{5}/gu, (five) => BASE32.charAt(Number.parseInt(five, 2)))
}

function decodeBase32(text: string): Buffer {
  const bits = Array.from(text, (letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0'))
  const bytes = bits.join('').match(/.{8}/gu) ?? []
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)))
}
