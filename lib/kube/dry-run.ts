/**
 * A write as the API server itself reads it: what would come of it, without it being done.
 *
 * The gateway parses no body of a client: JSON, YAML, protobuf and four kinds of patches all have
 * corners where two readers differ. With `dryRun=All` the API server goes all the way (decoding,
 * defaults, admission, validation) except for the last step.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { ApiClient, HeaderMap } from './api-client.ts'

export interface ObjectWrite {
  method: 'PATCH' | 'POST' | 'PUT'
  path: string
  /** Without `dryRun`. */
  query: URLSearchParams
  headers: HeaderMap
  /** A Buffer goes as it is, everything else as JSON. */
  body: unknown
  contentType: string | undefined
}

export interface WrittenObject<T> {
  code: number
  object: T
  /** The header `Warning`, for kubectl to print. */
  warning: string | undefined
}

/** Longer than an admission webhook may take. */
const TIMEOUT_MS = 35_000
/** Of one object: etcd takes less than 2 MiB by default, as JSON it grows. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** @throws UpstreamStatusError in the API server's words, GatewayError when it is not reached. */
export async function writeObject<T>(
  client: ApiClient,
  write: ObjectWrite,
): Promise<WrittenObject<T>> {
  const query = write.query.toString()
  const response = await client.open(
    write.method,
    query === '' ? write.path : `${write.path}?${query}`,
    {
      body: write.body,
      headers: { ...write.headers, accept: 'application/json' },
      ...(write.contentType === undefined ? {} : { contentType: write.contentType }),
      timeoutMs: TIMEOUT_MS,
    },
  )
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) {
      response.destroy()
      throw new GatewayError('BadGateway', 'the API server sent an object over 16 MiB')
    }
    chunks.push(chunk)
  }
  return {
    code: response.statusCode ?? 200,
    object: JSON.parse(Buffer.concat(chunks, size).toString('utf8')) as T,
    warning: response.headers['warning']?.toString(),
  }
}

/** What would come of this write. Nothing is done. */
export async function dryRun<T>(client: ApiClient, write: ObjectWrite): Promise<WrittenObject<T>> {
  const query = new URLSearchParams(write.query)
  query.set('dryRun', 'All')
  return await writeObject<T>(client, { ...write, query })
}
