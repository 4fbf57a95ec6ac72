/** A write by a client, taken in whole: what is sent on is built anew from it. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { GatewayError } from '../../errors/gateway-error.ts'
import type { User } from '../../identity/user.ts'
import { requestHeaders } from '../headers.ts'
import type { RequestInfo } from '../request-info.ts'

/** An ordinary request of somebody who is known. */
export interface WriteRequest {
  info: RequestInfo
  user: User
  request: IncomingMessage
  response: ServerResponse
}

export interface WriteQuery {
  /** Nothing is to be done. */
  isDryRun: boolean
  /** Without `dryRun`. */
  query: URLSearchParams
}

/** k8s.io/apimachinery meta/v1 CreateOptions, UpdateOptions and PatchOptions. */
const KEPT = ['fieldManager', 'fieldValidation', 'force', 'pretty']

function once(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length < 2) return values[0]
  throw new GatewayError(
    'BadRequest',
    `the parameter ${name} is given ${values.length} times; give it once`,
    { id: 1036 },
  )
}

/**
 * The API server takes the first of two contradicting values, another parser the last; so there is
 * one, or none. Parameters that no write has are left out.
 *
 * @throws GatewayError BadRequest
 */
export function parseWriteQuery(raw: string): WriteQuery {
  const given = new URLSearchParams(raw)
  const dryRun = once(given, 'dryRun')
  if (dryRun !== undefined && dryRun !== 'All') {
    throw new GatewayError('BadRequest', 'the parameter dryRun must be All, or left out', {
      id: 1036,
    })
  }
  const query = new URLSearchParams()
  for (const name of KEPT) {
    const value = once(given, name)
    if (value !== undefined) query.set(name, value)
  }
  return { isDryRun: dryRun !== undefined, query }
}

/** Who writes, for managedFields and the audit log: the client and not the gateway. */
export function agentHeaders(request: IncomingMessage): Record<string, string> {
  const { 'user-agent': agent } = requestHeaders(request.headers)
  return agent === undefined ? {} : { 'user-agent': agent }
}

/** An answer in full; what a person reads may be longer here than on an upgrade. */
export function sendJson(
  response: ServerResponse,
  code: number,
  body: unknown,
  warning?: string,
): void {
  if (response.headersSent || response.destroyed) return
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`)
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    'cache-control': 'no-cache, private',
    ...(warning === undefined ? {} : { warning }),
  })
  response.end(bytes)
}
