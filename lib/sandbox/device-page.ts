/**
 * The pages of the device flow (RFC 8628): a person types the code their terminal shows, compares
 * it, and signs in on the device they have a browser on.
 */
import type { PageContext } from 'oidc-provider'

import { escapeHtml } from '../sign-in/pages.ts'
import { alertOf, renderPage } from './page.ts'

const FORM = 'code_verification'

export const DEVICE_PAGES = {
  userCodeInputSource: (
    context: PageContext,
    _form: string,
    _out: unknown,
    error?: { name?: string; userCode?: string },
  ): void => {
    if (error?.name === 'AbortedError') {
      show(context, 'The sign-in was refused', '<p>You can close this page.</p>')
      return
    }
    show(
      context,
      'Sign in a terminal',
      `${alertOf(problemOf(error))}
<form method="post" action="${action(context)}">
${secret(context)}
<label>Code <input name="user_code" autocomplete="off" autocapitalize="characters" spellcheck="false"
 value="${escapeHtml(error?.userCode ?? '')}" aria-describedby="where" required autofocus></label>
<p class="hint" id="where">Your terminal shows it: eight letters.</p>
<button>Continue</button>
</form>`,
    )
  },

  // RFC 8628 5.4: whoever sent the link may not be who sits before the terminal.
  userCodeConfirmSource: (
    context: PageContext,
    _form: string,
    client: { clientId: string },
    _deviceInfo: unknown,
    userCode: string,
  ): void => {
    show(
      context,
      'Is this your terminal?',
      `<p>${escapeHtml(client.clientId)} asks to be signed in as you. Go on only if your own terminal shows exactly this code:</p>
<output>${escapeHtml(userCode)}</output>
<form method="post" action="${action(context)}">
${secret(context)}
<input type="hidden" name="user_code" value="${escapeHtml(userCode)}">
<input type="hidden" name="confirm" value="yes">
<button>Yes, continue</button> <button class="second" name="abort" value="yes">No, refuse</button>
</form>`,
    )
  },

  successSource: (context: PageContext): void => {
    show(
      context,
      'Your terminal is signed in',
      '<p>You can close this page and go on in the terminal.</p>',
    )
  },
}

function show(context: PageContext, title: string, content: string): void {
  context.type = 'html'
  context.body = renderPage(title, content)
}

function action(context: PageContext): string {
  return escapeHtml(context.oidc.urlFor(FORM))
}

function secret(context: PageContext): string {
  const { secret: value } = context.oidc.session.state
  return `<input type="hidden" name="xsrf" value="${escapeHtml(value)}">`
}

function problemOf(error: { name?: string } | undefined): string | undefined {
  switch (error?.name) {
    case undefined:
      return undefined
    case 'NoCodeError':
    case 'NotFoundError':
      return 'No terminal waits with this code. Compare it with what your terminal shows.'
    case 'ExpiredError':
      return 'This code has ended. Start the sign-in in your terminal again.'
    case 'AlreadyUsedError':
      return 'This code was used already. Start the sign-in in your terminal again.'
    default:
      return 'This sign-in did not work. Start it in your terminal again.'
  }
}
