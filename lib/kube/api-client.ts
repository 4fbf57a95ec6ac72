/**
 * JSON requests of the gateway to the API server.
 *
 * client-node's generated clients lose the Status body of a refused upgrade and
 * cannot impersonate per request, so control-plane calls and the pass-through
 * share this one path over `node:https` and its connection pool.
 */
import { Agent, request as httpsRequest, type AgentOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'

import { isObject } from '../api/json-object.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Status } from '../errors/status.ts'
import type { ApiEndpoint } from './endpoint.ts'
import { closedWithoutAnswer, unreachable } from './unreachable.ts'

export type { ApiEndpoint } from './endpoint.ts'

export type HeaderMap = Record<string, string | string[]>

/** The API server answered, and the answer was no. Carries its own words. */
export class UpstreamStatusError extends Error {
  override readonly name = 'UpstreamStatusError'
  readonly httpCode: number
  readonly status: Status

  constructor(httpCode: number, status: Status) {
    super(status.message ?? `HTTP ${httpCode}`)
    this.httpCode = httpCode
    this.status = status
  }

  static is(error: unknown): error is UpstreamStatusError {
    return (
      typeof error === 'object' &&
      error !== null &&
      (error as { name?: unknown }).name === 'UpstreamStatusError'
    )
  }
}

/** True for a refusal by the API server with this HTTP code. */
export function isUpstreamCode(error: unknown, httpCode: number): boolean {
  return UpstreamStatusError.is(error) && error.httpCode === httpCode
}

/** Kubernetes' reasons are single words; anything else could end a header line. */
const REASON = /^[A-Za-z]{1,64}$/

/**
 * Reads a refusal's body; text that is no Status is wrapped, never lost.
 *
 * The API server passes on what a kubelet or an extension server has written,
 * so only the parts of a Status that are what they should be are taken over,
 * and the code is always that of the response.
 */
export function statusFromBody(httpCode: number, body: Uint8Array): Status {
  const text = Buffer.from(body).toString('utf8')
  const failure: Status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: text.slice(0, 500) || `the API server answered HTTP ${httpCode}`,
    code: httpCode,
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Not JSON: kubelet and proxies answer plain text.
    return failure
  }
  if (!isObject(parsed) || parsed['kind'] !== 'Status') return failure
  const { message, reason, details } = parsed
  return {
    ...failure,
    message: typeof message === 'string' ? message : '',
    ...(typeof reason === 'string' && REASON.test(reason) ? { reason } : {}),
    ...(isObject(details) ? { details } : {}),
  }
}

export interface RequestOptions {
  /** A Buffer goes as it is, everything else as JSON. */
  body?: unknown
  contentType?: string
  headers?: HeaderMap
  signal?: AbortSignal
  /** Whole exchange, body included; default 10 s. 0 = no limit. */
  timeoutMs?: number
}

export interface ApiClient {
  readonly endpoint: ApiEndpoint
  /** Connections for the requests of people; the gateway's own have theirs. */
  readonly agent: Agent
  /** One JSON exchange. @throws UpstreamStatusError, or GatewayError when unreachable. */
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>
  /** A 2xx response whose body the caller reads or destroys. */
  open(method: string, path: string, options?: RequestOptions): Promise<IncomingMessage>
  close(): void
}

const MAX_BODY_BYTES = 64 * 1024 * 1024
const DEFAULT_TIMEOUT_MS = 10_000
/** Below kube-apiserver's own 90 s, so that we never write into a connection that it is closing. */
const IDLE_MS = 60_000
/** Of the gateway itself: a burst of sessions that all read their pod at once. */
const MAX_OWN_CONNECTIONS = 512

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) {
      response.destroy()
      throw new GatewayError('BadGateway', 'the API server sent an answer over 64 MiB')
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

export interface ApiClientLimits {
  /** How long an unused connection is kept. */
  idleMs?: number
}

export function createApiClient(endpoint: ApiEndpoint, limits: ApiClientLimits = {}): ApiClient {
  const pool: AgentOptions = {
    keepAlive: true,
    // Of idle connections only: a watch may be silent for as long as it likes.
    timeout: limits.idleMs ?? IDLE_MS,
    maxFreeSockets: 32,
    scheduling: 'lifo',
    ...endpoint.tls,
  }
  // Two pools: watches of people must never keep policies and approvals from being read.
  const agent = new Agent(pool)
  const ownAgent = new Agent({ ...pool, maxSockets: MAX_OWN_CONNECTIONS })

  async function exchange(
    method: string,
    path: string,
    options: RequestOptions,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const { body } = options
    const payload =
      body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
    const authorization = await endpoint.authorization()
    const headers: HeaderMap = {
      accept: 'application/json',
      'user-agent': 'podgate',
      ...options.headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(payload === undefined
        ? {}
        : {
            'content-type': options.contentType ?? 'application/json',
            'content-length': String(payload.length),
          }),
    }
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpsRequest({
        host: endpoint.host,
        port: endpoint.port,
        path: endpoint.basePath + path,
        method,
        headers,
        agent: ownAgent,
        ...(signal === undefined ? {} : { signal }),
      })
      request.on('error', reject)
      request.on('response', resolve)
      request.on('close', () => reject(closedWithoutAnswer()))
      request.end(payload)
    })
  }

  /** Opens, and lets `read` take the body under the same time limit. */
  async function limited<T>(
    method: string,
    path: string,
    options: RequestOptions,
    read: (response: IncomingMessage) => T | Promise<T>,
  ): Promise<T> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const timeout = timeoutMs === 0 ? undefined : AbortSignal.timeout(timeoutMs)
    const signals = [options.signal, timeout].filter((signal) => signal !== undefined)
    try {
      const signal = signals.length === 0 ? undefined : AbortSignal.any(signals)
      const response = await exchange(method, path, options, signal)
      response.on('error', () => undefined)
      const code = response.statusCode ?? 0
      if (code >= 200 && code < 300) return await read(response)
      throw new UpstreamStatusError(code, statusFromBody(code, await readBody(response)))
    } catch (error) {
      // A body that is cut by our own signal breaks off like one that the server cuts.
      const cut = signals.find(({ aborted }) => aborted)
      throw upstreamError(cut === undefined ? error : cut.reason, method, path)
    }
  }

  return {
    endpoint,
    agent,
    async open(method, path, options = {}) {
      return await limited(method, path, options, (response) => response)
    },
    async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
      return await limited(
        method,
        path,
        options,
        async (response) => JSON.parse((await readBody(response)).toString('utf8')) as T,
      )
    },
    close() {
      agent.destroy()
      ownAgent.destroy()
    },
  }
}

function upstreamError(error: unknown, method: string, path: string): unknown {
  if (UpstreamStatusError.is(error) || GatewayError.is(error)) return error
  const name = (error as { name?: unknown } | null)?.name
  if (name === 'TimeoutError' || name === 'AbortError') {
    return new GatewayError('Timeout', 'the API server did not answer in time; try again', {
      id: 1504,
      cause: error,
    })
  }
  return unreachable(error, `${method} ${path.split('?')[0] ?? path}`)
}
