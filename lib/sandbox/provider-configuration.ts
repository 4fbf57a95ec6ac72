/** How the sandbox's identity provider behaves: scopes, claims, lives, pages, and its policy. */
import type { InteractionPolicy, PageContext, Prompts } from 'oidc-provider'

import { createHttpsFetch } from '../https/https-fetch.ts'
import { DEVICE_PAGES } from './device-page.ts'
import { alertOf, renderPage } from './page.ts'
import type { Person } from './people.ts'
import { clientsOf, type Clients, machineFeatures } from './provider-clients.ts'
import type { ProviderKeys } from './provider-keys.ts'
import { createStoreAdapter, type ProviderStore } from './provider-store.ts'
import { asksForSecondFactor, MFA, SIGN_IN_PATH } from './sign-in-page.ts'

export interface ProviderSettings extends Clients {
  people: readonly Person[]
  isDisabled(name: string): boolean
  store: ProviderStore
  keys: ProviderKeys
  /** PEM of the authority of those who are told about ended sessions. */
  authority: string | undefined
  idTokenSeconds: number
  policy: InteractionPolicy
}

const DAY = 24 * 60 * 60

export function configurationOf(settings: ProviderSettings): Record<string, unknown> {
  const { store, keys, idTokenSeconds } = settings
  return {
    adapter: (model: string) => createStoreAdapter(model, store),
    clients: clientsOf(settings),
    scopes: ['openid', 'offline_access', 'groups'],
    acrValues: [MFA],
    claims: {
      openid: ['sub', 'preferred_username', 'acr', 'amr', 'auth_time'],
      groups: ['groups'],
    },
    // kubectl sends the ID token, so names and groups must be in it and not only at /userinfo.
    conformIdTokenClaims: false,
    findAccount: (_context: unknown, id: string) => accountOf(id, settings),
    pkce: { required: () => true },
    // Also for the client with a secret (RFC 9700 4.14): a stolen one is noticed by its second use.
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      backchannelLogout: { enabled: true },
      deviceFlow: { enabled: true, ...DEVICE_PAGES },
      ...machineFeatures(settings.machine),
    },
    interactions: {
      policy: policyOf(settings.policy),
      url: (_context: unknown, interaction: { uid: string }) => SIGN_IN_PATH + interaction.uid,
    },
    renderError,
    fetch: backchannelFetch(settings.authority),
    cookies: { keys: [...keys.cookies] },
    jwks: { keys: [...keys.signing] },
    ttl: {
      AccessToken: idTokenSeconds,
      AuthorizationCode: 60,
      ClientCredentials: idTokenSeconds,
      DeviceCode: 600,
      IdToken: idTokenSeconds,
      Interaction: 600,
      Grant: 14 * DAY,
      RefreshToken: 14 * DAY,
      Session: DAY,
    },
  }
}

function accountOf(
  id: string,
  { people, isDisabled }: ProviderSettings,
): { accountId: string; claims(): Promise<Record<string, unknown>> } | undefined {
  const person = people.find(({ name }) => name === id)
  if (person === undefined || isDisabled(id)) return undefined
  return {
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id, groups: [...person.groups] }),
  }
}

function policyOf({ base, Check }: InteractionPolicy): Prompts {
  const prompts = base()
  const checks = prompts.get('login')?.checks
  checks?.add(
    new Check(
      'second_factor',
      'a second factor is asked for',
      'login_required',
      ({ oidc }) => asksForSecondFactor(oidc.params) && oidc.session.acr !== MFA,
    ),
  )
  // A session outlives its account; the library takes for granted that it does not.
  checks?.add(
    new Check(
      'account_gone',
      'this account cannot sign in',
      'login_required',
      ({ oidc }) => oidc.session.accountId !== undefined && oidc.account === undefined,
    ),
  )
  return prompts
}

function renderError(context: PageContext, out: Record<string, string>): void {
  context.type = 'html'
  const problem = out['error_description'] ?? out['error'] ?? ''
  context.body = renderPage('This did not work', alertOf(problem))
}

/** The library's own fetch refuses loopback addresses and knows no authority but the system's. */
function backchannelFetch(
  authority: string | undefined,
): (url: string, init: RequestInit) => Promise<Response> {
  const fetch = createHttpsFetch(authority === undefined ? {} : { ca: authority })
  return (url, { method = 'GET', headers, body, signal }) =>
    fetch(url, {
      method,
      headers: Object.fromEntries(new Headers(headers)),
      body,
      signal: signal ?? undefined,
    })
}
