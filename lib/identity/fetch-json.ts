/**
 * GET of one small JSON document over https, bounded in time and size. Redirects are not
 * followed: the address comes from the config or from the provider's own metadata.
 */
import { get, type RequestOptions } from 'node:https'

const MAX_BODY_BYTES = 1024 * 1024

export interface FetchOptions {
  ca?: string
  signal: AbortSignal
}

export type FetchJson = (url: string, options: FetchOptions) => Promise<unknown>

export async function fetchJson(url: string, options: FetchOptions): Promise<unknown> {
  const target = new URL(url)
  if (target.protocol !== 'https:') throw new Error(`${url} is not an https address`)
  const { status, body } = await getBody(target, {
    headers: { accept: 'application/json' },
    signal: options.signal,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  })
  if (status !== 200) throw new Error(`${url} answered HTTP ${status}`)
  return JSON.parse(body)
}

function getBody(url: URL, options: RequestOptions): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, options, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MAX_BODY_BYTES) {
          request.destroy(new Error(`${url.href} answered more than ${MAX_BODY_BYTES} bytes`))
          return
        }
        chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') })
      })
    })
    request.on('error', reject)
  })
}
