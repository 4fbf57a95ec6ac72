/**
 * Requests to the server of a kubeconfig, be it the gateway or an API server.
 *
 * Plain node:https over HTTP/1.1: the client library costs a second of start-up
 * (it is fine in a server, not in front of a waiting person).
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

import type { Status } from '../errors/status.ts'
import { CliError, ExitCode } from './cli-error.ts'
import { connectionError } from './connection-error.ts'
import { createCredentialSource, type Credentials } from './credentials.ts'
import type { CliIo } from './io.ts'
import { numberAt, textAt } from './json-value.ts'
import type { ResolvedContext } from './kubeconfig.ts'
import { proxyEnvOf } from './proxy-env.ts'
import { VERSION } from './version.ts'

/** kubectl gives up dialling after 30 s; so do we, including the wait for the first answer. */
const ANSWER_TIMEOUT_MS = 30_000

/** More than any page of 500 requests or sessions. */
const MAX_JSON_BYTES = 64 * 1024 * 1024

export interface KubeRequest {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the server's own path, already escaped. */
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  contentType?: string
  signal?: AbortSignal | undefined
}

export interface KubeClient {
  readonly server: string
  /** The parsed answer; a refusal is thrown as CliError with the server's Status. */
  json(request: KubeRequest): Promise<unknown>
  /** The body of a 2xx answer, to be read piece by piece. Destroy it when done with it early. */
  open(request: KubeRequest): Promise<IncomingMessage>
  close(): void
}

export interface KubeClientOptions {
  answerTimeoutMs?: number
}

export function createKubeClient(
  context: ResolvedContext,
  io: CliIo,
  onWarning: (text: string) => void,
  options: KubeClientOptions = {},
): KubeClient {
  const url = parseServer(context.cluster.server)
  const secure = url.protocol === 'https:'
  const agentOptions = {
    keepAlive: true,
    proxyEnv: proxyEnvOf(context.cluster.proxyUrl, url.href, io.env),
  }
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
  const source = createCredentialSource(context, io)
  const timeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS

  async function attempt(request: KubeRequest, credentials: Credentials): Promise<IncomingMessage> {
    try {
      return await send(url, secure, agent, credentials, request, timeoutMs)
    } catch (error) {
      throw connectionError(context.cluster.server, error)
    }
  }

  async function open(request: KubeRequest): Promise<IncomingMessage> {
    const credentials = await source.current()
    let response = await attempt(request, credentials)
    if (response.statusCode === 401 && source.forget(credentials)) {
      // A token may end between two requests; the plugin knows, we cannot.
      response.resume()
      response = await attempt(request, await source.current())
    }
    for (const text of warningsOf(response)) onWarning(text)
    const code = response.statusCode ?? 0
    if (code >= 200 && code < 300) return response
    throw refusal(code, await readBody(context.cluster.server, response, timeoutMs))
  }

  return {
    server: context.cluster.server,
    open,
    json: async (request) => {
      const text = await readBody(context.cluster.server, await open(request), timeoutMs)
      try {
        return JSON.parse(text) as unknown
      } catch {
        throw new CliError(
          ExitCode.Error,
          `${context.cluster.server} answered something that is not JSON; is it a Kubernetes API server?`,
        )
      }
    },
    close: () => agent.destroy(),
  }
}

function parseServer(server: string): URL {
  let url: URL | undefined
  try {
    url = new URL(server)
  } catch {
    url = undefined
  }
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new CliError(
      ExitCode.Error,
      `the kubeconfig's server ${server} is not an https:// address`,
    )
  }
  return url
}

function send(
  url: URL,
  secure: boolean,
  agent: HttpAgent,
  credentials: Credentials,
  request: KubeRequest,
  timeoutMs: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
    const outgoing = (secure ? httpsRequest : httpRequest)({
      agent,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
      method: request.method ?? 'GET',
      path: url.pathname.replace(/\/$/, '') + request.path + queryString(request.query),
      headers: {
        accept: 'application/json',
        'user-agent': `podgate-cli/${VERSION}`,
        ...credentials.headers,
        ...(body === undefined
          ? {}
          : {
              'content-type': request.contentType ?? 'application/json',
              'content-length': String(body.length),
            }),
      },
      ...(secure ? credentials.tls : {}),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    })
    const timer = setTimeout(() => {
      outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))
    }, timeoutMs)
    outgoing.on('response', (response) => {
      clearTimeout(timer)
      resolve(response)
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    outgoing.end(body)
  })
}

function queryString(query: KubeRequest['query']): string {
  const params = new URLSearchParams()
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) params.append(key, String(value))
  }
  return params.size === 0 ? '' : `?${params.toString()}`
}

async function readBody(
  server: string,
  response: IncomingMessage,
  timeoutMs: number,
): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  response.setTimeout(timeoutMs, () => {
    response.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))
  })
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_JSON_BYTES) {
        throw new CliError(ExitCode.Error, `${server} answered more than ${MAX_JSON_BYTES} bytes`)
      }
      chunks.push(chunk)
    }
  } catch (error) {
    throw connectionError(server, error)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** `Warning: 299 - "text"`, which kubectl prints too (RFC 7234 section 5.5). */
function warningsOf(response: IncomingMessage): string[] {
  const header = response.headers['warning']
  if (typeof header !== 'string') return []
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] ?? '').replace(/\\(.)/g, '$1'),
  )
}

/** The words kubectl would print for the same answer. */
function refusal(httpCode: number, body: string): CliError {
  const status = parseStatus(httpCode, body)
  const message = status.message ?? ''
  if (status.code === 401) {
    return new CliError(
      ExitCode.Denied,
      `error: You must be logged in to the server (${message === '' ? 'Unauthorized' : message})`,
      { status },
    )
  }
  const reason = status.reason === undefined ? '' : ` (${status.reason})`
  return new CliError(
    status.code === 403 ? ExitCode.Denied : ExitCode.Error,
    `Error from server${reason}: ${message}`,
    { status },
  )
}

function parseStatus(httpCode: number, body: string): Status & { code: number } {
  let document: unknown
  try {
    document = JSON.parse(body)
  } catch {
    document = undefined
  }
  const isStatus = textAt(document, 'kind') === 'Status'
  const reason = isStatus ? textAt(document, 'reason') : undefined
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: (isStatus ? textAt(document, 'message') : undefined) ?? `it answered HTTP ${httpCode}`,
    ...(reason === undefined ? {} : { reason }),
    code: (isStatus ? numberAt(document, 'code') : undefined) ?? httpCode,
  }
}
