/**
 * Waits a moment for what the gateway concludes from a decision.
 */
import type { ApprovalRequest } from '../../api/approval-request.generated.ts'
import { statusCodeOf } from '../cli-error.ts'
import type { CliIo } from '../io.ts'
import type { KubeClient } from '../kube-request.ts'
import { watchEvents } from '../watch.ts'
import { getRequest, requestPath } from './find.ts'
import { finalCondition, isApprovalRequest, namespaceOf } from './state.ts'

const WAIT_MS = 5000
const POLL_MS = 500

/** The request with a condition, or as it was left after five seconds. */
export async function awaitConclusion(
  client: KubeClient,
  io: CliIo,
  written: ApprovalRequest,
  waitMs: number = WAIT_MS,
): Promise<ApprovalRequest> {
  if (finalCondition(written) !== undefined) return written
  const end = new AbortController()
  const deadline = io.sleep(waitMs, end.signal).then(() => end.abort())
  try {
    return await watchUntilConcluded(client, io, written, end.signal)
  } finally {
    end.abort()
    await deadline
  }
}

async function watchUntilConcluded(
  client: KubeClient,
  io: CliIo,
  written: ApprovalRequest,
  signal: AbortSignal,
): Promise<ApprovalRequest> {
  const namespace = namespaceOf(written)
  const { name, resourceVersion } = written.metadata
  let latest = written
  try {
    const events = watchEvents(
      client,
      requestPath(namespace),
      { resourceVersion: resourceVersion ?? '', fieldSelector: `metadata.name=${name}` },
      signal,
    )
    for await (const { object } of events) {
      if (!isApprovalRequest(object)) continue
      latest = object
      if (finalCondition(latest) !== undefined) return latest
    }
  } catch (error) {
    // Not everybody who may decide may watch; and a watch that cannot go on is no news either.
    if (!signal.aborted && statusCodeOf(error) === undefined) throw error
  }
  while (!signal.aborted) {
    latest = await getRequest(client, namespace, name)
    if (finalCondition(latest) !== undefined) break
    await io.sleep(POLL_MS, signal)
  }
  return latest
}
