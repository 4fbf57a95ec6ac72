/**
 * Https: a fetch over node:https, for the sign-in library. It trusts one given authority, and
 * answers are bounded. Redirects are handed back, not followed.
 *
 * May import: nothing of ours.
 */
import { Agent, request, type RequestOptions } from 'node:https'

export type HttpsFetch = (
  url: string,
  options: {
    method: string
    headers: Record<string, string>
    body?: unknown
    signal?: AbortSignal | undefined
  },
) => Promise<Response>

export interface HttpsFetchOptions {
  ca?: string
  /** Expected in the certificate, in place of the address's own name. */
  servername?: string
  proxyEnv?: NodeJS.ProcessEnv | undefined
}

const MAX_BODY_BYTES = 1024 * 1024

export function createHttpsFetch(settings: HttpsFetchOptions): HttpsFetch {
  return (url, options) => {
    const agent = new Agent(settings.proxyEnv === undefined ? {} : { proxyEnv: settings.proxyEnv })
    return send(url, textOf(options.body), {
      agent,
      method: options.method,
      headers: options.headers,
      ...(settings.ca === undefined ? {} : { ca: settings.ca }),
      ...(settings.servername === undefined ? {} : { servername: settings.servername }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  }
}

function textOf(body: unknown): string | undefined {
  if (typeof body === 'string') return body
  return body instanceof URLSearchParams ? body.toString() : undefined
}

function send(url: string, body: string | undefined, options: RequestOptions): Promise<Response> {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (answer) => {
      const chunks: Buffer[] = []
      let size = 0
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length
        chunks.push(chunk)
        if (size > MAX_BODY_BYTES) sent.destroy(new Error(`${url} answered too much`))
      })
      answer.on('error', reject)
      answer.on('end', () => {
        const status = answer.statusCode ?? 502
        const headers = new Headers()
        for (const [name, values] of Object.entries(answer.headersDistinct)) {
          for (const value of values ?? []) headers.append(name, value)
        }
        // Fetch: these carry no body, and Response refuses one.
        const isEmpty = status === 204 || status === 205 || status === 304
        resolve(new Response(isEmpty ? null : Buffer.concat(chunks), { status, headers }))
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
