/**
 * What a server said instead of 101.
 *
 * Its socket is always destroyed: after a refused upgrade it still carries the
 * gateway's own identity, and whoever could write to it would speak as the
 * gateway (CVE-2018-1002105). A redirect is never followed (CVE-2020-8559).
 */
import type { IncomingMessage } from 'node:http'

import { GatewayError } from '../errors/gateway-error.ts'
import { UpstreamStatusError, statusFromBody } from './api-client.ts'
import { unreachable } from './unreachable.ts'

/** A Status is far smaller; the rest of a longer body is of no use to anyone. */
const MAX_BODY_BYTES = 64 * 1024
/** A refusal's body is in the packet after its head, or never comes. */
const BODY_TIMEOUT_MS = 2_000

export interface Refusal {
  error: UpstreamStatusError | GatewayError
  /** The body was a `metav1.Status`, so a component of Kubernetes itself has spoken. */
  saidStatus: boolean
}

/** Reads at most `MAX_BODY_BYTES`. */
function readBody(response: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const done = (): void => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES))
    }
    const timer = setTimeout(done, BODY_TIMEOUT_MS)
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size >= MAX_BODY_BYTES) done()
    })
    response.on('error', done)
    response.on('end', done)
    response.on('close', done)
  })
}

/** Turns a response that is not 101 into what the user may see; its connection ends here. */
export async function readRefusal(response: IncomingMessage): Promise<Refusal> {
  // Held from the start: a response read to its end lets go of its socket without closing it.
  const { socket } = response
  try {
    const code = response.statusCode ?? 0
    if (code < 400) return { error: notFollowed(code), saidStatus: false }
    const body = await readBody(response)
    if (code === 401) return { error: ownCredentialsRefused(), saidStatus: false }
    const status = statusFromBody(code, body)
    // Only a real Status has a reason or details; text that was wrapped has neither.
    const saidStatus = status.reason !== undefined || status.details !== undefined
    return { error: new UpstreamStatusError(code, status), saidStatus }
  } finally {
    socket.destroy()
  }
}

function notFollowed(code: number): GatewayError {
  const what = code >= 300 ? 'a redirect, which the gateway does not follow' : `HTTP ${code}`
  return new GatewayError('BadGateway', `the API server answered the upgrade with ${what}`, {
    id: 1507,
  })
}

function ownCredentialsRefused(): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    "the cluster does not accept the gateway's own credentials; ask the gateway's operator to renew them",
    { id: 1505 },
  )
}

/** What a failed dial throws: the API server's own words pass as they are. */
export function knownDialError(error: unknown, doing: string): unknown {
  return UpstreamStatusError.is(error) || GatewayError.is(error) ? error : unreachable(error, doing)
}
