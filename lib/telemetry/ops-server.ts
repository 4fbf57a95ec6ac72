/**
 * The second listener: /metrics, /livez, /readyz. Plain HTTP on loopback unless
 * configured otherwise; it shows no personal data and takes no input.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import type { Registry } from 'prom-client'

/** Resolves when well; rejects or throws with the reason, which is logged and not shown. */
export interface HealthCheck {
  name: string
  check(): Promise<void> | void
}

export interface OpsServerOptions {
  registry: Registry
  readiness: HealthCheck[]
  onUnready?(name: string, reason: unknown): void
  /** How long a check may take. */
  checkTimeoutMs?: number
}

const CHECK_TIMEOUT_MS = 2000

/** Undefined, or why not. */
async function failureOf(check: HealthCheck, timeoutMs: number): Promise<unknown> {
  const timeout = Promise.withResolvers<never>()
  const timer = setTimeout(() => timeout.reject(new Error('timed out')), timeoutMs)
  try {
    await Promise.race([check.check(), timeout.promise])
    return undefined
  } catch (error) {
    return error ?? new Error('failed')
  } finally {
    clearTimeout(timer)
  }
}

function sendText(response: ServerResponse, code: number, text: string, type = 'text/plain'): void {
  response.writeHead(code, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
  })
  response.end(text)
}

/** The format of kube-apiserver's own /readyz?verbose. */
async function report(
  checks: HealthCheck[],
  options: OpsServerOptions,
): Promise<{ ok: boolean; text: string }> {
  const timeoutMs = options.checkTimeoutMs ?? CHECK_TIMEOUT_MS
  const results = await Promise.all(
    checks.map(async (check) => ({ name: check.name, failure: await failureOf(check, timeoutMs) })),
  )
  for (const { name, failure } of results)
    if (failure !== undefined) options.onUnready?.(name, failure)
  const ok = results.every(({ failure }) => failure === undefined)
  const lines = results.map(({ name, failure }) =>
    failure === undefined ? `[+]${name} ok` : `[-]${name} failed: reason withheld`,
  )
  return { ok, text: [...lines, ok ? 'readyz check passed' : 'readyz check failed', ''].join('\n') }
}

async function serve(
  options: OpsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Compared as it came: a URL parser would make other paths of `//livez` and of `..`.
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    sendText(response, 405, 'only GET\n')
  } else if (path === '/livez') {
    sendText(response, 200, 'ok\n')
  } else if (path === '/metrics') {
    sendText(response, 200, await options.registry.metrics(), 'text/plain; version=0.0.4')
  } else if (path === '/readyz' || path.startsWith('/readyz/')) {
    const wanted = path.slice('/readyz/'.length)
    const checks =
      wanted === '' ? options.readiness : options.readiness.filter(({ name }) => name === wanted)
    if (checks.length === 0) sendText(response, 404, 'no such check\n')
    else {
      const { ok, text } = await report(checks, options)
      sendText(
        response,
        ok ? 200 : 503,
        ok && !new URLSearchParams(query).has('verbose') ? 'ok\n' : text,
      )
    }
  } else sendText(response, 404, 'try /metrics, /livez or /readyz?verbose\n')
}

export function createOpsServer(options: OpsServerOptions): Server {
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    serve(options, request, response).catch((error: unknown) => {
      options.onUnready?.('ops', error)
      if (response.headersSent) response.destroy()
      else sendText(response, 500, 'failed\n')
    })
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  return server
}
