/**
 * A list and its changes, kept in memory, that knows how old it may be.
 *
 * client-node's ListWatch stops for good on most errors and cannot tell stale
 * from quiet. Here each watch is asked to end by itself after a few seconds
 * (`timeoutSeconds`): a watch that ends cleanly, or is accepted, proves that
 * the list was current then, so a hung API server or a black-holed connection
 * shows as age. Watches resume from the last resourceVersion, so the API server
 * sends changes only; 410 Gone and unknown errors lead to a new list.
 */
import type { IncomingMessage } from 'node:http'

import { errorText } from '../errors/gateway-error.ts'
import { UpstreamStatusError, type ApiClient } from './api-client.ts'

export interface KubeObject {
  apiVersion?: string
  kind?: string
  metadata: { name: string; namespace?: string; uid?: string; resourceVersion?: string }
}

export interface ReflectorOptions<T extends KubeObject> {
  client: ApiClient
  /** e.g. `/apis/podgate.dev/v1alpha1/accesspolicies` */
  path: string
  /** Only these, such as `metadata.name=web-0`. */
  fieldSelector?: string
  onChange?(type: 'set' | 'delete', object: T): void
  /** Told about every failure, for the log. */
  onError?(message: string): void
  watchSeconds?: number
  now?: () => number
}

export interface Reflector<T extends KubeObject> {
  items(): T[]
  get(namespace: string | undefined, name: string): T | undefined
  /** Milliseconds since the content was last known to be current; Infinity before the first list. */
  ageMs(): number
  /** Resolves after the first list, rejects when `signal` aborts. */
  ready(signal: AbortSignal): Promise<void>
  close(): void
}

interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: T & { code?: number; message?: string }
}

interface ListResponse<T> {
  metadata: { resourceVersion?: string }
  items: T[]
}

const WATCH_SECONDS = 6
/** Watch and its answer must both fit into the 15 s after which data counts as stale. */
const WATCH_GRACE_MS = 4000
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 2000
/** A watch that ends sooner and without an event was no watch (client-go's "very short watch"). */
const SHORTEST_WATCH_MS = 500
const MAX_LINE_BYTES = 4 * 1024 * 1024

class GoneError extends Error {}

function isGone(error: unknown): boolean {
  return error instanceof GoneError || (UpstreamStatusError.is(error) && error.httpCode === 410)
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

/** Splits a watch body into its lines; a line over 4 MiB ends the watch. */
async function* watchEvents<T>(response: IncomingMessage): AsyncGenerator<WatchEvent<T>> {
  // Pieces of an unfinished line are joined once, not again with every chunk.
  let pieces: string[] = []
  let held = 0
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) {
    const [first = '', ...lines] = chunk.split('\n')
    pieces.push(first)
    held += first.length
    if (held > MAX_LINE_BYTES) throw new Error('a watch event is over 4 MiB')
    for (const next of lines) {
      const line = pieces.join('')
      if (line !== '') yield JSON.parse(line) as WatchEvent<T>
      pieces = [next]
      held = next.length
    }
  }
}

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, path } = options
  const now = options.now ?? Date.now
  const watchSeconds = options.watchSeconds ?? WATCH_SECONDS
  const selector =
    options.fieldSelector === undefined
      ? ''
      : `fieldSelector=${encodeURIComponent(options.fieldSelector)}`
  const stop = new AbortController()
  const store = new Map<string, T>()
  const waiting = new Set<() => void>()
  let resourceVersion = ''
  let currentAt = -Infinity

  function markCurrent(): void {
    currentAt = now()
    for (const wake of waiting) wake()
    waiting.clear()
  }

  function put(object: T): void {
    // In this order: a change that could not be taken in is not known, so the next list tries again.
    options.onChange?.('set', object)
    store.set(keyOf(object), object)
  }

  function drop(object: T): void {
    const key = keyOf(object)
    if (!store.has(key)) return
    options.onChange?.('delete', object)
    store.delete(key)
  }

  async function list(): Promise<void> {
    const startedAt = now()
    const listPath = selector === '' ? path : `${path}?${selector}`
    const body = await client.request<ListResponse<T>>('GET', listPath, { signal: stop.signal })
    const seen = new Set(body.items.map(keyOf))
    for (const object of store.values()) if (!seen.has(keyOf(object))) drop(object)
    for (const object of body.items) {
      const known = store.get(keyOf(object))
      const changed = known?.metadata.resourceVersion !== object.metadata.resourceVersion
      if (changed) put(object)
    }
    resourceVersion = body.metadata.resourceVersion ?? ''
    markCurrent()
    currentAt = startedAt
  }

  function apply(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') {
      if (event.object.code === 410) throw new GoneError('resourceVersion is too old')
      throw new Error(`watch failed: ${event.object.message ?? 'unknown error'}`)
    }
    resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion
    if (event.type === 'DELETED') drop(event.object)
    else if (event.type !== 'BOOKMARK') put(event.object)
    currentAt = now()
  }

  /** False when the watch was over at once and told nothing. */
  async function watch(): Promise<boolean> {
    const startedAt = performance.now()
    let events = 0
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${watchSeconds}&resourceVersion=${encodeURIComponent(resourceVersion)}${selector === '' ? '' : `&${selector}`}`
    const response = await client.open('GET', `${path}?${query}`, {
      signal: stop.signal,
      timeoutMs: watchSeconds * 1000 + WATCH_GRACE_MS,
    })
    try {
      for await (const event of watchEvents<T>(response)) {
        apply(event)
        events += 1
      }
      if (!response.complete) throw new Error('the watch was cut')
      currentAt = now()
      return events > 0 || performance.now() - startedAt >= SHORTEST_WATCH_MS
    } finally {
      response.destroy()
    }
  }

  async function pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, ms)
      function done(): void {
        clearTimeout(timer)
        stop.signal.removeEventListener('abort', done)
        resolve()
      }
      stop.signal.addEventListener('abort', done)
    })
  }

  async function run(): Promise<void> {
    let backoff = FIRST_BACKOFF_MS
    let listed = false
    while (!stop.signal.aborted) {
      let failure: unknown
      try {
        if (!listed) await list()
        listed = true
        if (await watch()) {
          backoff = FIRST_BACKOFF_MS
          continue
        }
      } catch (error) {
        if (stop.signal.aborted) return
        // An unknown failure may have lost events: list again, which is always right.
        listed = false
        failure = error
      }
      const routine = failure === undefined || isGone(failure)
      if (!routine) options.onError?.(`${path}: ${errorText(failure)}`)
      // 410 is nothing to wait for, unless it is the answer to a list just made.
      if (!isGone(failure) || backoff > FIRST_BACKOFF_MS) await pause(backoff)
      backoff = Math.min(backoff * 2, MAX_BACKOFF_MS)
    }
  }

  const loop = run()
  loop.catch((error: unknown) => options.onError?.(`${path}: ${errorText(error)}`))

  return {
    items: () => [...store.values()],
    get: (namespace, name) => store.get(`${namespace ?? ''}/${name}`),
    ageMs: () => now() - currentAt,
    async ready(signal) {
      if (currentAt !== -Infinity) return
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        waiting.add(resolve)
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    },
    close() {
      stop.abort()
    },
  }
}
