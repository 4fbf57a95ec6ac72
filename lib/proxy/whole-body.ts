/** The body of a request, taken in whole before anything is made of it. */
import type { IncomingMessage } from 'node:http'

import { GatewayError } from '../errors/gateway-error.ts'

export interface BodyLimits {
  /** The API server's own limit (k8s.io/apiserver MaxRequestBodyBytes). */
  maxBytes?: number
  /** For the whole of it. */
  timeoutMs?: number
}

const MAX_BYTES = 3 * 1024 * 1024
const TIMEOUT_MS = 30_000

/** @throws GatewayError when it is too long, too slow or cut. */
export async function readWholeBody(
  request: IncomingMessage,
  { maxBytes = MAX_BYTES, timeoutMs = TIMEOUT_MS }: BodyLimits = {},
): Promise<Buffer> {
  const done = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  let size = 0
  const onData = (chunk: Buffer): void => {
    size += chunk.length
    chunks.push(chunk)
    if (size <= maxBytes) return
    chunks.length = 0
    done.reject(tooLong(maxBytes))
  }
  const onEnd = (): void => done.resolve(Buffer.concat(chunks, size))
  const onCut = (): void => done.reject(cut('broke off'))
  const timer = setTimeout(() => done.reject(cut('did not come in time')), timeoutMs)
  request.on('data', onData).once('end', onEnd).once('close', onCut)
  try {
    return await done.promise
  } finally {
    clearTimeout(timer)
    request.off('data', onData).off('end', onEnd).off('close', onCut)
  }
}

function tooLong(maxBytes: number): GatewayError {
  return new GatewayError(
    'RequestEntityTooLarge',
    `the body of the request is over ${maxBytes} bytes, which is too long for it; send a smaller one`,
    { id: 1037 },
  )
}

function cut(how: string): GatewayError {
  return new GatewayError('BadRequest', `the body of the request ${how}; try again`, { id: 1037 })
}
