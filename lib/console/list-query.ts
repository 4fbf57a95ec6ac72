/**
 * What may be asked of the list of sessions. PURE.
 *
 * Each parameter is one plain string: a repeated one, or one that smuggles an operator of the
 * database (`user[$ne]`), is refused by name.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { isSessionId } from '../recording/session-document.ts'
import type { SessionQuery } from '../recording/store.ts'

const PARAMETERS = ['user', 'namespace', 'pod', 'limit', 'continue'] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 500
const MAX_VALUE_LENGTH = 1024

export function parseListQuery(query: Readonly<Record<string, unknown>>): SessionQuery {
  const values = new Map<string, string>()
  for (const [name, value] of Object.entries(query)) {
    if (!PARAMETERS.some((known) => known === name)) {
      throw badRequest(
        `the query parameter ${quoted(name)} is not known; known are ${PARAMETERS.join(', ')}`,
      )
    }
    if (typeof value !== 'string') throw badRequest(`${name} may be given once only`)
    if (value.length > MAX_VALUE_LENGTH) throw badRequest(`${name} is too long`)
    // As in Kubernetes' own lists, an empty parameter is one that was not given.
    if (value !== '') values.set(name, value)
  }
  const username = values.get('user')
  const namespace = values.get('namespace')
  const pod = values.get('pod')
  const token = values.get('continue')
  return {
    ...(username === undefined ? {} : { username }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(pod === undefined ? {} : { pod }),
    ...(token === undefined ? {} : { after: decodeContinue(token) }),
    limit: parseLimit(values.get('limit')),
  }
}

export function encodeContinue({ startedAt, _id }: { startedAt: Date; _id: string }): string {
  return Buffer.from(`${startedAt.getTime()}/${_id}`).toString('base64url')
}

function decodeContinue(token: string): NonNullable<SessionQuery['after']> {
  const [, time, id] = /^(\d{1,15})\/(.+)$/.exec(Buffer.from(token, 'base64url').toString()) ?? []
  if (time === undefined || id === undefined || !isSessionId(id)) {
    throw badRequest('continue is not a token of this list; ask for the list from its beginning')
  }
  return { startedAt: new Date(Number(time)), id }
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > MAX_LIMIT)
    throw badRequest(`limit must be a number from 1 to ${MAX_LIMIT}`)
  return limit
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name)
}

function badRequest(message: string): GatewayError {
  return new GatewayError('BadRequest', message, { id: 1600 })
}
