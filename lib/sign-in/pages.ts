/** The few pages that a browser sees while somebody signs in. No scripts; nothing from elsewhere. */
import { createHash } from 'node:crypto'

import type { Response } from 'express'

import type { ClientFacts } from '../identity/login-store.ts'

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 32rem; margin: 12vh auto 0; padding: 0 1.25rem; }
h1 { font-size: 1.4rem; }
a.choice, button { display: inline-block; margin: .3rem .5rem .3rem 0; padding: .55rem 1.1rem;
  border: 1px solid; border-radius: .4rem; font: inherit; text-decoration: none; color: inherit;
  background: none; cursor: pointer; }
button.yes { background: #0b57d0; border-color: #0b57d0; color: #fff; }
input { font: inherit; padding: .45rem .6rem; letter-spacing: .15em; text-transform: uppercase;
  width: 12rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
strong { white-space: nowrap; }
.note { opacity: .75; font-size: .9rem; }
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`)
}

/** @param body HTML; whatever comes from outside in it is escaped already */
export function sendPage(response: Response, code: number, title: string, body: string): void {
  response.status(code).set({
    'Content-Type': 'text/html; charset=utf-8',
    // No form-action: browsers apply it to the redirect that follows, which leaves for the provider.
    'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'`,
    'Referrer-Policy': 'no-referrer',
    'X-Frame-Options': 'DENY',
  }).send(`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} - Podgate</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body></html>
`)
}

export function choosePage(choices: readonly { title: string; href: string }[]): string {
  const links = choices.map(
    ({ title, href }) => `<a class="choice" href="${escapeHtml(href)}">${escapeHtml(title)}</a>`,
  )
  return `<p>Where do you sign in?</p>\n<p>${links.join('\n')}</p>`
}

function facts({ address, userAgent }: ClientFacts): string {
  return `<dl><dt>From</dt><dd>${escapeHtml(address)}</dd><dt>Program</dt><dd>${escapeHtml(userAgent.slice(0, 200))}</dd></dl>`
}

/** @param userCode what the link brought, if it did */
export function codePage(action: string, userCode: string, problem?: string): string {
  return `${problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`}
<form method="post" action="${escapeHtml(action)}">
<p><label>The code that your terminal shows<br>
<input name="user_code" value="${escapeHtml(userCode)}" autocomplete="off" spellcheck="false" required autofocus></label></p>
<p><button class="yes">Continue</button></p></form>
<p class="note">Nobody has a reason to send you a code. Go on only if the command was started by you.</p>`
}

export function confirmPage(
  action: string,
  ask: { user: string; userCode: string; csrf: string; command: ClientFacts },
): string {
  return `<p>You are signed in as <strong>${escapeHtml(ask.user)}</strong>. A command shows the code
<strong>${escapeHtml(ask.userCode)}</strong> and wants to act as you.</p>
${facts(ask.command)}
<form method="post" action="${escapeHtml(action)}">
<input type="hidden" name="csrf" value="${escapeHtml(ask.csrf)}">
<p><button class="yes" name="answer" value="yes">Yes, it is mine</button>
<button name="answer" value="no">No, refuse it</button></p></form>
<p class="note">If you did not start it, somebody is trying to become you: refuse it.</p>`
}
