/**
 * One watch of the Kubernetes API, until it ends; going on from there is up to the caller.
 */
import { CliError, ExitCode } from './cli-error.ts'
import { numberAt, textAt, valueAt } from './json-value.ts'
import type { KubeClient } from './kube-request.ts'
import { readNdjson } from './ndjson.ts'

export interface WatchEvent {
  type: string
  object: unknown
}

export interface WatchQuery {
  resourceVersion: string
  fieldSelector?: string
  timeoutSeconds?: number
}

/** Ends when the server or the network ends it. A 410 (too old to go on from) is thrown. */
export async function* watchEvents(
  client: KubeClient,
  path: string,
  query: WatchQuery,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, undefined> {
  const response = await client.open({
    path,
    query: { ...query, watch: true, allowWatchBookmarks: true },
    signal,
  })
  const events = readNdjson(response)
  try {
    for (;;) {
      const next = await nextOrEnd(events)
      if (next === undefined) return
      const type = textAt(next, 'type') ?? ''
      const object = valueAt(next, 'object')
      if (type === 'ERROR') throw watchError(object)
      yield { type, object }
    }
  } finally {
    response.destroy()
  }
}

/** A watch may be cut at any moment (a rolling gateway, a proxy's idle limit): that is an end, no failure. */
async function nextOrEnd(events: AsyncGenerator<unknown, void, undefined>): Promise<unknown> {
  try {
    const { done, value } = await events.next()
    return done === true ? undefined : value
  } catch {
    return undefined
  }
}

function watchError(object: unknown): CliError {
  const message = textAt(object, 'message') ?? 'the watch failed'
  return new CliError(ExitCode.Error, `Error from server: ${message}`, {
    status: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      code: numberAt(object, 'code') ?? 500,
    },
  })
}
