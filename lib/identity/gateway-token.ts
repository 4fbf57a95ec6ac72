/**
 * The gateway's own tokens: random, told apart by a prefix that secret scanners can look for, and
 * kept by the store as a digest only. Whoever steals the store can use none of them.
 *
 *   podgate_at_...         access token, in `Authorization: Bearer`
 *   podgate_rt_LOGIN.…     refresh token; names the sign-in that it belongs to
 *   podgate_ac_...         authorization code      podgate_dc_...   device code
 *   podgate_bs_...         cookie of a browser that is signing in
 *
 * What the gateway must be able to read again later (the provider's own refresh token) is sealed
 * under a key that only these tokens open: see `wrapKey`. The gateway itself keeps no key at all.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  diffieHellman,
  createPublicKey,
  createPrivateKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto'

import { credentialId } from './credential-id.ts'

const PREFIXES = {
  access: 'podgate_at_',
  refresh: 'podgate_rt_',
  code: 'podgate_ac_',
  device: 'podgate_dc_',
  browser: 'podgate_bs_',
} as const

export type TokenKind = keyof typeof PREFIXES

const SECRET_BYTES = 32
/** 32 bytes are 43 characters of base64url. */
const SECRET = /^[\w-]{43}$/

/** @param login of a refresh token: the sign-in it belongs to */
export function newToken(kind: TokenKind, login?: string): string {
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return PREFIXES[kind] + (login === undefined ? '' : `${login}.`) + secret
}

export function isToken(kind: TokenKind, text: string): boolean {
  return text.startsWith(PREFIXES[kind])
}

/** Whether it can be one at all, so that rubbish never gets as far as the store. */
export function isWellFormed(kind: TokenKind, text: string): boolean {
  if (!isToken(kind, text)) return false
  const rest = text.slice(PREFIXES[kind].length)
  if (kind !== 'refresh') return SECRET.test(rest)
  const [login = '', secret = '', ...more] = rest.split('.')
  return LOGIN_ID.test(login) && SECRET.test(secret) && more.length === 0
}

const LOGIN_ID = /^l-[0-9a-hjkmnp-tv-z]{20}$/
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** `l-` and 20 characters of Crockford base 32: 100 bits. A name, not a secret. */
export function newLoginId(): string {
  return `l-${Array.from(randomBytes(20), (byte) => ALPHABET[byte % 32] ?? '0').join('')}`
}

/** The sign-in that a well-formed refresh token names. */
export function loginOfRefresh(token: string): string {
  return token.slice(PREFIXES.refresh.length).split('.')[0] ?? ''
}

/** What the store keeps of a token: 256 random bits need no salt and no slow hash. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** A token's name in records and for `revoke token`. Says nothing about what the store keeps. */
export function publicIdOf(token: string): string {
  return credentialId('t', createHash('sha256').update('podgate token id\0').update(token))
}

const IV_BYTES = 12
const TAG_BYTES = 16

function encrypt(key: Uint8Array, plain: Uint8Array): Buffer {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), body])
}

/** @throws Error where the key is another or a bit has changed. */
function decrypt(key: Uint8Array, sealed: Uint8Array): Buffer {
  const iv = sealed.subarray(0, IV_BYTES)
  const tag = sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(tag)
  return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES + TAG_BYTES)), decipher.final()])
}

function keyFrom(token: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', token, '', 'podgate wrap v1', 32))
}

export function newKey(): Buffer {
  return randomBytes(32)
}

/** The key of a sign-in, so that whoever has the token has the key, and nobody else. */
export function wrapKey(token: string, key: Uint8Array): Buffer {
  return encrypt(keyFrom(token), key)
}

/** @throws Error when it was wrapped for another token. */
export function unwrapKey(token: string, wrapped: Uint8Array): Buffer {
  return decrypt(keyFrom(token), wrapped)
}

export function sealText(key: Uint8Array, text: string): Buffer {
  return encrypt(key, Buffer.from(text, 'utf8'))
}

export function openText(key: Uint8Array, sealed: Uint8Array): string {
  return decrypt(key, sealed).toString('utf8')
}

/**
 * A letter box for a device flow: the browser that confirms has only the short code that people
 * type, and what it leaves behind may be read only by whoever holds the device code.
 */
export interface LetterBox {
  publicKey: Buffer
  wrappedPrivateKey: Buffer
}

export function newLetterBox(deviceCode: string): LetterBox {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  const secret = privateKey.export({ format: 'der', type: 'pkcs8' })
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }),
    wrappedPrivateKey: encrypt(keyFrom(deviceCode), secret),
  }
}

function sharedKey(secret: Buffer): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', 'podgate letter v1', 32))
}

/** SPKI of an X25519 key: 12 bytes of header, 32 of key. */
const SPKI_BYTES = 44

export function postLetter(publicKey: Uint8Array, text: string): Buffer {
  const own = generateKeyPairSync('x25519')
  const theirs = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
  const key = sharedKey(diffieHellman({ privateKey: own.privateKey, publicKey: theirs }))
  return Buffer.concat([own.publicKey.export({ format: 'der', type: 'spki' }), sealText(key, text)])
}

/** @throws Error when the device code is another. */
export function openLetter(
  deviceCode: string,
  { wrappedPrivateKey }: Pick<LetterBox, 'wrappedPrivateKey'>,
  letter: Uint8Array,
): string {
  const der = decrypt(keyFrom(deviceCode), wrappedPrivateKey)
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const sender = Buffer.from(letter.subarray(0, SPKI_BYTES))
  const publicKey = createPublicKey({ key: sender, format: 'der', type: 'spki' })
  return openText(sharedKey(diffieHellman({ privateKey, publicKey })), letter.subarray(SPKI_BYTES))
}
