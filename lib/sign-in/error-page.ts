/** What went wrong in a sign-in, in words: a page for people, JSON for a command line. */
import type { NextFunction, Request, Response } from 'express'

import { isUnreadableRequest } from '../errors/express-error.ts'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { escapeHtml, sendPage } from './pages.ts'
import { sendOAuthError } from './token-endpoint.ts'

/** Where a command line asks, which wants JSON (RFC 6749 5.2). */
const FOR_COMMANDS = /\/(?:token|revoke|device)$/

/** Express knows an error handler by its four parameters. */
export function errorPage(onFailure: (error: GatewayError) => void) {
  return (error: unknown, request: Request, response: Response, next: NextFunction): void => {
    if (response.headersSent) {
      next(error)
      return
    }
    const known = isUnreadableRequest(error)
      ? new GatewayError('BadRequest', 'this request cannot be read', { id: 1456, cause: error })
      : asGatewayError(error, 'signing in')
    onFailure(known)
    if (FOR_COMMANDS.test(request.path)) {
      sendOAuthError(response, known)
      return
    }
    const text = known.toStatus().message ?? ''
    const next_ = '<p>Start again from your terminal: <code>kubectl podgate login</code></p>'
    sendPage(response, known.code, 'That did not work', `<p>${escapeHtml(text)}</p>${next_}`)
  }
}
