/** What the command line asks for when it opens a browser (RFC 6749 4.1.1, RFC 7636, RFC 8252). PURE. */
import { GatewayError } from '../errors/gateway-error.ts'
import type { Freshness } from '../identity/oidc-sign-in.ts'
import type { Purpose } from './browser-flow.ts'

/** The only client there is: a command on a person's own machine, which can keep no secret. */
export const CLIENT_ID = 'podgate-cli'

/** It is kept, for somebody whom nobody knows yet. */
const MAX_REDIRECT_URI = 256
const CHALLENGE = /^[\w-]{43}$/
const STATE = /^[\w.~-]{16,256}$/
const ACR = /^[!-~]{1,200}$/

function bad(message: string): GatewayError {
  return new GatewayError('BadRequest', message, { id: 1456 })
}

type Query = Readonly<Record<string, unknown>>

function single(query: Query, name: string): string {
  const value = query[name] ?? ''
  if (typeof value !== 'string') throw bad(`${name} may be given once only`)
  return value
}

/** RFC 8252 7.3: the loopback interface by number, on any port; a name could be resolved elsewhere. */
export function isLoopback(address: string): boolean {
  if (!URL.canParse(address)) return false
  const url = new URL(address)
  return (
    url.protocol === 'http:' &&
    (url.hostname === '127.0.0.1' || url.hostname === '[::1]') &&
    url.port !== '' &&
    url.username === '' &&
    url.password === '' &&
    url.hash === '' &&
    url.search === ''
  )
}

/** How fresh a sign-in is wanted: `prompt=login` or `max_age=0`, and `acr_values`. */
export function freshnessOf(query: Query): Freshness {
  const acr = single(query, 'acr_values')
    .split(' ')
    .filter((value) => value !== '')
  if (acr.length > 8 || !acr.every((value) => ACR.test(value)))
    throw bad('acr_values cannot be read')
  const maxAge = single(query, 'max_age')
  if (maxAge !== '' && maxAge !== '0') throw bad('max_age is not 0; any other age is for policies')
  return {
    fresh: single(query, 'prompt') === 'login' || maxAge === '0',
    acr,
  }
}

export interface AuthorizeAsk {
  purpose: Purpose & { kind: 'Loopback' }
  freshness: Freshness
  /** Empty: not chosen yet. */
  provider: string
}

/** @throws GatewayError BadRequest; nothing of it may be sent to the address that was asked for */
export function parseAuthorize(query: Query): AuthorizeAsk {
  if (single(query, 'client_id') !== CLIENT_ID) throw bad(`client_id is not ${CLIENT_ID}`)
  if (single(query, 'response_type') !== 'code') throw bad('response_type is not code')
  const redirectUri = single(query, 'redirect_uri')
  if (redirectUri.length > MAX_REDIRECT_URI || !isLoopback(redirectUri)) {
    throw bad('redirect_uri is not an address of your own machine (http://127.0.0.1:PORT/...)')
  }
  const challenge = single(query, 'code_challenge')
  if (single(query, 'code_challenge_method') !== 'S256' || !CHALLENGE.test(challenge)) {
    throw bad('a code_challenge by S256 is needed')
  }
  const state = single(query, 'state')
  if (!STATE.test(state)) throw bad('state is missing, or not 16 to 256 plain characters')
  return {
    purpose: { kind: 'Loopback', redirectUri, state, challenge },
    freshness: freshnessOf(query),
    provider: single(query, 'provider'),
  }
}
