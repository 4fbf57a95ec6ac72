/**
 * How a page of the sandbox's identity provider looks: plain, readable with a keyboard, a screen
 * reader and without colours. No scripts; the one stylesheet is allowed by its hash.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'

import { escapeHtml } from '../sign-in/pages.ts'

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { max-width: 25rem; margin: 12vh auto 2rem; padding: 0 1.25rem }
header { margin: 0 0 2rem; font-weight: 600 }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25 }
label { display: block; margin: 0 0 1rem; font-weight: 600 }
input { display: block; width: 100%; box-sizing: border-box; margin-top: .25rem; padding: .55rem .7rem;
  font: inherit; font-weight: 400; border: 1px solid #767676; border-radius: .35rem }
button { margin: .5rem .5rem 0 0; padding: .6rem 1.3rem; font: inherit; font-weight: 600; cursor: pointer;
  color: #fff; background: #1a4fa3; border: 1px solid #1a4fa3; border-radius: .35rem }
button.second { color: inherit; background: none; border-color: #767676 }
:focus-visible { outline: 3px solid #e0870a; outline-offset: 2px }
[role=alert] { padding: .6rem .9rem; border: 2px solid #c22b2b; border-radius: .35rem }
.hint { margin: -.5rem 0 1rem; font-size: .9rem }
output { display: block; margin: 1rem 0; font: 600 1.75rem/1.2 ui-monospace, monospace; letter-spacing: .1em }
`

/**
 * Empty for scripts, so that the provider's own redirecting pages can add the hash of theirs. No
 * form-action: browsers apply it to the redirect that follows, which leaves for the client.
 */
const CONTENT_SECURITY_POLICY = [
  `default-src 'none'`,
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'script-src',
  `frame-ancestors 'none'`,
  `base-uri 'none'`,
].join('; ')

/** For every answer of the provider, so that no page is forgotten. */
export function protectPages(response: ServerResponse): void {
  response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY)
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('referrer-policy', 'no-referrer')
}

export function renderPage(title: string, content: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)} - Podgate sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>${STYLE}</style></head>
<body>
<header>Podgate sandbox</header>
<main>
<h1>${escapeHtml(title)}</h1>
${content}
</main>
</body></html>
`
}

export function sendPage(
  response: ServerResponse,
  status: number,
  title: string,
  content: string,
): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
  })
  response.end(renderPage(title, content))
}

export function alertOf(problem: string | undefined): string {
  return problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`
}
