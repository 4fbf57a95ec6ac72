/**
 * The pages of the sandbox's identity provider: name and password, a one-time code where the
 * client asks for a second factor, then consent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Interaction, Provider } from 'oidc-provider'

import { escapeHtml } from '../sign-in/pages.ts'
import type { CodeCheck } from './one-time-code.ts'
import { alertOf, sendPage } from './page.ts'
import { findPerson, type Person } from './people.ts'

const MAX_FORM_BYTES = 16 * 1024

export const SIGN_IN_PATH = '/sign-in/'
/** The authentication context class of a sign-in with password and one-time code. */
export const MFA = 'urn:podgate:mfa'

export interface SignInDesk {
  provider: Provider
  people: readonly Person[]
  isDisabled(name: string): boolean
  codes: CodeCheck
}

export function asksForSecondFactor(params: { acr_values?: string }): boolean {
  return params.acr_values?.split(' ').includes(MFA) === true
}

export async function handleSignIn(
  desk: SignInDesk,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { provider } = desk
  const interaction = await provider.interactionDetails(request, response)
  const isLogin = interaction.prompt.name === 'login'
  if (request.method !== 'POST') {
    if (isLogin) sendLoginPage(response, interaction)
    else sendConsentPage(response, interaction)
    return
  }
  const form = await readForm(request)
  if (isLogin) {
    const login = logIn(desk, interaction, form)
    if (typeof login === 'string') {
      sendLoginPage(response, interaction, { name: form.get('name') ?? '', problem: login })
      return
    }
    await provider.interactionFinished(request, response, { login })
    return
  }
  if (form.get('consent') !== 'yes') {
    const result = { error: 'access_denied', error_description: 'consent was not given' }
    await provider.interactionFinished(request, response, result)
    return
  }
  const grantId = await grant(provider, interaction)
  await provider.interactionFinished(request, response, { consent: { grantId } })
}

/** The sign-in, or why there is none. Does not tell which of the answers was wrong. */
function logIn(
  desk: SignInDesk,
  { params }: Interaction,
  form: URLSearchParams,
): { accountId: string; amr: string[]; acr?: string } | string {
  const withCode = asksForSecondFactor(params)
  const person = findPerson(desk.people, form.get('name') ?? '', form.get('password') ?? '')
  const code = (form.get('code') ?? '').replaceAll(' ', '')
  if (person === undefined || (withCode && !desk.codes.spend(person, code))) {
    return withCode
      ? 'This name, password and one-time code do not belong together. Each code is good for one use.'
      : 'This name and password do not belong together.'
  }
  if (desk.isDisabled(person.name)) return 'This account is disabled.'
  return withCode
    ? { accountId: person.name, amr: ['pwd', 'otp'], acr: MFA }
    : { accountId: person.name, amr: ['pwd'] }
}

async function grant(provider: Provider, interaction: Interaction): Promise<string> {
  const { session, params, prompt, grantId } = interaction
  if (session === undefined) throw new Error('consent without a signed-in person')
  const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const given =
    existing ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  const { missingOIDCScope, missingOIDCClaims } = prompt.details
  if (missingOIDCScope !== undefined) given.addOIDCScope(missingOIDCScope.join(' '))
  if (missingOIDCClaims !== undefined) given.addOIDCClaims(missingOIDCClaims)
  return given.save()
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_FORM_BYTES) throw new Error('the form is too long')
    chunks.push(bytes)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

function sendLoginPage(
  response: ServerResponse,
  { params }: Interaction,
  failed?: { name: string; problem: string },
): void {
  const name = failed?.name ?? params.login_hint ?? ''
  const code = `<label>One-time code
<input name="code" autocomplete="one-time-code" inputmode="numeric" aria-describedby="app" required></label>
<p class="hint" id="app">Six digits from your authenticator app.</p>`
  sendPage(
    response,
    failed === undefined ? 200 : 401,
    'Sign in',
    `${alertOf(failed?.problem)}
<form method="post">
<label>Name <input name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
 value="${escapeHtml(name)}" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
${asksForSecondFactor(params) ? code : ''}
<button>Sign in</button>
</form>`,
  )
}

function sendConsentPage(response: ServerResponse, { session, params }: Interaction): void {
  const client = escapeHtml(params.client_id)
  const stays = params.scope?.split(' ').includes('offline_access') === true
  sendPage(
    response,
    200,
    `Let ${params.client_id} act for you?`,
    `<p>You are <strong>${escapeHtml(session?.accountId ?? '')}</strong>. ${client} learns your name and groups${stays ? ', and stays signed in' : ''}.</p>
<form method="post">
<button name="consent" value="yes">Allow</button> <button class="second" name="consent" value="no">Refuse</button>
</form>`,
  )
}
