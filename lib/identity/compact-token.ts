/**
 * A token as text, before anybody has signed for it: JWS compact form (RFC 7515 section 7.1) that
 * can be read in one way only. PURE.
 *
 * Two readers must not see two tokens in one text, and no second text may stand for the same token:
 * what names a token in records and revocations is computed from its text.
 */
import { isObject } from '../api/json-object.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Claims } from './claims.ts'

/** Of whoever issues it; the gateway's own are shorter by far. */
export const MAX_TOKEN_BYTES: number = 32 * 1024

export interface CompactToken {
  text: string
  header: Claims
  /** Whatever somebody has written: not verified yet. */
  claims: Claims
  /** What the signature is over. A signature may be written in several ways, this may not. */
  signingInput: string
}

/** @throws GatewayError Unauthorized */
export function readToken(token: string): CompactToken {
  const [header, payload, signature, ...rest] = token.split('.')
  if (header === undefined || payload === undefined || rest.length > 0 || signature === undefined) {
    throw refuse(
      'the token is not a signed ID token (JWT). See what your kubeconfig sends: kubectl config view --minify',
    )
  }
  decode(signature)
  return {
    text: token,
    header: parseObject(decode(header), 'the token does not begin with a header'),
    claims: parseClaims(decode(payload)),
    signingInput: `${header}.${payload}`,
  }
}

/** RFC 7515 section 2: without padding, white space or bits that stand for nothing. */
function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw refuse('the token is not in base64url')
  return bytes
}

/** @throws GatewayError Unauthorized */
export function parseClaims(payload: Uint8Array): Claims {
  return parseObject(payload, 'the token does not hold claims')
}

function parseObject(bytes: Uint8Array, fault: string): Claims {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    if (isObject(value)) {
      // RFC 7519 section 4: one reader takes the first, another one the last.
      if (hasRepeatedName(text)) throw new TypeError('a name stands twice in one object')
      return value
    }
    throw new TypeError('not a JSON object')
  } catch (error) {
    throw refuse(fault, error)
  }
}

/** In JSON that has been parsed only texts hold brackets and commas that mean nothing. */
const JSON_PIECE = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]/gu

function hasRepeatedName(json: string): boolean {
  /** Of the objects that are open; undefined for lists. */
  const open: (Set<string> | undefined)[] = []
  let isName = false
  for (const [piece] of json.matchAll(JSON_PIECE)) {
    if (piece === '{' || piece === '[') {
      open.push(piece === '{' ? new Set() : undefined)
      isName = piece === '{'
    } else if (piece === '}' || piece === ']') {
      open.pop()
      isName = false
    } else if (piece === ',') isName = open.at(-1) !== undefined
    else if (isName) {
      const names = open.at(-1)
      const name = JSON.parse(piece) as string
      if (names?.has(name) === true) return true
      names?.add(name)
      isName = false
    }
  }
  return false
}

function refuse(message: string, cause?: unknown): GatewayError {
  return new GatewayError('Unauthorized', message, { id: 1402, cause })
}
