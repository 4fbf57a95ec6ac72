/**
 * A provider tells us that somebody has signed out there (OpenID Connect Back-Channel Logout 1.0):
 * their sign-ins end here as well, with what runs.
 */
import type { Request, Response } from 'express'

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { LoginSelector } from '../identity/login-store.ts'
import type { LogoutOrder } from '../identity/logout-token.ts'
import type { SpentIds } from '../identity/spent-ids.ts'
import type { SignInProvider } from './provider.ts'

export interface LogoutDeps {
  byName: ReadonlyMap<string, SignInProvider>
  store: SpentIds
  endLogins(which: LoginSelector, by: string, reason: string): Promise<number>
  onFailure(error: GatewayError): void
}

/**
 * A session there is closer than a person: with one, only what came of it ends, and what is theirs
 * of which the provider has not said of what session it came.
 */
function selectorOf(provider: string, { subject, providerSession }: LogoutOrder): LoginSelector {
  return providerSession === undefined
    ? { provider, subject: subject ?? '' }
    : { provider, providerSession, subject }
}

async function carryOut(deps: LogoutDeps, name: unknown, token: unknown): Promise<void> {
  const provider = typeof name === 'string' ? deps.byName.get(name) : undefined
  if (provider?.logout === undefined) {
    throw new GatewayError('BadRequest', 'there is no such provider here', { id: 1418 })
  }
  if (typeof token !== 'string') {
    throw new GatewayError('BadRequest', 'there is no logout_token', { id: 1418 })
  }
  const order = await provider.logout(token)
  // Sent twice, it was carried out: section 2.6 asks for no error then.
  const id = `logout/${provider.name}/${order.id}`
  if (await deps.store.isSpent(id)) return
  const who = selectorOf(provider.name, order)
  await deps.endLogins(who, `the provider ${provider.name}`, 'signed out there')
  // Spent once it is done: what failed half-way may be sent again.
  await deps.store.spend(id, new Date(order.goodUntil))
}

/** Section 2.8: 200, or 400 with an OAuth error. */
export async function serveBackChannelLogout(
  deps: LogoutDeps,
  request: Request,
  response: Response,
): Promise<void> {
  const { logout_token: token } = (request.body ?? {}) as Record<string, unknown>
  try {
    await carryOut(deps, request.params['provider'], token)
    response.status(200).end()
  } catch (error) {
    const known = asGatewayError(error, 'signing out')
    deps.onFailure(known)
    if (known.reason === 'ServiceUnavailable') {
      response.status(503).json({ error: 'temporarily_unavailable' })
      return
    }
    response.status(400).json({ error: 'invalid_request', error_description: known.message })
  }
}
