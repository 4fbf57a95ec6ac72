/**
 * Forms of strangers: nobody is known yet when they are read, so they are short, few at a time, and
 * come soon or not at all.
 */
import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
} from 'express'

import { GatewayError } from '../errors/gateway-error.ts'

export interface FormsOptions {
  /** Bytes of one, as `16kb`. */
  limit: string
  /** Under way at once, of everybody. */
  most: number
  /** From the head of the request to the end of its body. */
  patienceMs?: number
}

const PATIENCE_MS = 10_000

export function readForms({
  limit,
  most,
  patienceMs = PATIENCE_MS,
}: FormsOptions): RequestHandler[] {
  let underWay = 0

  function gate(request: Request, _response: Response, next: NextFunction): void {
    if (underWay >= most) {
      next(
        new GatewayError(
          'TooManyRequests',
          'too many people are signing in at this moment; try again',
          { id: 1458 },
        ),
      )
      return
    }
    underWay += 1
    const timer = setTimeout(() => request.destroy(), patienceMs)
    const done = once(() => {
      clearTimeout(timer)
      underWay -= 1
    })
    request.once('end', done)
    request.once('close', done)
    next()
  }

  const read = express.urlencoded({ extended: false, limit, parameterLimit: 20 })
  return [ofForms(gate), ofForms(read)]
}

/**
 * For forms only: a page may wait for a provider, and any number of them may, and Node says that a
 * request without a body has ended only when it is answered.
 */
function ofForms(handler: RequestHandler): RequestHandler {
  return (request, response, next) => {
    if (request.method === 'POST') handler(request, response, next)
    else next()
  }
}

function once(work: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) work()
    isDone = true
  }
}
