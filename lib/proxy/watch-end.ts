/**
 * How a watch ends whose person may no longer watch: with an event of the type ERROR that holds a
 * Status, as the API server itself ends one (k8s.io/apimachinery pkg/watch). kubectl prints its
 * message; a connection that is cut it takes for a watch that timed out, and says nothing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { asGatewayError } from '../errors/gateway-error.ts'
import { destroyInAMoment } from './respond.ts'

interface Watch {
  answer: IncomingMessage
  /** Nothing of ours may stand within an event. */
  isBetweenEvents: boolean
}

const watches = new WeakMap<ServerResponse, Watch>()

const LINE_END = 0x0a

/** Of an answer that is about to be passed on: a watch in JSON can end in words. */
export function noteWatch(query: string, answer: IncomingMessage, response: ServerResponse): void {
  const { 'content-type': type = '', 'content-encoding': encoding } = answer.headers
  const isJson = /^application\/json *(?:;|$)/i.test(type) && encoding === undefined
  if (answer.statusCode !== 200 || !isJson || !isWatch(query)) return
  const watch = { answer, isBetweenEvents: true }
  answer.on('data', (chunk: Buffer) => {
    watch.isBetweenEvents = chunk.at(-1) === LINE_END
  })
  watches.set(response, watch)
}

/** As Go reads a truth value (strconv.ParseBool); the API server takes it for one that is there. */
function isWatch(query: string): boolean {
  // Most answers are none, and no query says so in another spelling: a key may be percent-encoded.
  if (!/watch|%/.test(query)) return false
  const value = new URLSearchParams(query).get('watch')
  return value !== null && !/^(?:0|f|false)$/i.test(value)
}

/** Ends an exchange at once; nothing more of the answer goes on. */
export function endInWords(response: ServerResponse, reason: unknown): void {
  const watch = watches.get(response)
  if (watch?.isBetweenEvents !== true || response.writableEnded) {
    response.destroy()
    return
  }
  watch.answer.unpipe(response)
  destroyInAMoment(response)
  const object = asGatewayError(reason).toStatus()
  response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
  watch.answer.destroy()
}
