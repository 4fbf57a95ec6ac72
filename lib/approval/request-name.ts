/**
 * Names of approval requests, and which request a session belongs to.
 *
 * kubectl asks twice for one command (WebSocket, then SPDY), people run a command again while they
 * wait, and replicas see each other's writes late. So the name follows from the digest of what is
 * asked for, plus a count of the requests for the same thing that are over: whoever creates a name
 * second is told AlreadyExists by the API server and joins the first.
 */
import { createHash } from 'node:crypto'

import type { ApprovalRequest } from '../api/approval-request.generated.ts'

/** The API server's own for generated names: no vowels, so no words; no 0, 1 or 3 to misread. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const LENGTH = 7

/** `apreq-` and seven characters. */
export function requestName(digest: string, generation: number): string {
  const bytes = createHash('sha256').update(`${digest}/${generation}`).digest()
  let rest = bytes.readBigUInt64BE()
  const base = BigInt(ALPHABET.length)
  let name = ''
  for (let n = 0; n < LENGTH; n++) {
    name += ALPHABET.charAt(Number(rest % base))
    rest /= base
  }
  return `apreq-${name}`
}

export type RequestChoice =
  { kind: 'join'; request: ApprovalRequest } | { kind: 'create'; name: string }

/**
 * The open request for this digest, or the name of the one to create.
 *
 * `known` are the requests of the namespace as far as the caller has seen them. When creating says
 * AlreadyExists, read that request, add it to `known` and choose again.
 *
 * @param isOpen whether a request can still lead to a session; see judge()
 */
export function chooseRequest(
  known: readonly ApprovalRequest[],
  digest: string,
  isOpen: (request: ApprovalRequest) => boolean,
): RequestChoice {
  const byName = new Map(known.map((request) => [request.metadata.name, request]))
  for (let generation = 0; ; generation++) {
    const name = requestName(digest, generation)
    const request = byName.get(name)
    if (request === undefined) return { kind: 'create', name }
    // Seven characters can collide; the digest tells.
    if (request.spec.digest === digest && isOpen(request)) return { kind: 'join', request }
  }
}
