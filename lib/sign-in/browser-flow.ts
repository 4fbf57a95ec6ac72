/**
 * A browser on its way through the provider and back. What has to be remembered meanwhile lies in the
 * store, sealed under a cookie that only this browser has: a link that somebody else began cannot be
 * finished here (login CSRF), and what lies there is of no use to a thief.
 */
import { createHash } from 'node:crypto'

import type { Request, Response } from 'express'

import { GatewayError } from '../errors/gateway-error.ts'
import { isWellFormed, newToken } from '../identity/gateway-token.ts'
import type { ClientFacts, LoginStore } from '../identity/login-store.ts'
import type { Freshness, SignedIn } from '../identity/oidc-sign-in.ts'
import type { Begun, SignInProvider } from './provider.ts'
import { createSealedPending } from './sealed-pending.ts'

/** What the sign-in is for. */
export type Purpose =
  | { kind: 'Loopback'; redirectUri: string; state: string; challenge: string }
  | { kind: 'Device'; userCode: string; publicKey: string; device: string }

export interface Journey {
  purpose: Purpose
  provider: string
  /** The command that asks. */
  command: ClientFacts
  begun?: Begun
  /** After the return, while the person is asked to confirm. */
  signedIn?: SignedIn
}

const JOURNEY_MS = 10 * 60_000

/** One cookie a journey, so that two windows do not disturb each other. */
function cookieName(state: string): string {
  return `__Host-podgate-${createHash('sha256').update(state).digest('hex').slice(0, 12)}`
}

/** A look that proves nothing: whether this browser has begun something here at all. */
export function hasJourney(request: Request): boolean {
  return (request.headers.cookie ?? '').includes('__Host-podgate-')
}

function cookieOf(request: Request, name: string): string | undefined {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [key = '', ...value] = part.trim().split('=')
    if (key === name) return value.join('=')
  }
  return undefined
}

function setCookie(response: Response, name: string, value: string, kind: Begun['kind']): void {
  response.cookie(name, value, {
    httpOnly: true,
    secure: true,
    path: '/',
    maxAge: JOURNEY_MS,
    // A SAML response is posted from the provider's own page.
    sameSite: kind === 'saml' ? 'none' : 'lax',
  })
}

export function closed(): GatewayError {
  return new GatewayError(
    'Unauthorized',
    'this sign-in is not open in this browser (any more); start it again from your terminal',
    { id: 1455 },
  )
}

export interface BrowserFlow {
  /** Sends the browser to the provider. */
  depart(
    response: Response,
    provider: SignInProvider,
    freshness: Freshness,
    journey: Omit<Journey, 'provider' | 'begun' | 'signedIn'>,
  ): Promise<void>
  /** The journey that this browser comes back from; it can come back once. @throws GatewayError */
  arrive(request: Request, response: Response, state: unknown): Promise<Journey>
  /** Keeps the journey for one more answer of this browser. Gives what the form has to bring. */
  pause(response: Response, journey: Journey): Promise<string>
}

export function createBrowserFlow(
  store: Pick<LoginStore, 'putPending' | 'takePending'>,
  now: () => number,
): BrowserFlow {
  const journeys = createSealedPending<Journey>('Browser', JOURNEY_MS, store, now)

  return {
    async depart(response, provider, freshness, journey) {
      const { url, state, begun } = await provider.start(freshness)
      const cookie = await journeys.seal({ ...journey, provider: provider.name, begun })
      setCookie(response, cookieName(state), cookie, provider.kind)
      response.redirect(303, url)
    },
    async arrive(request, response, state) {
      if (typeof state !== 'string' || state === '' || state.length > 512) throw closed()
      const name = cookieName(state)
      const cookie = cookieOf(request, name)
      if (cookie === undefined || !isWellFormed('browser', cookie)) throw closed()
      response.clearCookie(name, { httpOnly: true, secure: true, path: '/' })
      const journey = await journeys.open(cookie)
      if (journey === undefined) throw closed()
      return journey
    },
    async pause(response, journey) {
      const cookie = await journeys.seal(journey)
      const state = newToken('code')
      setCookie(response, cookieName(state), cookie, 'oidc')
      return state
    },
  }
}
