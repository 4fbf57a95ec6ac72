/**
 * The pages of the sandbox's identity provider: name and password, then consent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Interaction, Provider } from 'oidc-provider'

import { findPerson, type Person } from './people.ts'

const MAX_FORM_BYTES = 16 * 1024

export const SIGN_IN_PATH = '/sign-in/'

export async function handleSignIn(
  provider: Provider,
  people: readonly Person[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const interaction = await provider.interactionDetails(request, response)
  if (request.method !== 'POST') {
    sendPage(response, 200, pageOf(interaction))
    return
  }
  const form = await readForm(request)
  if (interaction.prompt.name === 'login') {
    const person = findPerson(people, form.get('name') ?? '', form.get('password') ?? '')
    if (person === undefined) {
      sendPage(response, 401, loginPage('This name and password do not belong together.'))
      return
    }
    await provider.interactionFinished(request, response, { login: { accountId: person.name } })
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

function pageOf(interaction: Interaction): string {
  return interaction.prompt.name === 'login'
    ? loginPage()
    : consentPage(interaction.session?.accountId ?? '', interaction.params.client_id)
}

function loginPage(problem?: string): string {
  return `<h1>Sign in</h1>
${problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`}
<form method="post">
<p><label>Name <input name="name" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p>
</form>`
}

function consentPage(name: string, client: string): string {
  return `<h1>Let ${escapeHtml(client)} act for you?</h1>
<p>You are ${escapeHtml(name)}. ${escapeHtml(client)} learns your name and groups, and stays signed in.</p>
<form method="post">
<p><button name="consent" value="yes">Allow</button> <button name="consent" value="no">Refuse</button></p>
</form>`
}

export function sendPage(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    // No form-action: browsers apply it to the redirect that follows, which leaves for the client.
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Podgate sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body>
${body}
</body></html>
`)
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`)
}
